import { once } from 'node:events';
import net from 'node:net';
import { mock } from 'node:test';
import { setImmediate as nextTurn } from 'node:timers/promises';
import t, { type Test } from 'tap';
import { type TcpHandle, takeHandle } from '../../src/shared/handles.js';
import type { ConnId, LeaseTarget, Seen, SeenPart, ToPrimary, WorkerCounts } from '../../src/shared/ipc.js';
import { ALONE_MS, type OrphanSide } from '../../src/worker/orphan.js';
import {
  type LinkHandler,
  type PrimaryChannel,
  PrimaryLink,
  type WorkerServer,
} from '../../src/worker/primary_link.js';
import { UNHEARD_MS } from '../../src/worker/questions.js';
import { runWorker } from '../../src/worker/run.js';
import { deferred, within } from '../support/deadline.js';
import { fakeTimers } from '../support/fake_timers.js';
import { testConfig } from '../support/test_config.js';

const id = (value: number): ConnId => value as ConnId;
const NOW_NS = 5_000_000_000n;

class FakeChannel implements PrimaryChannel {
  connected = true;
  readonly sent: ToPrimary[] = [];
  /** Written when the test says so. */
  readonly unwritten: (() => void)[] = [];
  #message: (message: unknown, handle: unknown) => void = () => {};
  #disconnect: () => void = () => {};

  send(messages: readonly ToPrimary[], done: () => void): void {
    this.sent.push(...messages);
    this.unwritten.push(done);
  }
  onMessage(listener: (message: unknown, handle: unknown) => void): void {
    this.#message = listener;
  }
  onDisconnect(listener: () => void): void {
    this.#disconnect = listener;
  }
  receive(message: unknown, handle?: unknown): void {
    this.#message(message, handle);
  }
  disconnect(): void {
    this.connected = false;
    this.#disconnect();
  }
  write(): void {
    for (const done of this.unwritten.splice(0)) done();
  }
  /** All but the greeting and the counts. */
  get said(): ToPrimary[] {
    return this.sent.filter(({ type }) => type !== 'hello' && type !== 'counted');
  }
  /** The numbers under which counts were told; null: unasked. */
  get counted(): (number | null)[] {
    return this.sent.flatMap((message) => (message.type === 'counted' ? [message.count] : []));
  }
}

const anyPort: LeaseTarget = { kind: 'tcp', host: 'localhost', port: 0, portRanges: [[1024, 65_535]], except: [] };

const IDLE_HANDLER: LinkHandler = {
  start: () => {},
  connection: () => true,
  close: () => {},
  probe: async () => true,
  survey: () => {},
  count: () => {},
  drain: () => {},
  retire: () => {},
  reload: () => {},
  orphaned: () => {},
  fault: () => {},
};

function room(handler: Partial<LinkHandler> = {}) {
  const channel = new FakeChannel();
  const heard: string[] = [];
  const link = new PrimaryLink(
    channel,
    () => NOW_NS,
    (call) => call(),
  );
  link.listen({
    start: () => heard.push('start'),
    connection(connection) {
      heard.push(`connection ${connection.id} from ${connection.peer.address}:${connection.peer.port}`);
      return true;
    },
    close: (conn, reason) => heard.push(`close ${conn}: ${reason}`),
    probe: async () => true,
    survey: () => {},
    count: (count) => heard.push(`count ${count}`),
    drain: (deadlineMs) => heard.push(`drain ${deadlineMs}`),
    retire: (deadlineMs) => heard.push(`retire ${deadlineMs}`),
    reload: () => heard.push('reload'),
    orphaned: () => heard.push('orphaned'),
    fault: () => heard.push('fault'),
    ...handler,
  });
  return { channel, link, heard };
}

async function realHandle(t: Test): Promise<TcpHandle> {
  const server = net.createServer({ pauseOnConnect: true });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const address = server.address();
  if (address === null || typeof address === 'string') throw new Error('no port');
  const far = net.connect({ host: '127.0.0.1', port: address.port });
  far.on('error', () => {});
  const [socket]: net.Socket[] = await within(once(server, 'connection'), 'connection');
  const handle = socket === undefined ? undefined : takeHandle(socket);
  if (handle === undefined) throw new Error('no handle');
  t.teardown(() => {
    handle.close();
    far.destroy();
    server.close();
  });
  return handle;
}

