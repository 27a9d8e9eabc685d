/** LIFE CYCLE of a server that a program started: what `listen`, `close`, `startCluster` promise of their beginning and end,
 *  and that nothing is left behind. */

import { once } from 'node:events';
import { readdirSync, readFileSync, readlinkSync } from 'node:fs';
import { createServer as createHttpServer } from 'node:http';
import { createServer } from 'node:net';
import t, { type Test } from 'tap';
import { ConfiguredServer, type DirectAnswer, startCluster, type TunnelEvent, TunnelServer } from '../../src/index.js';
import { MSG } from '../../src/shared/protocol.js';
import { callsAt } from '../support/calls.js';
import { until } from '../support/joined.js';
import { handlerUrl, logins, MODES, serveIn } from '../support/library.js';
import { mustRun, run } from '../support/process.js';
import { need } from '../support/programs.js';
import { dataMessage, openDirectChannel, rawClient } from '../support/raw_client.js';
import { tunnel } from '../support/ssh.js';
import { canBind, connect, cut, freePort, startEcho } from '../support/targets.js';
import { tempDir } from '../support/temp.js';

class Open extends TunnelServer {
  override checkAuthPassword(): boolean {
    return true;
  }
}

function quiet(t: Test) {
  return { listen: ['127.0.0.1:0'], stateDir: `${tempDir(t)}/state`, log: { level: 'silent' } } as const;
}

function portOf(server: { readonly addresses: TunnelServer['addresses'] }): number {
  const [address] = server.addresses;
  return address?.kind === 'tcp' ? address.port : 0;
}

t.test('a server listens once at a time, and again after its end', async (t) => {
  const server = new Open(quiet(t));
  t.same(server.addresses, []);
  const addresses = await server.listen();
  t.same(server.addresses, addresses);
  await t.rejects(server.listen(), { code: 'ALREADY_LISTENING' });
  const port = portOf(server);
  await server.close();
  t.ok(await canBind(port), 'the port is free');
  await server.listen();
  const client = rawClient(t, { host: '127.0.0.1', port: portOf(server) });
  await client.login('alice', { password: 'x' });
  await server.close({ now: true });
  await client.ended;
  await server.close();
});

t.test('what cannot start says why, and leaves nothing', async (t) => {
  const taken = createServer().listen(0, '127.0.0.1');
  await once(taken, 'listening');
  t.teardown(() => taken.close());
  const address = taken.address();
  const port = address !== null && typeof address === 'object' ? address.port : 0;
  const server = new Open({ ...quiet(t), listen: [`127.0.0.1:${port}`] });
  await t.rejects(server.listen(), { code: 'LISTEN_FAILED', message: /is taken/ });
  await server.close();

  const wrong: object = { ...quiet(t), workers: 0, timeouts: { drain: '5 minutes' }, colour: 'green' };
  const error = await new Open(wrong).listen().catch((thrown: unknown) => thrown);
  t.match(error, { code: 'CONFIG_INVALID' });
  for (const key of ['workers', 'timeouts.drain', 'colour'])
    t.match(error, { message: new RegExp(`options: ${key}: `) });
  await t.rejects(startCluster(wrong), { code: 'CONFIG_INVALID', message: /colour: unknown key/ });
  await t.rejects(startCluster({ ...quiet(t), handler: 'https://example.com/x.js' }), { code: 'CONFIG_INVALID' });
  const hostKey = `${tempDir(t)}/key`;
  await t.rejects(new Open({ ...quiet(t), hostKeys: [hostKey] }).listen(), {
    code: 'HOST_KEY_INVALID',
    message: hostKey,
  });
  await t.rejects(new Open(Object.assign({}, quiet(t), { handler: './x.js' })).listen(), {
    code: 'CONFIG_INVALID',
    message: /startCluster takes a module/,
  });
});

t.test('nothing is left in the process: it ends by itself', async (t) => {
  const index = new URL('../../src/index.js', import.meta.url).href;
  const script = (body: string): string[] => ['--input-type=module', '-e', `import * as s from '${index}';${body}`];
  const options = JSON.stringify(quiet(t));
  const single = `const server = new s.TunnelServer(${options}); await server.listen(); await server.close();`;
  await mustRun(t, process.execPath, script(single));
  const cluster = `const cluster = await s.startCluster({...${options}, workers: 2}); await cluster.close();`;
  await mustRun(t, process.execPath, script(`${cluster} console.log(await cluster.ended);`));
  t.pass('both ended with exit code 0');
  const urged = `const cluster = await s.startCluster({...${options}, workers: 2});`;
  const outcome = await run(
    t,
    process.execPath,
    script(`${urged} process.kill(process.pid, 'SIGTERM'); console.log(await cluster.ended);`),
  );
  t.match(outcome, { code: 0, stdout: 'true\n' }, 'SIGTERM ends a cluster');
});

