/** SUPERVISOR with workers and time of ours; real processes are in primary.test. */
import t from 'tap';
import { Supervisor } from '../../src/master/supervisor.js';
import type { WorkerEvents } from '../../src/master/worker_process.js';
import { SUPERVISOR_TIMING } from '../../src/master/worker_status.js';
import type { ToWorker } from '../../src/shared/ipc.js';
import { FakeClock } from '../support/fake_clock.js';
import { testConfig } from '../support/test_config.js';

interface FakeProcess {
  readonly events: WorkerEvents;
  readonly got: ToWorker[];
  killed: boolean;
  released: boolean;
}

function room(workers = 1) {
  const clock = new FakeClock();
  const forked: FakeProcess[] = [];
  const said: string[] = [];
  const config = testConfig();
  const supervisor = new Supervisor({
    workers,
    clock,
    timing: SUPERVISOR_TIMING,
    startMessage: (workerId) => ({
      type: 'start',
      config,
      hostKeys: [],
      ownListeners: [],
      workerId,
      control: null,
      eventLevel: 'trace',
      handler: null,
    }),
    fork(events) {
      const made: FakeProcess = { events, got: [], killed: false, released: false };
      forked.push(made);
      return {
        pid: 1000 + forked.length,
        send: (message) => made.got.push(message),
        sendWithHandle: (_message, _handle, failed) => failed(),
        taken() {},
        kill() {
          made.killed = true;
        },
        release() {
          made.released = true;
        },
      };
    },
    events: {
      message: (worker, message) => said.push(`${message.type} of ${worker}`),
      started: (worker) => said.push(`started ${worker.id}`),
      lost: (worker, end, how) => said.push(`lost ${worker.id}: ${end}, ${how}`),
      available: () => said.push('available'),
      trouble: (text) => said.push(`trouble: ${text}`),
    },
  });
  const process = (index: number): FakeProcess => {
    const found = forked[index];
    if (found === undefined) throw new Error(`no process ${index}`);
    return found;
  };
  const ready = (index: number): void => process(index).events.message({ type: 'ready', nativeBinding: true });
  return { supervisor, clock, forked, said, process, ready };
}

t.test('`start` is sent when the worker says that it listens; ready ends the start', async (t) => {
  const { supervisor, said, process, ready } = room(2);
  const started = supervisor.start();
  t.same(process(0).got, []);
  process(0).events.message({ type: 'hello' });
  t.match(process(0).got, [{ type: 'start', workerId: 1 }]);
  ready(0);
  ready(1);
  await started;
  t.same(said, ['started 1', 'available', 'started 2', 'available']);
  t.match(supervisor.workers(), [
    { id: 1, state: 'ready', pid: 1001 },
    { id: 2, state: 'ready' },
  ]);
});

t.test('the first crash is replaced at once, further ones after pauses that double, up to a bound', async (t) => {
  const { supervisor, clock, forked, said, process, ready } = room();
  void supervisor.start();
  ready(0);
  process(0).events.gone('signal SIGSEGV');
  t.equal(forked.length, 2, 'at once');
  const pauses: number[] = [];
  for (let crash = 1; crash <= 9; crash++) {
    ready(crash);
    process(crash).events.gone('signal SIGSEGV');
    let pause = 0;
    while (forked.length === crash + 1) {
      clock.advance(50);
      pause += 50;
    }
    pauses.push(pause);
  }
  t.same(pauses, [250, 500, 1000, 2000, 4000, 8000, 16_000, 30_000, 30_000]);
  t.ok(said.some((text) => text.startsWith('trouble: crash loop: 3 in a row')));
  ready(10);
  for (let second = 0; second < 60; second++) {
    clock.advance(1000);
    process(10).events.message({ type: 'pong' });
  }
  process(10).events.gone('exit code 1');
  t.equal(forked.length, 12, 'a worker that lived a minute is replaced at once again');
});

t.test('a silent worker is late after one second and killed after five', async (t) => {
  const { supervisor, clock, process, ready, said, forked } = room();
  void supervisor.start();
  ready(0);
  clock.advance(500);
  process(0).events.message({ type: 'pong' });
  clock.advance(4999);
  t.equal(process(0).killed, false);
  t.ok((supervisor.workers()[0]?.silentMs ?? 0) > SUPERVISOR_TIMING.lateMs);
  clock.advance(1001);
  t.equal(process(0).killed, true);
  process(0).events.gone('signal SIGKILL');
  t.ok(said.includes('lost 1: UNRESPONSIVE, signal SIGKILL'));
  t.equal(forked.length, 2);
});