const connection = {
  type: 'connection',
  id: 1,
  peerAddress: '192.0.2.1',
  peerPort: 5,
  proxied: false,
  deadlineNs: String(NOW_NS),
};

t.test('the greeting comes first, so that `start` is not sent to nobody', async (t) => {
  t.same(room().channel.sent, [{ type: 'hello' }]);
});

t.test('a socket in time is accepted in the same turn; the handle stays open', async (t) => {
  const { channel, heard } = room();
  const handle = await realHandle(t);
  channel.receive(connection, handle);
  t.same(channel.said, [{ type: 'accepted', id: 1 }]);
  t.same(heard, ['connection 1 from 192.0.2.1:5']);
  t.ok(handle.fd >= 0);
});

t.test('a socket that comes too late is closed unread and refused', async (t) => {
  const { channel, heard } = room();
  const handle = await realHandle(t);
  channel.receive({ ...connection, deadlineNs: String(NOW_NS - 1n) }, handle);
  t.same(channel.said, [{ type: 'refused', id: 1, reason: 'HANDOFF_FAILED' }]);
  t.same(heard, []);
  t.ok(handle.fd < 0);
  t.equal(handle.bytesRead ?? 0, 0);
});

t.test('without a handle, without room, with a fault: refused, and nothing stays open', async (t) => {
  const bare = room();
  bare.channel.receive(connection);
  t.same(bare.channel.said, [{ type: 'refused', id: 1, reason: 'HANDOFF_FAILED' }]);

  const full = room({ connection: () => 'AT_CAPACITY' });
  const handle = await realHandle(t);
  full.channel.receive(connection, handle);
  t.same(full.channel.said, [{ type: 'refused', id: 1, reason: 'AT_CAPACITY' }]);
  t.ok(handle.fd < 0);

  const faulty = room({
    connection() {
      throw new Error('bug');
    },
  });
  const other = await realHandle(t);
  faulty.channel.receive(connection, other);
  t.match(faulty.channel.said, [{ type: 'refused', id: 1 }]);
  t.same(faulty.heard, ['fault']);
  t.ok(other.fd < 0);
});

t.test('however many events, one message of them is under way, so that a pong need not wait behind them', async (t) => {
  const { channel, link } = room();
  channel.write();
  for (let turn = 0; turn < 20; turn++) {
    for (let conn = 0; conn < 5_000; conn++) link.event({ event: 'connection.accepted', conn, peer: 'p', worker: 1 });
    await nextTurn();
  }
  channel.receive({ type: 'ping' });
  t.same(
    channel.said.map(({ type }) => type),
    ['events', 'pong'],
  );
});

t.test('what is no message of ours is counted, and a handle with it is closed', async (t) => {
  const { channel, link, heard } = room();
  const handle = await realHandle(t);
  for (const message of [null, 7, 'ping', {}, { type: 'nonsense' }, { type: 'close' }]) channel.receive(message);
  channel.receive({ type: 'nonsense' }, handle);
  t.equal(link.dropped, 7);
  t.same([heard, channel.said], [[], []]);
  t.ok(handle.fd < 0);
});

t.test('each question gets its own answer, in whatever order they come', async (t) => {
  const { channel, link } = room();
  const answers = [link.login(id(1), 'alice', 2), link.lease(id(1), 'alice', 2, { kind: 'unix', path: '/a' })];
  t.match(channel.said, [
    { type: 'ask', ask: 1, question: { kind: 'login', id: 1, user: 'alice', limit: 2 } },
    { type: 'ask', ask: 2, question: { kind: 'lease', target: { path: '/a' } } },
  ]);
  channel.receive({ type: 'answer', ask: 2, answer: { ok: false, reason: 'TAKEN' } });
  channel.receive({ type: 'answer', ask: 2, answer: { ok: true, port: 1 } });
  channel.receive({ type: 'answer', ask: 9, answer: { ok: true, port: 1 } });
  channel.receive({ type: 'answer', ask: 1, answer: { ok: true, port: 0 } });
  t.same(await Promise.all(answers), [
    { ok: true, port: 0 },
    { ok: false, reason: 'TAKEN' },
  ]);
});