/** What is open in this process, by what it leads to. */
function openFiles(): string[] {
  return readdirSync('/proc/self/fd').flatMap((fd) => {
    try {
      return [`${fd} ${readlinkSync(`/proc/self/fd/${fd}`)}`];
    } catch {
      return []; // the descriptor that read the list
    }
  });
}

t.test('descriptors of a server that has ended are closed', async (t) => {
  const serve = async (): Promise<void> => {
    const server = new Open(quiet(t));
    await server.listen();
    const client = rawClient(t, { host: '127.0.0.1', port: portOf(server) });
    await client.login('alice', { password: 'x' });
    const closed = once(client.socket, 'close');
    await server.close({ now: true });
    await closed;
  };
  await serve();
  const before = openFiles();
  for (let times = 0; times < 5; times++) await serve();
  const left = (): string[] => openFiles().filter((file) => !before.includes(file));
  await until(() => left().length === 0, 'nothing more than before').catch(() => {});
  t.same(left(), [], 'nothing more than before');
});

for (const mode of MODES) {
  t.test(`close waits for what runs, and now does not, ${mode}`, async (t) => {
    const echo = await startEcho(t);
    const server = await serveIn(t, mode, handlerUrl('recorder'), { timeouts: { drain: '20s' } });
    const client = rawClient(t, server);
    await client.login('alice', { password: 'foo' });
    const channel = await openDirectChannel(client, echo.port, { host: 'localhost' });
    const idle = rawClient(t, server);
    await idle.login('bob', { password: 'foo' });
    const closing = server.close();
    t.match(await idle.ended, { text: /shutting down/ }, 'who has no channel open is told and ended');
    client.send(Buffer.from([MSG.CHANNEL_DATA, 0, 0, 0, channel.peerId, 0, 0, 0, 1, 65]));
    t.match(await client.take(MSG.CHANNEL_DATA), { length: 10 }, 'a tunnel runs on');
    client.socket.destroy();
    await closing;
    t.ok(await canBind(server.port));
  });

  t.test(`events tell the story of a connection, typed and in order, ${mode}`, async (t) => {
    if (!need(t, ['ssh', 'ssh-keygen'])) return;
    const echo = await startEcho(t);
    const server = await serveIn(t, mode, handlerUrl('recorder'));
    const iterated: TunnelEvent[] = [];
    const iterating = (async () => {
      for await (const event of server.hub.events()) if (event.event !== 'events.lost') iterated.push(event);
    })();
    const { alice } = await logins(t, 'alice');
    const [near, far] = [await freePort(), await freePort()];
    const specs = ['-L', `${near}:localhost:${echo.port}`, '-R', `localhost:${far}:localhost:${echo.port}`];
    const { client } = await tunnel(t, server, alice, specs);
    for (const port of [near, far]) {
      const socket = await connect(t, port);
      socket.end('12345');
      t.equal(Buffer.concat(await socket.toArray()).toString(), '12345');
    }
    await server.wait('channel.closed', ({ kind }) => kind === 'forwarded-tcpip');
    await client.stop();
    const closed = await server.wait('connection.closed');
    const who = { conn: closed.conn, peer: closed.peer, user: 'alice', fingerprint: /^SHA256:/ };
    const direct = { ...who, kind: 'direct-tcpip', destination: `localhost:${echo.port}`, channel: 1 };
    const forwarded = { ...who, kind: 'forwarded-tcpip', destination: `localhost:${far}`, channel: 2 };
    const forward = { ...who, kind: 'tcpip-forward', destination: `localhost:${far}` };
    const moved = { bytesIn: 5, bytesOut: 5, durationMs: Number };
    t.match(closed, { ...who, reason: /^PEER_/, bytesIn: Number, bytesOut: Number, durationMs: Number });
    const story = server.told.filter(({ event }) => /^(connection|auth|channel|forward)\./.test(event));
    t.match(story, [
      { event: 'connection.accepted', conn: closed.conn, peer: closed.peer, worker: Number, time: Date },
      { event: 'auth.succeeded', ...who, method: 'publickey' },
      { event: 'forward.bound', ...forward },
      { event: 'channel.opened', ...direct },
      { event: 'channel.closed', ...direct, ...moved, reason: 'COMPLETE' },
      { event: 'channel.opened', ...forwarded },
      { event: 'channel.closed', ...forwarded, ...moved, reason: 'COMPLETE' },
      { event: 'forward.released', ...forward, ...moved, reason: 'CONNECTION_CLOSED' },
      { event: 'connection.closed', ...who },
    ]);
    await server.close();
    await iterating;
    t.same(
      iterated.filter(({ event }) => !/^(server|worker)\./.test(event)),
      story,
      'an iteration hears the same',
    );
  });
}

