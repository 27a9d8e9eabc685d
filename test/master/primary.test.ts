/** PRIMARY: whole ways through real processes: hand-off, loss, hanging, drain, ports. */
import t from 'tap';
import { systemClock } from '../../src/master/clock.js';
import { Predecessor } from '../../src/master/take_over.js';
import { closeHandle } from '../../src/shared/handles.js';
import { within } from '../support/deadline.js';
import { FakePeer, newPrimary, startPrimaryUnderTest } from '../support/primary_under_test.js';
import { tempDir } from '../support/temp.js';

const QUICK_HANDOFF = { deadlineMs: 300, marginMs: 200 };
/** So that only the hand-off's own deadline acts. */
const PATIENT = { lateMs: 60_000, killMs: 60_000 };

t.test('an accepted socket is served, and the primary keeps no copy', async (t) => {
  const { primary, heard, connect } = await startPrimaryUnderTest(t);
  const peers = [await connect(), await connect(), await connect(), await connect()];
  const workers = [];
  for (const peer of peers) workers.push(await peer.worker());
  t.same(new Set(workers), new Set([1, 2]), 'both workers get a share'); // how much each is for dispatch.test
  t.equal(await peers[0]?.ask('hello'), 'hello');
  for (const conn of [1, 2, 3, 4]) await heard.wait('connection.accepted', (event) => event.conn === conn);
  t.match(primary.status(), { connections: 4, waiting: 0, handoff: { accepted: 4, ended: 0 } });
  for (const peer of peers) peer.socket.end();
  for (const conn of [1, 2, 3, 4]) await heard.wait('connection.closed', (event) => event.conn === conn);
  t.match(primary.status(), { connections: 0, unauthenticated: 0 });
});

t.test('bytes sent before the hand-off reach the worker, none is read on the way', async (t) => {
  const { connect } = await startPrimaryUnderTest(t, { config: { workers: 1 } });
  const peer = await connect();
  peer.socket.write('early\n');
  t.equal(await peer.worker(), 1);
  t.equal(await peer.line(), 'early');
});

t.test('a refused socket goes to another worker', async (t) => {
  const { primary, heard, connect } = await startPrimaryUnderTest(t, { behaviours: { 1: 'refuse' } });
  for (let count = 0; count < 3; count++) t.equal(await (await connect()).worker(), 2);
  for (const conn of [1, 2, 3]) await heard.wait('connection.accepted', (event) => event.conn === conn);
  const { handoff } = primary.status();
  t.equal(handoff.accepted, 3);
  t.ok(handoff.refused >= 1, 'worker 1 was asked, and refused');
});

t.test('a socket that all workers refuse is closed, not left hanging', async (t) => {
  const { primary, heard, connect } = await startPrimaryUnderTest(t, { behaviours: { '*': 'refuse' } });
  const peer = await connect();
  t.equal(await peer.line(), undefined, 'the peer sees the end');
  t.match(await heard.wait('connection.refused'), { reason: 'AT_CAPACITY' });
  t.match(primary.status(), { connections: 0, waiting: 0, handoff: { refused: 2, ended: 1, accepted: 0 } });
});

t.test('a worker that dies in the hand-off costs nothing but time', async (t) => {
  const { primary, heard, connect } = await startPrimaryUnderTest(t, { behaviours: { 1: 'die' } });
  const worker = await (await connect()).worker();
  t.ok(worker >= 2, 'another one serves it');
  await heard.wait('connection.accepted');
  t.match(await heard.wait('worker.exited'), { worker: 1, reason: 'CRASHED', detail: 'signal SIGKILL' });
  t.match(primary.status().handoff, { accepted: 1, workerLost: 1, ended: 0 });
  await heard.wait('worker.started', (event) => event.worker === 3);
  t.notOk(
    heard.events.some(({ event }) => event === 'connection.closed'),
    'it was never served, so it did not close',
  );
});

t.test('the only worker dies in the hand-off: its replacement serves', async (t) => {
  const { connect } = await startPrimaryUnderTest(t, { config: { workers: 1 }, behaviours: { 1: 'die' } });
  t.equal(await (await connect()).worker(), 2);
});