t.test('bytes for a user: each want is answered by its grant', async (t) => {
  const { channel, link } = room();
  const want = { user: 'alice', bytesPerSecond: 1_000, upBytes: 200, downBytes: 0 };
  const [first, second] = [link.bandwidth(want), link.bandwidth({ ...want, user: 'bob' })];
  await new Promise((resolve) => setImmediate(resolve));
  t.same(channel.said, [
    { type: 'want', ask: 1, ...want },
    { type: 'want', ask: 2, ...want, user: 'bob' },
  ]);
  channel.receive({ type: 'grant', ask: 2, upBytes: 20, downBytes: 0 });
  channel.receive({ type: 'grant', ask: 1, upBytes: 10, downBytes: 0 });
  channel.receive({ type: 'grant', ask: 1, upBytes: 99, downBytes: 99 });
  t.match(await first, { upBytes: 10, downBytes: 0 });
  t.match(await second, { upBytes: 20, downBytes: 0 });
});

t.test('without a primary every question is answered in the end, and nothing is sent', async (t) => {
  const clock = fakeTimers(t);
  const { channel, link, heard } = room();
  const before = [link.login(id(1), 'alice', 2), link.lease(id(1), 'alice', 2, anyPort)];
  const want = { user: 'alice', bytesPerSecond: 1_000, upBytes: 200, downBytes: 0 };
  const wanted = link.bandwidth(want);
  channel.disconnect();
  const granted = { ok: true, port: 0 };
  const refused = { ok: false, reason: 'DRAINING' };
  const after = [link.login(id(2), 'alice', 2), link.lease(id(2), 'alice', 2, anyPort)];
  clock.advance(UNHEARD_MS);
  t.same(await Promise.all(before), [granted, refused], 'a login has happened; a port may be somebody else has it');
  t.same(await Promise.all(after), [granted, refused]);
  t.same([await wanted, await link.bandwidth(want)], [null, null]);
  link.closed(id(1));
  t.equal(channel.said.length, 3);
  t.same(heard, ['orphaned']);
});

t.test('the next primary is told what is held, and what happened since it was', async (t) => {
  const { channel, link } = room();
  for (const number of [1, 2, 3]) channel.receive({ ...connection, id: number }, await realHandle(t));
  const peer = { address: connection.peerAddress, port: connection.peerPort };
  const answers = [
    link.login(id(1), 'alice', 9),
    link.lease(id(1), 'alice', 9, anyPort),
    link.lease(id(1), 'alice', 9, { kind: 'unix', path: '/run/a.sock' }),
    link.login(id(2), 'bob', 9),
  ];
  for (const [at, port] of [0, 4711, 0, 0].entries())
    channel.receive({ type: 'answer', ask: at + 1, answer: { ok: true, port } });
  await Promise.all(answers);
  link.release(id(1), { kind: 'unix', path: '/run/a.sock' });
  link.closed(id(2));
  channel.disconnect();
  link.event({ event: 'connection.closed', conn: 3, peer: 'p', reason: 'PEER_CLOSED', durationMs: 1 });
  t.same(link.held(), [
    {
      id: 1,
      peer,
      user: 'alice',
      leases: [
        { key: { kind: 'tcp', port: 4711 }, target: { kind: 'tcp', host: 'localhost', port: 4711 }, user: 'alice' },
      ],
    },
    { id: 3, peer, user: null, leases: [] },
  ]);

  const next = new FakeChannel();
  link.follow(next);
  t.match(next.sent, [{ type: 'events', events: [{ conn: 3 }] }], 'an event without a hearer has waited');
  next.receive({ type: 'ping' });
  t.match(next.sent.at(-1), { type: 'pong' });
  const asked = link.lease(id(3), 'carol', 1, anyPort);
  next.receive({ type: 'answer', ask: 5, answer: { ok: true, port: 4712 } });
  t.same(await asked, { ok: true, port: 4712 });
  channel.write(); // what the first primary was sent is nobody's business any more
  const unheard = link.lease(id(3), 'carol', 1, anyPort);
  next.disconnect();
  const third = new FakeChannel();
  link.follow(third);
  t.match(third.sent, [{ type: 'ask', ask: 6 }], 'it is asked once more what the second was asked');
  third.receive({ type: 'answer', ask: 6, answer: { ok: false, reason: 'TAKEN' } });
  t.match(await unheard, { reason: 'TAKEN' });
});

