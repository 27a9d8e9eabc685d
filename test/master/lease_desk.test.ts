import t from 'tap';
import { LEASE_DESK_TIMING, LeaseDesk } from '../../src/master/lease_desk.js';
import { Ledger } from '../../src/master/ledger.js';
import type { Answer, ConnId, Question } from '../../src/shared/ipc.js';
import { deferred } from '../support/deadline.js';
import { FakeClock } from '../support/fake_clock.js';

const id = (value: number): ConnId => value as ConnId;
const TAKEN: Answer = { ok: false, reason: 'TAKEN' };
const GRANTED: Answer = { ok: true, port: 2000 };

function leaseOf(conn: number, user = 'alice', limit = 5): Question {
  return {
    kind: 'lease',
    id: id(conn),
    user,
    limit,
    target: { kind: 'tcp', host: '', port: 2000, portRanges: [], except: [] },
  };
}

/** Connection 1 of worker 1 holds port 2000 for alice; 2 and 3 are of worker 2. */
async function desk(complete?: () => Promise<void> | null) {
  const clock = new FakeClock();
  const ledger = new Ledger({ random: () => 0 });
  const said: string[] = [];
  const made = new LeaseDesk(
    ledger,
    {
      probe: (worker, probe, conn, timeoutMs) => said.push(`probe ${probe} of ${conn} at ${worker} in ${timeoutMs}`),
      close: (worker, conn, reason) => said.push(`close ${conn} at ${worker}: ${reason}`),
    },
    clock,
    LEASE_DESK_TIMING,
    complete,
  );
  for (const [conn, worker] of [
    [1, 1],
    [2, 2],
    [3, 2],
  ] as const) {
    ledger.accept(id(conn), { address: '127.0.0.1', port: conn }, 0);
    ledger.assign(id(conn), worker);
  }
  await made.answer(leaseOf(1));
  const close = (conn: number): void => {
    ledger.closed(id(conn));
    made.released(id(conn));
  };
  /** Lets what was promised come true. */
  const settle = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));
  return { desk: made, ledger, clock, said, close, settle };
}

t.test('a living holder keeps its port', async (t) => {
  const { desk: made, clock, said } = await desk();
  const answer = made.answer(leaseOf(2));
  t.same(said, ['probe 1 of 1 at 1 in 700']);
  made.probed(1, 1, true);
  t.same(await answer, TAKEN);
  t.equal(said.length, 1, 'nobody is closed');
  t.equal(clock.pending, 0);
});

t.test('a dead holder is closed, and the port goes over once it is free', async (t) => {
  const { desk: made, clock, said, close, settle } = await desk();
  const answer = made.answer(leaseOf(2));
  made.probed(1, 1, false);
  await settle();
  t.same(said.slice(1), ['close 1 at 1: REPLACED']);
  close(1);
  t.same(await answer, GRANTED);
  t.equal(clock.pending, 0);
});

t.test('a dead holder is closed even where it stands for the whole limit', async (t) => {
  const { desk: made, close, settle } = await desk();
  const answer = made.answer(leaseOf(2, 'alice', 1));
  made.probed(1, 1, false);
  await settle();
  close(1);
  t.same(await answer, GRANTED);
});

t.test('every question is answered within a second, whoever is silent', async (t) => {
  t.ok(LEASE_DESK_TIMING.probeMs + LEASE_DESK_TIMING.slackMs + LEASE_DESK_TIMING.releaseMs <= 1000);
  const silent = await desk();
  const unanswered = silent.desk.answer(leaseOf(2));
  silent.clock.advance(800);
  t.same(await unanswered, TAKEN, 'its worker does not answer: nobody knows, and the port is bound');
  silent.desk.probed(1, 1, false);
  t.equal(silent.said.length, 1, 'a late answer changes nothing');

  const stubborn = await desk();
  const unreleased = stubborn.desk.answer(leaseOf(2));
  stubborn.desk.probed(1, 1, false);
  await stubborn.settle();
  stubborn.clock.advance(200);
  t.same(await unreleased, TAKEN, 'it does not let go');
  t.equal(stubborn.clock.pending, 0);
});

t.test('the holder leaves while it is asked: granted at once', async (t) => {
  for (const leave of ['closed', 'worker lost'] as const) {
    const { desk: made, ledger, close, clock } = await desk();
    const answer = made.answer(leaseOf(2));
    if (leave === 'closed') close(1);
    else for (const { connection } of ledger.workerLost(1)) made.released(connection.id);
    t.same(await answer, GRANTED, leave);
    t.equal(clock.pending, 0);
  }
});

t.test('two come back at once: one probe, one winner', async (t) => {
  const { desk: made, said, close, settle } = await desk();
  const answers = [made.answer(leaseOf(2)), made.answer(leaseOf(3))];
  made.probed(1, 1, false);
  await settle();
  close(1);
  t.same(await Promise.all(answers), [GRANTED, TAKEN]);
  t.equal(said.filter((text) => text.startsWith('probe')).length, 1);
});

t.test('who asked leaves meanwhile: nothing is leased to the dead', async (t) => {
  const { desk: made, ledger, close, settle } = await desk();
  const answer = made.answer(leaseOf(2));
  made.probed(1, 1, false);
  await settle();
  close(2);
  close(1);
  t.match(await answer, { ok: false });
  t.same([...ledger.leases()], []);
});

t.test('a probe is answered by the worker that was asked, and by nobody else', async (t) => {
  const { desk: made, said, settle } = await desk();
  void made.answer(leaseOf(2));
  made.probed(2, 1, false);
  made.probed(1, 99, false);
  await settle();
  t.equal(said.length, 1);
});

t.test('another user is answered without a probe; logins likewise', async (t) => {
  const { desk: made, said } = await desk();
  t.same(await made.answer(leaseOf(2, 'bob')), TAKEN);
  t.same(await made.answer({ kind: 'login', id: id(2), user: 'bob', limit: 1 }), { ok: true, port: 0 });
  t.same(said, []);
});

t.test('while workers of a server before are on their way nothing is granted that one of them may hold', async (t) => {
  const arrived = deferred<void>();
  let waiting: Promise<void> | null = null;
  const { desk: made, ledger, settle } = await desk(() => waiting);
  waiting = arrived.promise;
  const answers: [string, Answer][] = [];
  const ask = (name: string, question: Question) =>
    made.answer(question).then((answer) => answers.push([name, answer]));
  const port = { kind: 'tcp', host: '', port: 3000, portRanges: [], except: [] } as const;
  const lease = { kind: 'lease', limit: 1, target: port } as const;
  const asked = [
    ask('login', { kind: 'login', id: id(2), user: 'carol', limit: 1 }),
    ask('another', { ...lease, id: id(2), user: 'bob' }),
    ask('gone', { ...lease, id: id(3), user: 'bob' }),
  ];
  ledger.closed(id(3));
  await settle();
  t.same(answers, []);
  const peer = { address: '127.0.0.1', port: 9 };
  const held = {
    key: { kind: 'tcp', port: 3000 },
    target: { kind: 'tcp', host: '', port: 3000 },
    user: 'carol',
  } as const;
  ledger.adopt(id(9), 3, 0, { id: id(1), peer, user: 'carol', leases: [held] });
  waiting = null;
  arrived.resolve();
  await Promise.all(asked);
  t.same(answers, [
    ['login', { ok: false, reason: 'LIMIT' }],
    ['another', TAKEN],
    ['gone', { ok: false, reason: 'DRAINING' }],
  ]);
});
