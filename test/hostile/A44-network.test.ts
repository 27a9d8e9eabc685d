/** A44: what a network does to a connection. A relay of ours goes silent both ways, or one way, while TCP connections stay
 *  up; a client comes back from another address; a stream arrives in pieces as small as an MTU of 576 leaves them.
 *  Loss and reordering never reach a server: TCP repairs both below it, and what is left of them is delay, which the relay
 *  makes by holding bytes back. That 45 s is the longest silence with the default config is told by the config's table and
 *  shown on a clock of its own in test/worker/connection/liveness.test.ts; here the same room runs with 1 s. */
import type { Socket } from 'node:net';
import t from 'tap';
import { exchange, MIB } from '../support/bytes.js';
import { hostile } from '../support/hostile.js';
import type { Running } from '../support/process.js';
import { dataMessage, openDirectChannel, rawClient } from '../support/raw_client.js';
import { startRelay } from '../support/relay.js';
import { startSegmenter } from '../support/segmenter.js';
import type { SshEndpoint } from '../support/server.js';
import { startTunnel, tunnel } from '../support/ssh.js';
import { canBind, connect, cut, freePort, startTarget } from '../support/targets.js';

/** Three times this is the longest silence. */
const SHORT = { timeouts: { drain: '2s', keepalive: '2s', keepaliveCount: 3 } };
const TARGET_BYTES = 64 * MIB;
const PACE_MS = 200;

hostile(t, 'A44', 'peers that vanish, and one that only hears nothing', { config: SHORT }, async (t, scene) => {
  const { server, mine, echoPort } = scene;
  const from = server.events.mark();
  const vanished: { readonly how: string; readonly port: number; readonly visitor: Socket }[] = [];
  const forward = async (how: string, endpoint: SshEndpoint): Promise<Running> => {
    const port = await freePort();
    const { client } = await tunnel(t, endpoint, server.alice, ['-R', `${port}:localhost:${echoPort}`]);
    vanished.push({ how, port, visitor: await connect(t, port) });
    return client;
  };
  for (const direction of ['both', 'to server'] as const) {
    const network = await startRelay(t, server);
    await forward(`silent ${direction}`, network);
    network.silence(direction);
  }
  const stopped = await forward('stopped', server); // its kernel acknowledges all that is sent
  stopped.signal('SIGSTOP');

  const network = await startRelay(t, server);
  const talker = mine(rawClient(t, network));
  await talker.login('alice', server.alice);
  const channel = await openDirectChannel(talker, echoPort);
  network.silence('to client'); // our questions do not reach it, but it talks
  const talking = setInterval(() => talker.send(dataMessage(channel, 'still here')), PACE_MS);
  t.teardown(() => clearInterval(talking));

  const closed = await server.events.waitAll(3, 'connection.closed', { reason: 'KEEPALIVE_TIMEOUT' }, from);
  await server.events.waitAll(3, 'forward.released', { user: 'alice' }, from);
  for (const { how, port, visitor } of vanished) {
    await cut(visitor);
    t.ok(await canBind(port), `${how}: its port is free`);
  }
  for (const { durationMs } of closed) t.ok(Number(durationMs) >= 4_000, 'nobody before two intervals');
  t.equal(server.events.list('connection.closed', { user: 'alice' }, from).length, 3, 'who talks is not ended');
  stopped.signal('SIGCONT');
});

hostile(
  t,
  'A44',
  'a peer that takes nothing, behind a network that takes nothing',
  { workers: [2], config: { timeouts: { drain: '2s', keepalive: '1h', stalledWrite: '2s' } } },
  async (t, { server, mine }) => {
    const source = await startTarget(t, (socket) => void socket.write(Buffer.alloc(TARGET_BYTES)));
    const network = await startRelay(t, server);
    const client = mine(rawClient(t, network));
    await client.login('alice', server.alice);
    await openDirectChannel(client, source.port);
    const from = server.events.mark();
    network.silence('to client');
    await server.events.wait('connection.closed', { user: 'alice', reason: 'WRITE_STALLED' }, from);
  },
);

hostile(t, 'A44', 'another address, and small pieces', { workers: [2] }, async (t, { server, echoPort }) => {
  // NAT rebinding and a change of the address are one to a server: the old connection is silent, the new one a stranger.
  const port = await freePort();
  const before = await startRelay(t, server, '127.0.0.1');
  const first = await tunnel(t, before, server.alice, ['-R', `${port}:localhost:${echoPort}`]);
  before.silence('both');
  const after = await startRelay(t, server, '127.0.0.2');
  const from = server.events.mark();
  const second = await tunnel(t, after, server.alice, ['-R', `${port}:localhost:${echoPort}`]);
  await server.events.wait('connection.closed', { user: 'alice', reason: 'REPLACED' }, from);
  const { sent, received } = await exchange(await connect(t, port), 'moved', MIB);
  t.same(received, sent, 'its port has moved with it');
  const stranger = startTunnel(t, server, server.bob, ['-R', `${port}:localhost:${echoPort}`]);
  t.match(await stranger.client.exited, { code: 255 });

  // 576 bytes less the headers of IP and TCP.
  const narrow = await startSegmenter(t, server, () => 536);
  const near = await freePort();
  const third = await tunnel(t, narrow, server.alice, ['-L', `${near}:localhost:${echoPort}`]);
  const piecewise = await exchange(await connect(t, near), 'narrow', MIB);
  t.same(piecewise.received, piecewise.sent, 'a stream in small pieces');
  for (const { client } of [first, second, third]) await client.stop('SIGKILL');
});