t.test("codes: the verdict is the primary's, and those that were good are told to the next one", async (t) => {
  const { channel, link } = room();
  const use = { user: 'alice', key: 'k', step: 7 };
  const asked = [link.code(use), link.code({ ...use, step: null }), link.code({ ...use, user: 'bob' })];
  t.match(channel.said[0], { type: 'code', ask: 1, ...use });
  for (const [at, verdict] of ['OK', 'WRONG', 'REPLAYED'].entries())
    channel.receive({ type: 'judged', ask: at + 1, verdict });
  t.same(await Promise.all(asked), ['OK', 'WRONG', 'REPLAYED']);
  t.same(link.usedCodes(), [use]);
  channel.disconnect();
  t.equal(await link.code(use), null, 'nobody knows');
});

t.test('ping, probe, close, revoke, drain', async (t) => {
  const probes = [Promise.resolve(false), Promise.reject(new Error('no idea'))];
  const { channel, heard } = room({ probe: () => probes.shift() ?? Promise.resolve(true) });
  channel.receive({ type: 'ping' });
  channel.receive({ type: 'probe', probe: 8, id: 1, timeoutMs: 5 });
  channel.receive({ type: 'probe', probe: 9, id: 1, timeoutMs: 5 });
  channel.receive({ type: 'close', id: 1, reason: 'REPLACED' });
  channel.receive({ type: 'revoke', id: 2 });
  channel.receive({ type: 'drain', deadlineMs: 7 });
  await new Promise((resolve) => setImmediate(resolve));
  t.same(channel.said, [
    { type: 'pong' },
    { type: 'probed', probe: 8, alive: false },
    { type: 'probed', probe: 9, alive: true }, // in doubt nobody loses a port
  ]);
  t.same(heard, ['close 1: REPLACED', 'close 2: REVOKED', 'drain 7']);
});

t.test('flushed: when the last message is written', async (t) => {
  const { channel, link } = room();
  channel.write();
  await link.flushed();
  link.closed(id(1));
  let done = false;
  const flushed = link.flushed().then(() => {
    done = true;
  });
  await new Promise((resolve) => setImmediate(resolve));
  t.equal(done, false);
  channel.write();
  await flushed;
});

t.test('what is said in one turn is one message, in order; an accepted socket is told at once', async (t) => {
  const channel = new FakeChannel();
  const turns: (() => void)[] = [];
  const link = new PrimaryLink(
    channel,
    () => NOW_NS,
    (call) => turns.push(call),
  );
  link.listen({ ...IDLE_HANDLER });
  link.closed(id(1));
  link.event({ event: 'connection.accepted', conn: 1, peer: 'p', worker: 1 });
  t.same([channel.sent.length, turns.length], [0, 1], 'nothing before the end of the turn');
  turns.shift()?.();
  t.same(
    channel.sent.map(({ type }) => type),
    ['hello', 'closed', 'events'],
  );
  t.equal(channel.unwritten.length, 1, 'one message');
  channel.receive(connection, await realHandle(t));
  t.equal(channel.sent.at(-1)?.type, 'accepted');
  t.equal(channel.unwritten.length, 2);
});

t.test('flushed: not before the events are written that waited for others', async (t) => {
  const channel = new FakeChannel();
  const link = new PrimaryLink(
    channel,
    () => NOW_NS,
    () => {}, // the process exits before another turn ends
  );
  link.listen({ ...IDLE_HANDLER });
  link.event({ event: 'connection.accepted', conn: 1, peer: 'p', worker: 1 });
  const flushed = link.flushed();
  link.event({ event: 'connection.accepted', conn: 2, peer: 'p', worker: 1 });
  channel.write();
  const events = (): number => channel.sent.filter(({ type }) => type === 'events').length;
  t.equal(events(), 2, 'the second one is under way');
  channel.write();
  await flushed;
});

// ---- a worker's life ----

function life(server: Partial<WorkerServer> | Error, orphan: OrphanSide | null = null, nowNs = () => NOW_NS) {
  const channel = new FakeChannel();
  const exited = deferred<number>();
  const calls: string[] = [];
  const worker = runWorker(
    { channel, nowNs, loopLagMs: () => 0, exit: (code) => exited.resolve(code), orphan },
    async () => {
      if (server instanceof Error) throw server;
      return {
        nativeBinding: true,
        accept: () => true,
        close: (conn, reason) => calls.push(`close ${conn}: ${reason}`),
        probe: async () => true,
        drain: async (deadlineMs) => void calls.push(`drain ${deadlineMs}`),
        retire: async () => void calls.push('retire'),
        reload: ({ config }) => calls.push(`reload ${config.limits.connections}`),
        look: () => {},
        survey: () => [{ seen: { kind: 'connections', total: 0, connections: [] }, isLast: true } as const].values(),
        load: () => ({ connections: 0, channels: 0, bufferedBytes: 0 }),
        counts: () => ({ counters: {}, histograms: {}, gauges: {} }),
        ...server,
      };
    },
  );
  const start = async (): Promise<void> => {
    const config = testConfig({ timeouts: { drain: '7s' } });
    channel.receive({
      type: 'start',
      config,
      hostKeys: [],
      ownListeners: [],
      workerId: 1,
      control: '/c',
      eventLevel: 'info',
    });
    await new Promise((resolve) => setImmediate(resolve));
    channel.write();
  };
  const exit = async (): Promise<number> => {
    await new Promise((resolve) => setImmediate(resolve));
    channel.write();
    return await within(exited.promise, 'exit');
  };
  return { channel, worker, calls, start, exit };
}