t.test('a worker that hangs in the hand-off: somebody else serves, nobody twice', async (t) => {
  const { primary, heard, connect, pidOf } = await startPrimaryUnderTest(t, {
    behaviours: { 1: 'stop' },
    timing: { handoff: QUICK_HANDOFF, supervisor: PATIENT },
  });
  const stopped = pidOf(1);
  const peer = await connect(); // worker 1 stops while it takes this one
  t.equal(await peer.worker(), 2);
  t.match(await heard.wait('connection.accepted'), { conn: 1, worker: 2 });
  t.match(primary.status().handoff, { timedOut: 1, accepted: 1 });
  process.kill(stopped, 'SIGCONT'); // and now says that it has accepted
  await within(
    (async () => {
      while (primary.status().handoff.revoked === 0) await (await connect()).worker();
    })(),
    'a late accepted',
  );
  t.equal(await peer.ask('still'), `worker 1 conn 1 port ${peer.socket.localPort}`, 'greeted late: the one flaw');
  t.equal(await peer.line(), 'still', 'its own worker serves on');
  t.equal(heard.list('connection.accepted').filter(({ conn }) => conn === 1).length, 1);
});

t.test('a stopped worker reads the socket after the deadline: it refuses, nobody is greeted twice', async (t) => {
  const { primary, connect, pidOf } = await startPrimaryUnderTest(t, {
    timing: { handoff: QUICK_HANDOFF, supervisor: PATIENT },
  });
  const pid = pidOf(1);
  process.kill(pid, 'SIGSTOP');
  const peer = await connect();
  t.equal(await peer.worker(), 2);
  process.kill(pid, 'SIGCONT');
  // Its refusal is late and must change nothing; the next sockets show that it has been read.
  const next = [await connect(), await connect(), await connect()];
  for (const one of next) t.ok((await one.worker()) > 0);
  t.equal(await peer.ask('only'), 'only', 'no second greeting in between');
  t.match(primary.status().handoff, { timedOut: 1, revoked: 0 });
});

t.test('a peer that leaves while it waits is forgotten', async (t) => {
  const { primary, heard, connect, pidOf } = await startPrimaryUnderTest(t, {
    config: { workers: 1 },
    timing: { handoff: { ...QUICK_HANDOFF, waitMs: 800 }, supervisor: PATIENT },
  });
  const pid = pidOf(1);
  process.kill(pid, 'SIGSTOP');
  const peer = await connect();
  peer.socket.destroy();
  await heard.wait('connection.refused');
  t.match(primary.status(), { connections: 0, unauthenticated: 0, waiting: 0 });
  process.kill(pid, 'SIGCONT');
  t.equal(await (await connect()).worker(), 1, 'and the worker is well');
});

t.test('a blocked worker is passed over, killed and replaced', async (t) => {
  const { heard, connect } = await startPrimaryUnderTest(t, {
    timing: { supervisor: { pingMs: 200, lateMs: 450, killMs: 2_000 } },
  });
  const victim = await connect();
  const bystander = await connect();
  const [first, second] = [await victim.worker(), await bystander.worker()];
  t.not(first, second);
  victim.socket.write('block\n');
  t.match(await heard.wait('worker.exited'), { worker: first, reason: 'UNRESPONSIVE' });
  t.equal(await victim.line(), undefined, 'its connection ends visibly');
  t.match(await heard.wait('connection.closed'), { conn: 1, reason: 'WORKER_LOST' });
  await heard.wait('worker.started', (event) => event.worker === 3);
  t.equal(await bystander.ask('here'), 'here');
});

t.test('kill -9: its connections and ports are free at once, a replacement starts, others go on', async (t) => {
  const { primary, heard, connect, pidOf } = await startPrimaryUnderTest(t);
  const victim = await connect();
  const bystander = await connect();
  const first = await victim.worker();
  await bystander.worker();
  t.equal(await victim.ask('login alice 5'), '{"ok":true,"port":0}');
  t.equal(await victim.ask('lease alice 5 4711'), '{"ok":true,"port":4711}');
  t.equal(await bystander.ask('login bob 5'), '{"ok":true,"port":0}');
  t.equal(await bystander.ask('lease bob 5 4711'), '{"ok":false,"reason":"TAKEN"}');
  process.kill(pidOf(first), 'SIGKILL');
  t.match(await heard.wait('forward.released'), {
    conn: 1,
    user: 'alice',
    kind: 'tcpip-forward',
    destination: '127.0.0.1:4711',
    reason: 'WORKER_LOST',
  });
  t.match(await heard.wait('connection.closed'), { conn: 1, user: 'alice', reason: 'WORKER_LOST' });
  t.equal(await bystander.ask('lease bob 5 4711'), '{"ok":true,"port":4711}');
  await heard.wait('worker.started', (event) => event.worker === 3);
  t.match(primary.status(), { connections: 1, unauthenticated: 0 });
});

