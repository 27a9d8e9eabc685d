/** REMOTE FORWARD: `ssh -R`, RFC 4254 §7.1 `tcpip-forward` and its cancelling, with OpenSSH's client. */
import t from 'tap';
import { exchange, MIB } from '../support/bytes.js';
import { flow, ONE_AND_TWO_WORKERS } from '../support/flow.js';
import { startSallyport } from '../support/server.js';
import { control, master, startTunnel, tunnel } from '../support/ssh.js';
import { canBind, connect, freePort, startEcho } from '../support/targets.js';

const NEEDS = ['ssh', 'ssh-keygen'] as const;

flow(t, '-R', { needs: NEEDS, workers: ONE_AND_TWO_WORKERS }, async (t, workers) => {
  const server = await startSallyport(t, { workers });

  await t.test('binds a fixed port', async (t) => {
    const echo = await startEcho(t);
    const port = await freePort();
    const from = server.events.mark();
    await tunnel(t, server, server.alice, ['-R', `${port}:localhost:${echo.port}`]);
    const { sent, received } = await exchange(await connect(t, port), 'fixed', MIB);
    t.same(received, sent);
    t.match(await server.events.wait('forward.bound', { user: 'alice' }, from), { user: 'alice' });
  });

  await t.test('port 0 gets a free port, a different one each time (RFC 4254 §7.1)', async (t) => {
    const [one, two] = [await startEcho(t), await startEcho(t)];
    const specs = ['-R', `0:localhost:${one.port}`, '-R', `0:localhost:${two.port}`];
    const { allocatedPorts } = await tunnel(t, server, server.alice, specs);
    t.equal(new Set(allocatedPorts).size, 2);
    for (const port of allocatedPorts) {
      const { sent, received } = await exchange(await connect(t, port), `any ${port}`, MIB);
      t.same(received, sent);
    }
  });

  await t.test('cancelling frees the port at once and spares the connections that run', async (t) => {
    const echo = await startEcho(t);
    const port = await freePort();
    const spec = ['-R', `${port}:localhost:${echo.port}`];
    const open = await master(t, server, server.alice, spec);
    const live = await connect(t, port);
    live.write('before');
    t.equal(String((await live[Symbol.asyncIterator]().next()).value), 'before');
    const from = server.events.mark();
    t.match(await control(t, open, 'cancel', spec), { code: 0 });
    await server.events.wait('forward.released', { user: 'alice' }, from);
    t.equal(await canBind(port), true, 'the port is free for another program');
    await tunnel(t, server, server.bob, spec);
    const { sent, received } = await exchange(await connect(t, port), 'next owner', 1000);
    t.same(received, sent, 'and for another user');
  });

  await t.test('the end of a client frees its port', async (t) => {
    const port = await freePort();
    const first = await tunnel(t, server, server.alice, ['-R', `${port}:localhost:1`]);
    const from = server.events.mark();
    await first.client.stop();
    await server.events.wait('forward.released', { user: 'alice' }, from);
    t.equal(await canBind(port), true);
  });

  await t.test('another user never gets a port that is taken, on whatever worker', async (t) => {
    const echo = await startEcho(t);
    const port = await freePort();
    const spec = ['-R', `${port}:localhost:${echo.port}`];
    await tunnel(t, server, server.alice, spec);
    // More tries than workers: at least one comes to each of them.
    for (let tried = 0; tried <= workers; tried += 1) {
      const { client } = startTunnel(t, server, server.bob, spec);
      t.match(await client.exited, { code: 255 });
      t.match(client.stderr, /remote port forwarding failed for listen port/);
    }
    for (const host of ['127.0.0.1', '[::1]']) {
      const { client } = startTunnel(t, server, server.bob, ['-R', `${host}:${port}:localhost:${echo.port}`]);
      t.match(await client.exited, { code: 255 }, `nor at ${host}`);
    }
    const { sent, received } = await exchange(await connect(t, port), 'still the first', MIB);
    t.same(received, sent);
  });

  await t.test('a port outside permitListen is refused, beside one inside', async (t) => {
    const { client } = startTunnel(t, server, server.alice, ['-R', '*:0:localhost:1']);
    t.match(await client.exited, { code: 255 });
    await server.events.wait('forward.refused', { user: 'alice', reason: 'POLICY_DENIED' });
  });
});

const TRANSFERS: ReadonlyArray<{ readonly name: string; readonly fixed: boolean }> = [
  { name: '-R moves 100 MB unharmed', fixed: true },
  { name: '-R 0 moves 100 MB unharmed', fixed: false },
];
for (const { name, fixed } of TRANSFERS) {
  flow(t, name, { needs: NEEDS }, async (t, workers) => {
    const server = await startSallyport(t, { workers });
    const echo = await startEcho(t);
    const asked = fixed ? await freePort() : 0;
    const { allocatedPorts } = await tunnel(t, server, server.alice, ['-R', `${asked}:localhost:${echo.port}`]);
    const { sent, received } = await exchange(await connect(t, allocatedPorts[0] ?? asked), name, 100 * MIB);
    t.same(received, sent);
  });
}
