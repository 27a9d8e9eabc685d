/** ROUTER: what a worker says counts for what it holds, and nothing that it says ends the primary. */
import t from 'tap';
import { Door } from '../../src/master/door.js';
import { Handoff } from '../../src/master/handoff.js';
import { LeaseDesk } from '../../src/master/lease_desk.js';
import { Ledger } from '../../src/master/ledger.js';
import { type RouterRooms, route } from '../../src/master/router.js';
import type { AuditEvent } from '../../src/shared/events.js';
import type { AskId, ConnId, ToPrimary, ToWorker } from '../../src/shared/ipc.js';
import { FakeClock } from '../support/fake_clock.js';
import { testConfig } from '../support/test_config.js';

const CONN = 7 as ConnId;
const PEER = { address: '192.0.2.1', port: 5000 };
const ASK = 1 as AskId;

function rooms() {
  const told: [number, ToWorker][] = [];
  const troubles: string[] = [];
  const clock = new FakeClock();
  const ledger = new Ledger({ random: () => 0 });
  ledger.accept(CONN, PEER, 0);
  ledger.assign(CONN, 1);
  const tell = (worker: number, message: ToWorker): void => {
    told.push([worker, message]);
  };
  const desk = new LeaseDesk(ledger, { probe() {}, close() {} }, clock);
  const handoff = new Handoff(
    { pick: () => ({ kind: 'wait' }), give() {}, tell, taken() {} },
    { accepted() {}, refused() {} },
    clock,
  );
  const trouble = (text: string): void => {
    troubles.push(text);
  };
  const heard: AuditEvent[] = [];
  const event = (told: AuditEvent): void => {
    heard.push(told);
  };
  const config = testConfig({ penalties: { min: '1s' } });
  const door = new Door({ config, maxWaiting: 10, event, clock, random: () => 0.999 });
  const verdict = door.admit(PEER, { draining: false, open: 0, waiting: 0 }, null);
  if (verdict.admit) door.begins(CONN, verdict.startup);
  const losses: [number, number][] = [];
  const looks: [number, number, number][] = [];
  const counted: string[] = [];
  const made: RouterRooms = {
    ledger,
    door,
    desk,
    handoff,
    event,
    metrics: {
      counted: (worker, { count }) => counted.push(`${count} by ${worker}`),
      loaded: (lagMs) => counted.push(`lag ${lagMs}`),
    },
    bandwidth: (worker, { upBytes, downBytes }) => ({ upBytes: upBytes + worker, downBytes }),
    seen: (worker, look, { total }, isLast) => looks.push([worker, look, isLast ? total : -total]),
    complete: () => null,
    code: ({ user, step }) => (user === 'alice' && step === 7 ? 'OK' : 'WRONG'),
    proxied: (_id, client) => (client?.address === '192.0.2.1' ? { admit: true } : { admit: false, lastWords: 'no' }),
    lost: (worker, count) => losses.push([worker, count]),
    tell,
    trouble,
  };
  return { rooms: made, told, troubles, heard, losses, looks, counted, ledger, door };
}

const login: ToPrimary = {
  type: 'ask',
  ask: ASK,
  question: { kind: 'login', id: CONN, user: 'alice', limit: 1 },
};

t.test('a worker that wants bytes for a user is answered', async (t) => {
  const made = rooms();
  route(made.rooms, 2, { type: 'want', ask: ASK, user: 'alice', bytesPerSecond: 9, upBytes: 5, downBytes: 0 });
  t.same(made.told, [[2, { type: 'grant', ask: ASK, upBytes: 7, downBytes: 0 }]]);
});

t.test('what a worker has seen goes to whoever looked', async (t) => {
  const made = rooms();
  route(made.rooms, 2, { type: 'seen', look: 7, seen: { kind: 'forwards', total: 3, forwards: [] } });
  route(made.rooms, 2, { type: 'seen', look: 8, seen: { kind: 'forwards', total: 3, forwards: [] }, more: true });
  t.same(made.looks, [
    [2, 7, 3],
    [2, 8, -3],
  ]);
});

t.test('a worker that asks about a code is answered', async (t) => {
  const made = rooms();
  for (const step of [7, null]) route(made.rooms, 2, { type: 'code', ask: ASK, user: 'alice', key: 'k', step });
  t.same(made.told, [
    [2, { type: 'judged', ask: ASK, verdict: 'OK' }],
    [2, { type: 'judged', ask: ASK, verdict: 'WRONG' }],
  ]);
});