t.test('start: ready with what the server knows, or failed with the reason and exit 1', async (t) => {
  const good = life({ nativeBinding: false });
  await good.start();
  t.same(good.channel.said, [{ type: 'ready', nativeBinding: false }]);
  const bad = life(new Error('no host key'));
  await bad.start();
  t.same(bad.channel.said, [{ type: 'failed', message: 'no host key' }]);
  t.equal(await bad.exit(), 1);
});

t.test('a look goes to the primary that asked: the next one has looks of the same numbers', async (t) => {
  const tellers: ((part: SeenPart) => boolean)[] = [];
  const { channel, link } = room({ survey: (_query, tell) => tellers.push(tell) });
  const part: SeenPart = { seen: { kind: 'connections', total: 1, connections: [] }, isLast: true };
  const look = { type: 'look', look: 1, query: { kind: 'forwards', limit: 9 } };
  channel.receive(look);
  channel.disconnect();
  t.equal(tellers[0]?.(part), false, 'nobody is there');
  const next = new FakeChannel();
  link.follow(next);
  next.receive(look);
  t.equal(tellers[0]?.(part), false, 'another one is there');
  t.same(next.sent, []);
  t.equal(tellers[1]?.(part), true);
  t.match(next.sent, [{ type: 'seen', look: 1 }]);
  t.same(channel.said, []);
});

t.test('who asked is gone: no part is made any more', async (t) => {
  let made = 0;
  const survey = function* (): Generator<SeenPart, undefined> {
    for (;;) {
      made++;
      yield { seen: { kind: 'forwards', total: 0, forwards: [] }, isLast: false };
    }
  };
  const orphan: OrphanSide = { pid: 77, findPrimary: () => () => {}, onTerminate: () => {} };
  const { channel, start } = life({ survey }, orphan);
  await start();
  channel.receive({ type: 'look', look: 1, query: { kind: 'forwards', limit: 9 } });
  t.equal(made, 1, 'one part a turn');
  await nextTurn();
  channel.disconnect();
  await nextTurn();
  const atTheEnd = made;
  for (let turn = 0; turn < 5; turn++) await nextTurn();
  t.equal(made, atTheEnd);
});

t.test('a look is told part by part, with other things between them; one that fails has no last part', async (t) => {
  const part = (total: number): Seen => ({ kind: 'connections', total, connections: [] });
  let fails = false;
  const survey = function* (): Generator<SeenPart, undefined> {
    for (const total of [1, 2, 3]) {
      if (fails && total === 3) throw new Error('a bug');
      yield { seen: part(total), isLast: total === 3 };
    }
    return undefined;
  };
  const { channel, start } = life({ survey });
  await start();
  const query = { kind: 'connections', user: null, search: null, limit: 9 } as const;
  const heard = () => channel.sent.flatMap((said) => (said.type === 'seen' ? [said] : []));
  channel.receive({ type: 'look', look: 7, query });
  await nextTurn();
  t.ok(heard().length < 3, 'not in one turn');
  while (heard().length < 3) await nextTurn();
  t.same(heard(), [
    { type: 'seen', look: 7, seen: part(1), more: true },
    { type: 'seen', look: 7, seen: part(2), more: true },
    { type: 'seen', look: 7, seen: part(3) },
  ]);

  fails = true;
  const warned = within(new Promise((resolve) => process.once('warning', resolve)), 'a warning');
  channel.receive({ type: 'look', look: 8, query });
  t.match(await warned, { name: 'SallyportWarning', message: /a look at the connections failed: Error: a bug/ });
  t.ok(
    heard()
      .slice(3)
      .every(({ more }) => more === true),
  );
});