t.test('one that was late and answers may take sockets again', async (t) => {
  const { supervisor, clock, process, ready, said } = room();
  void supervisor.start();
  ready(0);
  clock.advance(2000);
  process(0).events.message({ type: 'pong' });
  t.same(said, ['started 1', 'available', 'available']);
});

t.test('if we ourselves were held up, no worker is killed for it', async (t) => {
  const { supervisor, clock, process, ready } = room();
  void supervisor.start();
  ready(0);
  clock.advance(500);
  process(0).events.message({ type: 'pong' });
  // One timer fires late, as after a SIGSTOP of the primary: one missed ping, not ten.
  const missed = process(0).got.filter(({ type }) => type === 'ping').length;
  t.equal(missed, 1);
  clock.advance(1000);
  process(0).events.message({ type: 'pong' });
  clock.advance(4500);
  t.equal(process(0).killed, false);
});

t.test('three deaths in a row before ready end the start, with the reason', async (t) => {
  const { supervisor, clock, process } = room();
  const started = supervisor.start();
  for (let attempt = 0; attempt < 3; attempt++) {
    process(attempt).events.message({ type: 'failed', message: 'bad host key' });
    process(attempt).events.gone('exit code 1');
    clock.advance(1000);
  }
  await t.rejects(started, { code: 'WORKER_START_FAILED', message: 'no worker starts: bad host key' });
});

for (const code of ['CONFIG_INVALID', 'HANDLER_INVALID', 'HOST_KEY_INVALID', 'SSH2_INCOMPATIBLE'] as const)
  t.test(`a fault that every worker would have, ${code}: the start is given up at once, with that code`, async (t) => {
    const { supervisor, clock, said, process, forked } = room(2);
    const started = supervisor.start();
    process(0).events.message({ type: 'failed', message: 'broken for all', code });
    await t.rejects(started, { code, message: 'broken for all' });
    t.equal(forked.length, 2, 'after one worker, not after three');
    process(1).events.message({ type: 'failed', message: 'broken as well', code });
    process(1).events.gone('exit code 1'); // before the primary has acted on the rejection
    supervisor.kill(); // as the primary does
    const all = forked.length;
    process(0).events.gone('exit code 1');
    clock.advance(60_000);
    t.equal(forked.length, all, 'nobody is tried again');
    t.notOk(
      said.some((text) => text.startsWith('trouble')),
      'it is told by the rejection, once',
    );
  });

t.test('the same fault after the start takes no replacement from the others', async (t) => {
  const { supervisor, clock, forked, process, ready } = room();
  const started = supervisor.start();
  ready(0);
  await started;
  process(0).events.gone('signal SIGSEGV');
  process(1).events.message({ type: 'failed', message: 'the module was edited', code: 'HANDLER_INVALID' });
  process(1).events.gone('exit code 1');
  clock.advance(60_000);
  t.ok(forked.length > 2, 'it is tried again: the module may be whole again');
});

t.test('two deaths and a success are a start', async (t) => {
  const { supervisor, clock, process, ready } = room();
  const started = supervisor.start();
  process(0).events.gone('exit code 1');
  process(1).events.gone('exit code 1');
  clock.advance(1000);
  ready(2);
  await started;
  t.match(supervisor.workers(), [{ id: 3, state: 'ready' }]);
});

t.test('a worker that gives up is replaced while it still drains', async (t) => {
  const { supervisor, said, process, ready, forked } = room();
  void supervisor.start();
  ready(0);
  process(0).events.message({ type: 'stopping', message: 'TypeError' });
  process(0).events.message({ type: 'stopping', message: 'TypeError' });
  t.equal(forked.length, 2);
  t.match(supervisor.workers(), [
    { id: 1, state: 'draining' },
    { id: 2, state: 'starting' },
  ]);
  process(0).events.gone('exit code 1');
  t.equal(forked.length, 2, 'replaced once');
  t.ok(said.includes('lost 1: FAULT, exit code 1'));
});