t.test('what a proxy has brought ends in the log as it began there, at whatever step its worker dies', async (t) => {
  const { heard, connect, pidOf } = await startPrimaryUnderTest(t, {
    config: {
      workers: 1,
      listen: [{ address: '127.0.0.1:0', proxyProtocol: { from: ['127.0.0.1'] } }],
      limits: { startupsPerSource: 1 },
    },
  });
  const peers = [await connect(), await connect(), await connect(), await connect()];
  for (const peer of peers) t.equal(await peer.worker(), 1);
  const [unnamed, itself, brought, turnedAway] = peers;
  t.ok(unnamed, 'it has not said whom it brings');
  t.equal(await itself?.ask('proxied'), '{"admit":true}');
  t.equal(await brought?.ask('proxied 192.0.2.1'), '{"admit":true}');
  t.match(await turnedAway?.ask('proxied 192.0.2.1'), '{"admit":false,"lastWords":"Exceeded');
  process.kill(pidOf(1), 'SIGKILL');
  await heard.wait('worker.started', (event) => event.worker === 2);
  await heard.until(() => heard.list('connection.closed')[2], 'the last end');
  const told = (conn: number): string[] =>
    heard.events.flatMap((event) =>
      'conn' in event && event.conn === conn ? [`${event.event} ${'peer' in event ? event.peer : ''}`] : [],
    );
  for (const conn of [1, 2])
    t.match(told(conn), [/^connection.accepted 127\.0\.0\.1:/, /^connection.closed 127\.0\.0\.1:/]);
  t.same(told(3), ['connection.accepted 192.0.2.1:50000', 'connection.closed 192.0.2.1:50000']);
  t.same(told(4), [], 'the door has told it, and nothing ends that did not begin');
  t.match(heard.list('connection.refused'), [{ reason: 'SOURCE_STARTUPS', peer: '192.0.2.1:50000' }]);
});

t.test('a fault that nobody caught: replaced at once, and what runs may end', async (t) => {
  const { heard, connect } = await startPrimaryUnderTest(t, { config: { workers: 1 } });
  const peer = await connect();
  t.equal(await peer.worker(), 1);
  peer.socket.write('throw\n');
  await heard.wait('worker.started', (event) => event.worker === 2);
  t.match(heard.texts.join('\n'), /worker 1: Error: thrown on demand/);
  t.equal(await peer.ask('still'), 'still');
  t.equal(await (await connect()).worker(), 2, 'new ones go to the replacement');
  peer.socket.end();
  t.match(await heard.wait('worker.exited'), { worker: 1, reason: 'FAULT', detail: 'exit code 1' });
});

t.test('a user takes over their own dead port within a second; a living one, or another user, keeps it', async (t) => {
  const { heard, connect } = await startPrimaryUnderTest(t);
  const old = await connect();
  const back = await connect();
  const other = await connect();
  for (const peer of [old, back, other]) await peer.worker();
  await old.ask('login alice 5');
  await back.ask('login alice 5');
  await other.ask('login bob 5');
  t.equal(await old.ask('lease alice 5 4712'), '{"ok":true,"port":4712}');
  t.equal(await back.ask('lease alice 5 4712'), '{"ok":false,"reason":"TAKEN"}', 'the holder answered the probe');
  t.equal(await old.ask('lease alice 5 4712'), '{"ok":false,"reason":"TAKEN"}', 'twice on one connection');
  t.equal(await old.ask('deaf'), 'deaf');
  t.equal(await other.ask('lease bob 5 4712'), '{"ok":false,"reason":"TAKEN"}', 'not even probed for bob');
  t.equal(await back.ask('lease alice 5 4712'), '{"ok":true,"port":4712}');
  t.equal(await old.line(), undefined, 'the dead one was closed');
  t.equal(await back.ask('release 4712'), 'released');
  t.equal(await other.ask('lease bob 5 4712'), '{"ok":true,"port":4712}');
  t.notOk(heard.events.some(({ event }) => event === 'worker.exited'));
});

t.test('limits of a user hold across workers', async (t) => {
  const { connect } = await startPrimaryUnderTest(t);
  const peers = [await connect(), await connect(), await connect()];
  const answers = [];
  for (const peer of peers) {
    await peer.worker();
    answers.push(await peer.ask('login __proto__ 2'));
  }
  t.same(answers, ['{"ok":true,"port":0}', '{"ok":true,"port":0}', '{"ok":false,"reason":"LIMIT"}']);
});