t.test('a code waits until the workers of an earlier primary have said which are used', async (t) => {
  const made = rooms();
  let report = (): void => {};
  const complete = new Promise<void>((resolve) => {
    report = resolve;
  });
  let isUsed = false;
  const waiting: RouterRooms = { ...made.rooms, complete: () => complete, code: () => (isUsed ? 'REPLAYED' : 'OK') };
  route(waiting, 2, { type: 'code', ask: ASK, user: 'alice', key: 'k', step: 7 });
  await new Promise(setImmediate);
  t.same(made.told, []);
  isUsed = true;
  report();
  await new Promise(setImmediate);
  t.same(made.told, [[2, { type: 'judged', ask: ASK, verdict: 'REPLAYED' }]]);
});

t.test('the holder of a connection is answered, another worker is refused', async (t) => {
  const made = rooms();
  route(made.rooms, 2, login);
  await new Promise(setImmediate);
  t.same(made.told, [[2, { type: 'answer', ask: ASK, answer: { ok: false, reason: 'DRAINING' } }]]);
  t.equal(made.ledger.usage('alice').connections, 0);
  route(made.rooms, 1, login);
  await new Promise(setImmediate);
  t.same(made.told[1], [1, { type: 'answer', ask: ASK, answer: { ok: true, port: 0 } }]);
});

t.test('a question that cannot be read is answered with a no, and told', async (t) => {
  const made = rooms();
  const target = { kind: 'tcp', host: 'localhost', port: 0 }; // no ranges
  const question = JSON.parse(JSON.stringify({ kind: 'lease', id: CONN, user: 'alice', limit: 1, target }));
  route(made.rooms, 1, { type: 'ask', ask: ASK, question });
  await new Promise(setImmediate);
  t.same(made.told, [[1, { type: 'answer', ask: ASK, answer: { ok: false, reason: 'DRAINING' } }]]);
  t.match(made.troubles, [/^worker 1 asked/]);
});

t.test("another worker's word on a connection changes nothing", async (t) => {
  const made = rooms();
  route(made.rooms, 2, { type: 'ask', ask: ASK, question: { kind: 'login', id: CONN, user: 'a', limit: 1 } });
  route(made.rooms, 2, { type: 'closed', id: CONN });
  t.equal(made.ledger.usage('a').connections, 0);
  t.equal(made.ledger.size, 1);
  route(made.rooms, 1, { type: 'ask', ask: ASK, question: { kind: 'login', id: CONN, user: 'a', limit: 1 } });
  t.equal(made.ledger.usage('a').connections, 1);
  route(made.rooms, 1, { type: 'closed', id: CONN });
  t.equal(made.ledger.size, 0);
});

t.test('what a connection did until its login counts for its source, when its holder says so', async (t) => {
  const blamed = rooms();
  route(blamed.rooms, 2, { type: 'closed', id: CONN, penalty: 'AUTH_FAIL' });
  t.match(blamed.door.status(), { suspects: 0 }, 'another worker may not');
  route(blamed.rooms, 1, { type: 'closed', id: CONN, penalty: 'AUTH_FAIL' });
  route(blamed.rooms, 1, { type: 'closed', id: CONN, penalty: 'AUTH_FAIL' });
  t.match(blamed.door.status(), { suspects: 1 });
  t.same(blamed.heard, [{ event: 'source.penalised', source: '192.0.2.1', reason: 'AUTH_FAIL', durationMs: 5_000 }]);
  const welcome = rooms();
  route(welcome.rooms, 1, login);
  route(welcome.rooms, 1, { type: 'closed', id: CONN });
  t.match(welcome.door.status(), { suspects: 0, known: 1 });
});

t.test('events are passed on in order, and a loss is told with the worker whose it was', async (t) => {
  const made = rooms();
  const events: AuditEvent[] = [
    { event: 'server.draining', detail: 'first' },
    { event: 'server.draining', detail: 'second' },
  ];
  route(made.rooms, 2, { type: 'events', events, lost: 0 });
  t.same([made.heard, made.losses], [events, []]);
  route(made.rooms, 2, { type: 'events', events: [], lost: 3 });
  t.same([made.losses, made.troubles], [[[2, 3]], []]);
});

t.test("counts and loads are the metrics' affair", async (t) => {
  const made = rooms();
  const load = { connections: 1, channels: 2, bufferedBytes: 3, loopLagMs: 4 };
  route(made.rooms, 2, { type: 'load', load });
  route(made.rooms, 2, { type: 'counted', count: 7, counts: { counters: {}, histograms: {}, gauges: {} } });
  t.same(made.counted, ['lag 4', '7 by 2']);
});