t.test('drain: told, waited for, and not replaced; who is still starting goes at once', async (t) => {
  const { supervisor, said, process, ready, forked, clock } = room(2);
  void supervisor.start();
  ready(0);
  const drained = supervisor.drain(30_000);
  t.match(process(0).got.at(-1), { type: 'drain', deadlineMs: 30_000 });
  t.equal(process(1).killed, true);
  process(0).events.gone('exit code 0');
  process(1).events.gone('signal SIGKILL');
  t.equal(await drained, true);
  t.same(said.slice(2), ['lost 1: DRAINED, exit code 0', 'lost 2: DRAINED, signal SIGKILL']);
  t.equal(forked.length, 2);
  t.equal(clock.pending, 0, 'no timer is left');
});

t.test('drain: who does not go is killed after the deadline, and the drain was not clean', async (t) => {
  const { supervisor, process, ready, clock } = room();
  void supervisor.start();
  ready(0);
  const drained = supervisor.drain(1000);
  clock.advance(2999);
  t.equal(process(0).killed, false);
  clock.advance(1);
  t.equal(process(0).killed, true);
  process(0).events.gone('signal SIGKILL');
  t.equal(await drained, false);
});

t.test('the rest of what workers say is passed on', async (t) => {
  const { supervisor, said, process, ready } = room();
  void supervisor.start();
  ready(0);
  process(0).events.message({ type: 'events', events: [{ event: 'server.draining', detail: '' }], lost: 0 });
  process(0).events.message({ type: 'load', load: { connections: 3, channels: 4, bufferedBytes: 5, loopLagMs: 6 } });
  t.same(said.slice(2), ['events of 1', 'load of 1']);
  t.match(supervisor.workers(), [{ load: { channels: 4, loopLagMs: 6 } }]);
});

t.test('an adopted worker: asked for signs of life, drained with the others, replaced by nobody', async (t) => {
  const { supervisor, clock, said, process, ready, forked } = room(1);
  const started = supervisor.start();
  ready(0);
  await started;
  let gone = (_how: string): void => {};
  const got: ToWorker[] = [];
  const adopted = supervisor.adopt((events) => {
    gone = events.gone;
    return {
      pid: 7,
      send: (message) => got.push(message),
      sendWithHandle: (_message, _handle, failed) => failed(),
      taken() {},
      kill() {},
      release() {},
    };
  }, 9_000);
  t.match(supervisor.workers()[1], { id: adopted, pid: 7, state: 'draining' });
  t.same(got, [{ type: 'retire', deadlineMs: 9_000 }], 'others have its place');
  clock.advance(SUPERVISOR_TIMING.pingMs);
  t.same(got.at(-1), { type: 'ping' });
  const drained = supervisor.drain(100);
  t.same(got.at(-1), { type: 'drain', deadlineMs: 100 });
  process(0).events.gone('exit code 0');
  gone('its channel has closed');
  t.equal(await drained, true);
  t.ok(said.includes(`lost ${adopted}: DRAINED, its channel has closed`));
  t.equal(forked.length, 1);
});

t.test('a worker is replaced when its successor is ready, and serves until then', async (t) => {
  const { supervisor, process, ready, forked } = room();
  void supervisor.start();
  ready(0);
  const done = supervisor.succeed(1, 5_000);
  t.equal(forked.length, 2);
  t.match(supervisor.workers(), [
    { id: 1, state: 'ready' },
    { id: 2, state: 'starting' },
  ]);
  t.notMatch(process(0).got, [{ type: 'retire' }]);
  ready(1);
  await done;
  t.match(process(0).got, [{ type: 'retire', deadlineMs: 5_000 }]);
  t.match(supervisor.workers(), [
    { id: 1, state: 'draining' },
    { id: 2, state: 'ready' },
  ]);
  process(0).events.gone('exit code 0');
  t.equal(forked.length, 2, 'nobody takes its place, which is filled');
});

