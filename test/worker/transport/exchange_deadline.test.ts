/** Time passes when the test says so. */
import t, { type Test } from 'tap';
import { ExchangeDeadline } from '../../../src/worker/transport/exchange_deadline.js';
import { fakeTimers } from '../../support/fake_timers.js';

const TIME_MS = 30_000;

function make(t: Test) {
  const clock = fakeTimers(t);
  const startMs = clock.nowMs();
  const port = {
    queue: { queuedBytes: 0, progress: 0 },
    now: () => clock.nowMs(),
    ends: [] as number[],
    onExpired: () => void port.ends.push(clock.nowMs() - startMs),
  };
  const deadline = new ExchangeDeadline(port);
  t.teardown(() => deadline.stop());
  /** Second by second. @returns the times at which it ended, in ms */
  const pass = (seconds: number, each: () => void = () => {}): readonly number[] => {
    for (let second = 0; second < seconds && port.ends.length === 0; second++) {
      clock.advance(1000);
      each();
    }
    return port.ends;
  };
  return { port, deadline, pass };
}

t.test('a peer that says nothing and reads nothing has its time, and no more', async (t) => {
  for (const patient of [false, true])
    await t.test(patient ? 'behind the login' : 'before it', async (t) => {
      const { deadline, pass } = make(t);
      deadline.start(TIME_MS, patient);
      pass(10);
      deadline.start(TIME_MS, patient); // the other side begins too
      t.same(pass(100), [TIME_MS]);
    });
});

t.test('an exchange that ends has no deadline any more, and the next one its own', async (t) => {
  const { deadline, pass } = make(t);
  deadline.start(TIME_MS, true);
  pass(20);
  deadline.stop();
  t.same(pass(1000), []);
  deadline.start(TIME_MS / 2, true);
  t.same(pass(1000), [1_020_000 + TIME_MS / 2]);
});

t.test(
  'what the peer had sealed before it read our KEXINIT comes first: the time counts from its last byte',
  async (t) => {
    const { deadline, pass } = make(t);
    deadline.start(TIME_MS, true);
    pass(100, () => deadline.heard());
    t.same(pass(100), [100_000 + TIME_MS]);
  },
);

t.test('what we had written before our KEXINIT is read first', async (t) => {
  const { port, deadline, pass } = make(t);
  port.queue.queuedBytes = 100;
  deadline.start(TIME_MS, true);
  pass(70, () => port.queue.progress++);
  t.same(pass(100), [4 * TIME_MS], 'a look at each of these times, and the last found it standing still');
});

t.test('a queue that stands still gives no more time, nor does one that is empty', async (t) => {
  for (const queuedBytes of [100, 0])
    await t.test(`${queuedBytes} bytes`, async (t) => {
      const { port, deadline, pass } = make(t);
      port.queue.queuedBytes = queuedBytes;
      deadline.start(TIME_MS, true);
      if (queuedBytes === 0) port.queue.progress++; // the kernel took our KEXINIT itself
      t.same(pass(100), [TIME_MS]);
    });
});

t.test('signs of life count ten times, and not before the login', async (t) => {
  for (const patient of [false, true])
    for (const sign of ['reads', 'sends'] as const)
      await t.test(`${sign}, ${patient ? 'behind the login' : 'before it'}`, async (t) => {
        const { port, deadline, pass } = make(t);
        port.queue.queuedBytes = 100;
        deadline.start(TIME_MS, patient);
        const [endMs = 0] = pass(1000, () => {
          if (sign === 'sends') deadline.heard();
          else port.queue.progress++;
        });
        if (patient) t.ok(endMs > 8 * TIME_MS && endMs <= 10 * TIME_MS, `${endMs} ms`);
        else t.equal(endMs, TIME_MS);
      });
});