t.test('counts are told once: when ready, when asked, at the end, and never to nobody', async (t) => {
  let taken = 0;
  const counts = (): WorkerCounts => ({ counters: { series: ++taken }, histograms: {}, gauges: {} });
  const { channel, start, exit } = life({ counts });
  channel.receive({ type: 'count', count: 1 });
  t.equal(taken, 0, 'there is no server yet');
  await start();
  t.same(channel.counted, [null], 'from now on the primary knows that it may ask');
  channel.receive({ type: 'count', count: 2 });
  await nextTurn();
  t.same(channel.counted, [null, 2]);
  channel.receive({ type: 'drain', deadlineMs: 0 });
  t.equal(await exit(), 0);
  t.same(channel.counted, [null, 2, null], 'what the drain has ended is counted');
  t.equal(taken, 3);

  const orphan = life({ counts });
  await orphan.start();
  orphan.channel.disconnect();
  await orphan.exit();
  t.equal(taken, 4, 'taken for nobody they would be lost');
});

t.test('sockets before ready and while draining are refused', async (t) => {
  const { channel, start } = life({ drain: () => new Promise(() => {}) });
  channel.receive(connection, await realHandle(t));
  await start();
  channel.receive({ ...connection, id: 2 }, await realHandle(t));
  channel.receive({ type: 'drain', deadlineMs: 100 });
  channel.receive({ ...connection, id: 3 }, await realHandle(t));
  await nextTurn();
  t.match(
    channel.said.filter(({ type }) => type !== 'ready'),
    [
      { type: 'refused', id: 1, reason: 'NO_WORKER' },
      { type: 'accepted', id: 2 },
      { type: 'refused', id: 3, reason: 'DRAINING' },
    ],
  );
});

t.test('drain, an orphan and a fault: what each gives its tunnels, and the exit code', async (t) => {
  const drained = life({});
  await drained.start();
  drained.channel.receive({ type: 'drain', deadlineMs: 100 });
  t.equal(await drained.exit(), 0);
  t.same(drained.calls, ['drain 100']);

  const orphan = life({});
  await orphan.start();
  orphan.channel.disconnect();
  t.equal(await orphan.exit(), 0);
  t.same(orphan.calls, ['drain 7000'], 'the deadline of the config');

  const faulty = life({});
  await faulty.start();
  faulty.worker.fault(new Error('bug'));
  faulty.worker.fault(new Error('another'));
  t.equal(await faulty.exit(), 1);
  t.same(faulty.calls, ['drain 5000']);
  t.match(faulty.channel.said.slice(1), [{ type: 'stopping', message: /bug/ }]);
});

t.test(
  'an orphan that may have another primary keeps its tunnels, follows, and ends with the last of them',
  async (t) => {
    mock.timers.enable({ apis: ['setInterval', 'setTimeout'] });
    t.teardown(() => mock.timers.reset());
    let connections = 1;
    let found: (channel: FakeChannel) => void = () => {};
    let terminate = (): void => {};
    let searches = 0;
    const { channel, calls, start, exit } = life(
      { load: () => ({ connections, channels: 1, bufferedBytes: 0 }) },
      {
        pid: 77,
        findPrimary(path, introduce, listener) {
          searches++;
          t.equal(path, '/c');
          t.same(introduce(), { type: 'adopt', pid: 77, connections: [], codes: [] });
          found = listener;
          return () => {};
        },
        onTerminate: (listener) => {
          terminate = listener;
        },
      },
    );
    await start();
    terminate();
    t.same(calls, [], 'signals are the affair of the primary');
    channel.disconnect();
    t.equal(searches, 1);
    mock.timers.tick(ALONE_MS - 1_000);
    t.same(calls, []);
    const second = new FakeChannel();
    found(second);
    mock.timers.tick(ALONE_MS);
    t.same(calls, [], 'it has a primary again');
    second.receive({ type: 'close', id: 5, reason: 'REPLACED' });
    t.same(calls, ['close 5: REPLACED']);
    second.disconnect();
    t.equal(searches, 2, 'and once more');
    found(new FakeChannel());
    connections = 0;
    mock.timers.tick(1_000);
    t.same(calls, ['close 5: REPLACED'], 'not before it could report');
    mock.timers.tick(1_000);
    mock.timers.reset();
    t.equal(await exit(), 0);
  },
);