t.test('a successor that does not start leaves everything as it was', async (t) => {
  for (const code of [undefined, 'HANDLER_INVALID'] as const) {
    const { supervisor, clock, process, ready, forked, said } = room();
    void supervisor.start();
    ready(0);
    const done = supervisor.succeed(1, 0);
    process(1).events.message({ type: 'failed', message: 'broken', ...(code === undefined ? {} : { code }) });
    process(1).events.gone('exit code 1');
    await t.rejects(done, { code: code ?? 'WORKER_START_FAILED', message: 'broken' });
    clock.advance(60_000);
    t.equal(forked.length, 2, 'it is not tried again');
    t.match(supervisor.workers(), [{ id: 1, state: 'ready' }]);
    t.ok(said.includes('lost 2: START_FAILED, exit code 1'));
  }
});

t.test('the old worker dies while its successor starts: one worker takes the place, not two', async (t) => {
  const { supervisor, clock, process, ready, forked } = room();
  void supervisor.start();
  ready(0);
  const done = supervisor.succeed(1, 0);
  process(0).events.gone('signal SIGKILL');
  clock.advance(1_000);
  ready(1);
  await done;
  t.equal(forked.length, 2);
  process(1).events.gone('signal SIGKILL');
  t.equal(forked.length, 3, 'and the successor is replaced like any other');
});

t.test('both die: the place is filled', async (t) => {
  const { supervisor, process, ready, forked, clock } = room();
  void supervisor.start();
  ready(0);
  const done = supervisor.succeed(1, 0);
  process(0).events.gone('signal SIGKILL');
  process(1).events.gone('signal SIGKILL');
  await t.rejects(done, { code: 'WORKER_START_FAILED' });
  clock.advance(1_000);
  t.equal(forked.length, 3);
});

t.test('a drain in the middle of a replacement ends it, and all workers', async (t) => {
  const { supervisor, process, ready } = room();
  void supervisor.start();
  ready(0);
  const done = supervisor.succeed(1, 0);
  const drained = supervisor.drain(1_000);
  t.equal(process(1).killed, true);
  process(1).events.gone('signal SIGKILL');
  await t.rejects(done, { code: 'WORKER_START_FAILED' });
  t.match(process(0).got, [{ type: 'drain', deadlineMs: 1_000 }]);
  process(0).events.gone('exit code 0');
  t.equal(await drained, true);
});

t.test('more workers start, those that are too many go with their last connection', async (t) => {
  const { supervisor, clock, process, ready, forked } = room(2);
  void supervisor.start();
  ready(0);
  ready(1);
  supervisor.resize(4, 7_000);
  t.equal(forked.length, 4);
  ready(2);
  supervisor.resize(1, 7_000);
  t.match(process(1).got, [{ type: 'retire', deadlineMs: 7_000 }]);
  t.match(process(2).got, [{ type: 'retire', deadlineMs: 7_000 }]);
  t.equal(process(3).killed, true, 'one that was not ready yet');
  process(1).events.gone('signal SIGKILL');
  process(2).events.gone('exit code 0');
  process(3).events.gone('signal SIGKILL');
  clock.advance(60_000);
  t.equal(forked.length, 4, 'nobody takes their places');
  t.match(supervisor.workers(), [{ id: 1, state: 'ready' }]);
});

t.test('what all are told goes to those that have started, also to those that leave', async (t) => {
  const { supervisor, process, ready } = room(2);
  void supervisor.start();
  process(0).events.message({ type: 'hello' });
  ready(0);
  void supervisor.succeed(1, 0);
  process(2).events.message({ type: 'hello' });
  ready(2);
  await Promise.resolve();
  supervisor.tellAll({ type: 'ping' });
  t.equal(process(0).got.at(-1)?.type, 'ping');
  t.equal(process(2).got.at(-1)?.type, 'ping');
  t.same(process(1).got, [], 'one that says nothing yet gets what is in force with its start');
});

t.test('release: the workers go on without this primary, which waits for their end and replaces none', async (t) => {
  const { supervisor, process, ready, forked, clock } = room(2);
  const started = supervisor.start();
  ready(0);
  ready(1);
  await started;
  const over = supervisor.release();
  t.same([process(0).released, process(1).released], [true, true]);
  clock.advance(60_000);
  t.same([process(0).killed, process(1).killed], [false, false], 'nobody is asked for signs of life any more');
  process(0).events.gone('exit code 0');
  process(1).events.gone('exit code 0');
  await over;
  t.equal(forked.length, 2);
});
