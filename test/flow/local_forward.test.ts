/** LOCAL FORWARD: `ssh -L`, RFC 4254 §7.2 `direct-tcpip`, with OpenSSH's client. */
import t from 'tap';
import { collect, exchange, MIB, send } from '../support/bytes.js';
import { flow, ONE_AND_TWO_WORKERS } from '../support/flow.js';
import { startSallyport } from '../support/server.js';
import { tunnel } from '../support/ssh.js';
import { connect, freePort, startEcho, startTarget } from '../support/targets.js';

flow(t, '-L', { needs: ['ssh', 'ssh-keygen'], workers: ONE_AND_TWO_WORKERS }, async (t, workers) => {
  const server = await startSallyport(t, { workers });

  await t.test('carries bytes both ways, by address and by name', async (t) => {
    const echo = await startEcho(t);
    const [byAddress, byName] = [await freePort(), await freePort()];
    const specs = ['-L', `${byAddress}:127.0.0.1:${echo.port}`, '-L', `${byName}:localhost:${echo.port}`];
    await tunnel(t, server, server.alice, specs);
    for (const near of [byAddress, byName]) {
      const { sent, received } = await exchange(await connect(t, near), `local ${near}`, MIB);
      t.same(received, sent);
    }
  });

  await t.test('serves two users and several connections of one tunnel at once', async (t) => {
    const echo = await startEcho(t);
    const nears = [await freePort(), await freePort()];
    await Promise.all(
      [server.alice, server.bob].map((login, index) =>
        tunnel(t, server, login, ['-L', `${nears[index]}:localhost:${echo.port}`]),
      ),
    );
    const exchanges = nears.flatMap((near) =>
      ['a', 'b', 'c', 'd'].map(async (name) => await exchange(await connect(t, near), `${near} ${name}`, MIB)),
    );
    for (const { sent, received } of await Promise.all(exchanges)) t.same(received, sent);
  });

  await t.test('a target that speaks first is heard', async (t) => {
    const target = await startTarget(t, (socket) => socket.resume().end('220 ready\r\n'));
    const near = await freePort();
    await tunnel(t, server, server.alice, ['-L', `${near}:localhost:${target.port}`]);
    const socket = await connect(t, near);
    socket.end();
    t.equal(Buffer.concat(await socket.toArray()).toString(), '220 ready\r\n');
  });

  await t.test('logs who opened what and how many bytes went', async (t) => {
    const echo = await startEcho(t);
    const near = await freePort();
    await tunnel(t, server, server.alice, ['-L', `${near}:localhost:${echo.port}`]);
    const from = server.events.mark();
    await exchange(await connect(t, near), 'logged', 1000);
    const opened = await server.events.wait('channel.opened', { user: 'alice' }, from);
    const closed = await server.events.wait('channel.closed', { user: 'alice' }, from);
    t.match(String(opened.destination), new RegExp(`:${echo.port}$`));
    t.equal(closed.conn, opened.conn);
    t.match(closed, { bytesIn: 1000, bytesOut: 1000 });
  });
});

flow(t, '-L moves 100 MB unharmed', { needs: ['ssh', 'ssh-keygen'] }, async (t, workers) => {
  const server = await startSallyport(t, { workers });
  const echo = await startEcho(t);
  const near = await freePort();
  await tunnel(t, server, server.alice, ['-L', `${near}:localhost:${echo.port}`]);
  const socket = await connect(t, near);
  const receiving = collect(socket);
  const sent = await send(socket, '100 MB', 100 * MIB);
  socket.end();
  t.same(await receiving, sent);
});