t.test('admission: beyond the start-up limit a peer is closed; who logged in does not count', async (t) => {
  const { primary, heard, connect } = await startPrimaryUnderTest(t, { config: { limits: { startups: '2:100:2' } } });
  const first = await connect();
  await first.worker();
  await (await connect()).worker();
  const third = await connect();
  t.match(await third.line(), /^Exceeded MaxStartups/, 'the words of sshd');
  t.equal(await third.line(), undefined);
  t.match(await heard.wait('connection.refused'), { reason: 'STARTUPS' });
  await first.ask('login alice 5');
  t.ok((await (await connect()).worker()) > 0, 'there is room again');
  t.equal(primary.status().refused.STARTUPS, 1);
});

t.test('drain: nobody new, those inside may end, workers exit by themselves', async (t) => {
  const { primary, heard, port, connect } = await startPrimaryUnderTest(t, { config: { timeouts: { drain: '20s' } } });
  const peer = await connect();
  await peer.worker();
  const drained = primary.drain();
  await heard.wait('server.draining');
  t.equal(await peer.ask('still'), 'still');
  const late = await FakePeer.connect(t, port).then(
    (one) => one.line(),
    () => undefined,
  );
  t.equal(late, undefined, 'no service for who comes later');
  peer.socket.end();
  t.equal(await within(drained, 'end of the drain'), true);
  t.same(primary.status().workers, []);
  t.same(new Set(heard.list('worker.exited').map(({ reason }) => reason)), new Set(['DRAINED']));
});

t.test('drain: who stays is cut at the deadline; a hanging worker is killed and the drain was not clean', async (t) => {
  const patient = await startPrimaryUnderTest(t, { config: { workers: 1, timeouts: { drain: '100ms' } } });
  const stays = await patient.connect();
  await stays.worker();
  t.equal(await within(patient.primary.drain(), 'drain'), true, 'the worker went in time, by itself');
  t.equal(await stays.line(), undefined);

  const hanging = await startPrimaryUnderTest(t, {
    config: { workers: 1, timeouts: { drain: '100ms' } },
    timing: { supervisor: { ...PATIENT, drainMarginMs: 100 } },
  });
  process.kill(hanging.pidOf(1), 'SIGSTOP');
  t.equal(await within(hanging.primary.drain(), 'drain'), false);
});

t.test('workers that do not start end the start, with their reason', async (t) => {
  const { primary, heard } = newPrimary(t, {
    behaviours: { '*': 'fail' },
    timing: { supervisor: { backoffMinMs: 1 } },
  });
  await t.rejects(within(primary.start(), 'the failure'), {
    code: 'WORKER_START_FAILED',
    message: 'no worker starts: told to fail',
  });
  t.same(primary.status().workers, [], 'nothing is left running');
  t.match(heard.texts.join('\n'), /worker 1 did not start: told to fail/);
});

t.test('a fault that every worker would have ends the start with its own code, without a second try', async (t) => {
  const { primary, heard } = newPrimary(t, { config: { workers: 1 }, behaviours: { '*': 'broken' } });
  await t.rejects(within(primary.start(), 'the failure'), { code: 'HANDLER_INVALID', message: 'told to be broken' });
  t.same(primary.status().workers, [], 'nothing is left running');
  t.match(heard.list('worker.exited'), [{ worker: 1 }], 'and no other one was tried');
  t.notMatch(heard.texts.join('\n'), /did not start/);
});

t.test('a worker that never gets ready is replaced', async (t) => {
  const { primary, heard } = newPrimary(t, {
    config: { workers: 1 },
    behaviours: { 1: 'hang' },
    timing: { supervisor: { readyMs: 4_000 } },
  });
  await within(primary.start(), 'start');
  t.match(await heard.wait('worker.exited'), { worker: 1, reason: 'START_FAILED' });
  t.match(primary.status().workers, [{ id: 2, state: 'ready' }]);
});

t.test('whose place another takes: the refusals that were only counted yet are told', async (t) => {
  const stateDir = tempDir(t);
  const { primary, heard, connect } = await startPrimaryUnderTest(t, {
    config: { stateDir },
    behaviours: { '*': 'refuse' },
    workersOutlive: true,
  });
  for (let count = 0; count < 60; count++) t.equal(await (await connect()).line(), undefined);
  const successor = await Predecessor.find(stateDir, ['127.0.0.1:0'], systemClock);
  for (const { handle } of (await successor?.listeners()) ?? []) closeHandle(handle);
  await successor?.accepting();
  await within(primary.superseded, 'end of the workers');
  const told = heard.list('connection.refused').reduce((sum, { count = 1 }) => sum + count, 0);
  t.equal(told, 60);
});
