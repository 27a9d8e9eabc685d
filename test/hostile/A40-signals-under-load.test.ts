/** A40: SIGHUP, SIGUSR2 and SIGTERM while OpenSSH's clients carry bytes both ways. A flow that ends in time ends whole, with
 *  equal hashes at both ends, whatever the server is told meanwhile; one that does not end in time is cut at the deadline, and
 *  both of its ends see it. Whoever has a channel open when a drain begins is told (SSH_MSG_DEBUG, RFC 4253 §11.3). */
import type { Socket } from 'node:net';
import t, { type Test } from 'tap';
import { digestOf, exchange, MIB } from '../support/bytes.js';
import { deferred, within } from '../support/deadline.js';
import { hostile, type Scene } from '../support/hostile.js';
import { type Tunnel, tunnel } from '../support/ssh.js';
import { connect, cut, freePort, startTarget } from '../support/targets.js';

const CLIENTS = 2;
const FLOWS_PER_CLIENT = 3;
const FLOW_BYTES = 2 * MIB;

interface Load {
  readonly clients: readonly Tunnel[];
  /** Their near ends. */
  readonly ports: readonly number[];
  /** Whether each flow came back whole. */
  readonly whole: Promise<readonly boolean[]>;
}

/** Resolves when every flow has moved bytes. */
async function startLoad(t: Test, { server, echoPort }: Scene): Promise<Load> {
  const ports = await Promise.all(Array.from({ length: CLIENTS }, () => freePort()));
  const clients = await Promise.all(
    ports.map((port) => tunnel(t, server, server.alice, ['-L', `${port}:127.0.0.1:${echoPort}`])),
  );
  const moving: Promise<unknown>[] = [];
  const flows = ports.flatMap((port) =>
    Array.from({ length: FLOWS_PER_CLIENT }, async (_, index) => {
      const begun = deferred<void>();
      moving.push(begun.promise);
      const near = await connect(t, port);
      near.once('data', () => begun.resolve());
      const seed = `${port} ${index}`;
      const { received } = await exchange(near, seed, FLOW_BYTES);
      return received.sha256 === digestOf(seed, FLOW_BYTES).sha256;
    }),
  );
  const whole = Promise.all(flows);
  whole.catch(() => {}); // told by allWhole
  await within(Promise.all(moving), 'first bytes of the flows');
  return { clients, ports, whole };
}

async function allWhole(t: Test, { whole }: Load): Promise<void> {
  const outcomes = await within(whole, 'end of the flows', 60_000);
  t.same(
    outcomes,
    Array.from({ length: CLIENTS * FLOWS_PER_CLIENT }, () => true),
    'every flow is whole',
  );
}

hostile(t, 'A40', 'reloads and new workers under load', { processesEnd: true }, async (t, scene) => {
  const { server, workers } = scene;
  const load = await startLoad(t, scene);
  const from = server.events.mark();
  for (let count = 0; count < 3; count++) {
    await server.reload({ ...server.config, limits: { connections: 1_000 + count } });
    (await scene.login()).socket.destroy();
  }
  server.signal('SIGUSR2');
  let logins = 0;
  while (server.events.list('worker.started', {}, from).length < workers) {
    (await scene.login()).socket.destroy();
    logins++;
  }
  t.ok(logins > 0, 'whoever comes meanwhile is served');
  await allWhole(t, load);
  t.same(server.events.list('connection.refused', {}, from), []);
  t.same(server.events.list('channel.closed', { reason: 'RIGHTS_WITHDRAWN' }, from), []);
  for (const { client } of load.clients) t.equal(client.hasExited, false, 'a client does not notice');
  const [port = 0] = load.ports;
  const { received } = await exchange(await connect(t, port), 'late', MIB);
  t.equal(received.sha256, digestOf('late', MIB).sha256, 'and may open new channels');
});

hostile(
  t,
  'A40',
  'SIGTERM under load',
  { processesEnd: true, bystanders: 0, config: { timeouts: { drain: '8s' } } },
  async (t, scene) => {
    const { server } = scene;
    const arrived = deferred<Socket>();
    const target = await startTarget(t, (socket) => arrived.resolve(socket));
    const port = await freePort();
    await tunnel(t, server, server.alice, ['-L', `${port}:127.0.0.1:${target.port}`]);
    const near = await connect(t, port);
    near.write('no end to this');
    const far = await within(arrived.promise, 'connection at the target');
    const load = await startLoad(t, scene);
    const from = server.events.mark();
    server.signal('SIGTERM');
    await server.events.wait('server.draining', {}, from);
    await t.rejects(scene.tcp(), 'nobody new is taken');
    for (const { client } of load.clients) await client.waitFor(/Remote: server is shutting down/);
    await allWhole(t, load);
    await Promise.all([cut(near), cut(far)]);
    t.same(await server.ended, { code: 0, signal: null });
    t.match(server.events.list('server.stopped'), [{ reason: 'DRAINED' }]);
    t.ok(server.events.list('channel.closed', { reason: 'PEER_CLOSED' }, from).length >= 1, 'the one that had no end');
  },
);