for (const mode of MODES) {
  t.test(`a handler's own listeners hear the connections of its process, ${mode}`, async (t) => {
    if (!need(t, ['ssh', 'ssh-keygen'])) return;
    const server = await serveIn(t, mode, handlerUrl('recorder'));
    const { alice } = await logins(t, 'alice');
    const near = await freePort();
    await tunnel(t, server, alice, ['-L', `${near}:calls:80`]);
    const { conn } = await server.wait('auth.succeeded');
    const heard = (await callsAt(near)).calls.filter(({ hook }) => hook === 'listener');
    t.match(heard, [
      { event: 'connection.accepted', conn },
      { event: 'auth.succeeded', conn },
    ]);
  });
}

t.test('a port belongs to one identity on all workers, whatever the hooks say', async (t) => {
  if (!need(t, ['ssh', 'ssh-keygen'])) return;
  for (const mode of MODES) {
    const server = await serveIn(t, mode, handlerUrl('recorder'));
    const { alice, bob } = await logins(t, 'alice', 'bob');
    const far = await freePort();
    await tunnel(t, server, alice, ['-R', `localhost:${far}:localhost:1`]);
    await t.rejects(tunnel(t, server, bob, ['-R', `localhost:${far}:localhost:1`]), /remote port forwarding failed/);
    t.match(await server.wait('forward.refused'), { user: 'bob', reason: 'PORT_TAKEN' });
  }
});

t.test('a worker that dies is told, and the cluster serves on', async (t) => {
  const server = await serveIn(t, 'cluster', handlerUrl('recorder'), { workers: 1 });
  const before = server.hub.events();
  const client = rawClient(t, server);
  await client.login('alice', { password: 'foo' });
  const accepted = await server.wait('connection.accepted');
  await server.wait('auth.succeeded'); // then the primary knows of the login
  const children = readFileSync(`/proc/self/task/${process.pid}/children`, 'utf8').trim().split(' ');
  const pids = children
    .filter((pid) => readFileSync(`/proc/${pid}/cmdline`, 'utf8').includes('/worker/main.js'))
    .map(Number);
  t.equal(pids.length, 1);
  process.kill(pids[0] ?? 0, 'SIGKILL');
  t.match(await server.wait('worker.exited'), { reason: 'CRASHED', worker: accepted.worker });
  t.match(await server.wait('connection.closed'), { conn: accepted.conn, user: 'alice', reason: 'WORKER_LOST' });
  await before.return?.();
  const again = rawClient(t, server);
  await again.login('alice', { password: 'foo' });
  await cut(client.socket);
});

t.test('the config-driven server is one of them', async (t) => {
  const { alice } = await logins(t, 'alice');
  if (!need(t, ['ssh', 'ssh-keygen'])) return;
  const echo = await startEcho(t);
  const users = { alice: { authorizedKeys: `${alice.keyFile}.pub`, permitOpen: [`localhost:${echo.port}`] } };
  const server = new ConfiguredServer({ ...quiet(t), users });
  await server.listen();
  t.teardown(() => server.close());
  const [near, denied] = [await freePort(), await freePort()];
  const endpoint = { host: '127.0.0.1', port: portOf(server) };
  const specs = ['-L', `${near}:localhost:${echo.port}`, '-L', `${denied}:localhost:${portOf(server)}`];
  const { client } = await tunnel(t, endpoint, alice, specs);
  const socket = await connect(t, near);
  socket.end('hello');
  t.equal(Buffer.concat(await socket.toArray()).toString(), 'hello');
  await connect(t, denied);
  await client.waitFor(/administratively prohibited/);
});

t.test('an http.Server ends idle tunnels as it ends idle connections', async (t) => {
  const page = createHttpServer({ keepAliveTimeout: 50 }, (_request, response) => response.end('hello'));
  class Page extends Open {
    override checkDirect(): DirectAnswer {
      return page;
    }
  }
  const server = new Page(quiet(t));
  await server.listen();
  t.teardown(() => server.close({ now: true }));
  const client = rawClient(t, { host: '127.0.0.1', port: portOf(server) });
  await client.login('alice', { password: 'x' });
  const channel = await openDirectChannel(client, 80, { host: 'page' });
  client.send(dataMessage(channel, 'GET / HTTP/1.1\r\nHost: page\r\n\r\n'));
  t.match((await client.take(MSG.CHANNEL_DATA)).toString('latin1'), /^.{9}HTTP\/1\.1 200 OK\r\n/s);
  await client.take(MSG.CHANNEL_CLOSE);
  client.send(Buffer.from([MSG.CHANNEL_CLOSE, 0, 0, 0, channel.peerId]));
});