t.test('an orphan that stays alone ends its tunnels, at a signal at once', async (t) => {
  for (const how of ['signal', 'time'] as const) {
    mock.timers.enable({ apis: ['setInterval', 'setTimeout'] });
    let terminate = (): void => {};
    const { channel, calls, start, exit } = life(
      { load: () => ({ connections: 1, channels: 1, bufferedBytes: 0 }) },
      {
        pid: 77,
        findPrimary: () => () => {},
        onTerminate: (listener) => {
          terminate = listener;
        },
      },
    );
    await start();
    channel.disconnect();
    if (how === 'signal') terminate();
    else mock.timers.tick(ALONE_MS);
    mock.timers.reset();
    t.equal(await exit(), 0);
    t.same(calls, ['drain 7000'], how);
  }
});

t.test('a retired worker takes nothing new and exits with its last connection; a drain still ends it', async (t) => {
  const ended = deferred<void>();
  const { channel, calls, start, exit } = life({ retire: () => ended.promise });
  await start();
  channel.receive({ type: 'retire', deadlineMs: 0 });
  channel.receive(connection, await realHandle(t));
  await nextTurn();
  t.match(channel.said.at(-1), { type: 'refused', reason: 'DRAINING' });
  ended.resolve();
  t.equal(await exit(), 0);
  t.same(calls, ['drain 7000'], 'for what still waits for targets');

  const drained = life({ retire: () => new Promise(() => {}) });
  await drained.start();
  drained.channel.receive({ type: 'retire', deadlineMs: 0 });
  drained.channel.receive({ type: 'drain', deadlineMs: 100 });
  t.equal(await drained.exit(), 0);
  t.same(drained.calls, ['drain 100']);

  const bounded = life({ retire: () => new Promise(() => {}) });
  await bounded.start();
  bounded.channel.receive({ type: 'retire', deadlineMs: 1 });
  while (bounded.calls.length === 0) await nextTurn();
  t.same(bounded.calls, ['drain 7000'], 'after its time it drains as the config says');
  t.equal(await bounded.exit(), 0);
});

t.test(
  'each primary that follows says by its own config when a retired worker drains; the time counts from the first',
  async (t) => {
    const clock = fakeTimers(t);
    const retire = async (
      ...deadlines: readonly (readonly [atMs: number, deadlineMs: number])[]
    ): Promise<number | null> => {
      let nowMs = 0;
      const { channel, calls, start } = life(
        { retire: () => new Promise(() => {}) },
        null,
        () => BigInt(nowMs) * 1_000_000n,
      );
      await start();
      const pass = (untilMs: number): void => {
        while (nowMs < untilMs && calls.length === 0) {
          nowMs += 500;
          clock.advance(500);
        }
      };
      for (const [atMs, deadlineMs] of deadlines) {
        pass(atMs);
        channel.receive({ type: 'retire', deadlineMs });
      }
      pass(20_000);
      return calls.length === 0 ? null : nowMs;
    };
    t.equal(await retire([0, 5_000]), 5_000);
    t.equal(await retire([0, 5_000], [3_000, 5_000]), 5_000, 'a second takeover does not begin anew');
    t.equal(await retire([0, 5_000], [3_000, 9_000]), 9_000);
    t.equal(await retire([0, 5_000], [3_000, 0]), null);
    t.equal(await retire([0, 0], [6_000, 5_000]), 6_500, 'at once');
  },
);

t.test('other settings reach the server at once, or when it is there; what fails is a fault', async (t) => {
  const reload = (connections: number): object => ({
    type: 'reload',
    config: testConfig({ limits: { connections }, timeouts: { drain: '9s' } }),
    hostKeys: [],
    ownListeners: [],
    eventLevel: 'info',
    written: {},
  });
  const { channel, calls, start, exit } = life({});
  const starting = start();
  channel.receive(reload(1));
  await starting;
  await nextTurn();
  t.same(calls, ['reload 1']);
  channel.receive(reload(2));
  t.same(calls, ['reload 1', 'reload 2']);
  channel.disconnect();
  t.equal(await exit(), 0);
  t.equal(calls.at(-1), 'drain 9000', 'also for what the worker itself goes by');

  const faulty = life({
    reload: () => {
      throw new Error('bug');
    },
  });
  await faulty.start();
  faulty.channel.receive(reload(1));
  t.equal(await faulty.exit(), 1);
  t.match(faulty.channel.said.at(-1), { type: 'stopping', message: /bug/ });
});
