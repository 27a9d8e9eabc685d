/** BANDWIDTH of the primary: what workers get of a user's bytes, on a clock of the test's. */
import fc from 'fast-check';
import t from 'tap';
import { Bandwidth } from '../../src/master/bandwidth.js';
import type { BandwidthWant } from '../../src/shared/ipc.js';

const RATE = 1_000_000;
const MUCH = 10 * RATE;

const want = (upBytes: number, downBytes = 0, bytesPerSecond = RATE, user = 'alice'): BandwidthWant => ({
  user,
  bytesPerSecond,
  upBytes,
  downBytes,
});

t.test('a fifth of a second at once, then as much as time brings', async (t) => {
  const bandwidth = new Bandwidth();
  t.same(bandwidth.grant(1, want(MUCH), 5_000), { upBytes: 200_000, downBytes: 0 });
  t.same(bandwidth.grant(1, want(MUCH), 5_000), { upBytes: 0, downBytes: 0 });
  t.same(bandwidth.grant(1, want(MUCH), 5_100), { upBytes: 100_000, downBytes: 0 });
  t.same(bandwidth.grant(1, want(30_000), 5_200), { upBytes: 30_000, downBytes: 0 }, 'never more than is wanted');
  t.same(bandwidth.grant(1, want(MUCH), 5_200), { upBytes: 70_000, downBytes: 0 });
  t.same(
    bandwidth.grant(1, want(MUCH), 6_000),
    { upBytes: 200_000, downBytes: 0 },
    'a rest saves no more than a burst',
  );
});

t.test('each direction and each user for itself; any name is one', async (t) => {
  const bandwidth = new Bandwidth();
  t.same(bandwidth.grant(1, want(MUCH, 5), 0), { upBytes: 200_000, downBytes: 5 });
  t.same(bandwidth.grant(1, want(0, MUCH), 0), { upBytes: 0, downBytes: 199_995 });
  t.equal(bandwidth.grant(1, want(MUCH, 0, 100, '__proto__'), 0).upBytes, 20);
  t.equal(bandwidth.size, 2);
});

t.test('what cannot be wanted is not given', async (t) => {
  const bandwidth = new Bandwidth();
  t.equal(bandwidth.grant(1, want(-5), 0).upBytes, 0);
  t.equal(bandwidth.grant(1, want(MUCH), 0).upBytes, 200_000, 'and adds nothing');
});

t.test('fractions are kept: a slow user gets his bytes in the end', async (t) => {
  const bandwidth = new Bandwidth();
  let bytes = 0;
  for (let nowMs = 0; nowMs <= 10_000; nowMs += 100) bytes += bandwidth.grant(1, want(MUCH, 0, 1024), nowMs).upBytes;
  t.ok(Math.abs(bytes - 1024 * 10.2) < 1, `${bytes} bytes in 10 s`);
});

t.test('a limit that changes holds from the next question on', async (t) => {
  const bandwidth = new Bandwidth();
  bandwidth.grant(1, want(MUCH), 0);
  t.equal(bandwidth.grant(1, want(MUCH, 0, RATE / 10), 100).upBytes, 10_000);
  t.equal(bandwidth.grant(1, want(MUCH, 0, RATE), 200).upBytes, 100_000);
});

t.test('workers that both want more get the same, however their questions fall', async () => {
  fc.assert(
    fc.property(fc.integer({ min: 1, max: 99 }), fc.integer({ min: 0, max: 50 }), (phaseMs, lateMs) => {
      const bandwidth = new Bandwidth();
      const got = [0, 0];
      bandwidth.grant(1, want(MUCH), 0); // the burst
      let nowMs = 0;
      for (let round = 1; round <= 100; round++) {
        nowMs += 100 + (round % 2) * lateMs;
        got[0] = (got[0] ?? 0) + bandwidth.grant(1, want(MUCH), nowMs).upBytes;
        got[1] = (got[1] ?? 0) + bandwidth.grant(2, want(MUCH), nowMs + phaseMs).upBytes;
      }
      const all = (RATE * (nowMs + phaseMs)) / 1_000;
      const [first = 0, second = 0] = got;
      return first + second <= all && first + second > all * 0.98 && Math.abs(first - second) < all * 0.05;
    }),
  );
});

t.test('what one worker does not want the other gets', async (t) => {
  const bandwidth = new Bandwidth();
  bandwidth.grant(1, want(MUCH), 0);
  let [greedy, modest] = [0, 0];
  for (let nowMs = 100; nowMs <= 10_000; nowMs += 100) {
    greedy += bandwidth.grant(1, want(MUCH), nowMs).upBytes;
    modest += bandwidth.grant(2, want(10_000), nowMs + 50).upBytes;
  }
  t.ok(modest > 900_000 && modest <= 1_000_000, `${modest} of the 1000000 that it wanted`);
  t.ok(greedy + modest > 9_800_000 && greedy + modest <= 10_050_000, `${greedy + modest} together`);
});

t.test('the part of a worker that has gone silent goes to the others', async (t) => {
  const bandwidth = new Bandwidth();
  for (const worker of [1, 2]) bandwidth.grant(worker, want(MUCH), 0);
  t.equal(bandwidth.grant(1, want(MUCH), 100).upBytes, 50_000);
  t.equal(bandwidth.grant(1, want(MUCH), 200).upBytes, 50_000);
  t.equal(bandwidth.grant(1, want(MUCH), 301).upBytes, 200_000 - 50_500 + 50_500, 'what was set aside, and its own');
  t.equal(bandwidth.grant(1, want(MUCH), 401).upBytes, 100_000, 'alone');
});

t.test('who asks no more is forgotten', async (t) => {
  const bandwidth = new Bandwidth();
  for (let user = 0; user < 1_000; user++) bandwidth.grant(1, want(1, 1, RATE, `user ${user}`), 0);
  t.equal(bandwidth.size, 1_000);
  bandwidth.grant(1, want(1), 1_500);
  t.equal(bandwidth.size, 1);
});

t.test('never more than the limit and one burst, whatever workers ask and when', async () => {
  const question = fc.record({
    worker: fc.integer({ min: 1, max: 4 }),
    afterMs: fc.integer({ min: 0, max: 400 }),
    bytes: fc.oneof(fc.nat(100_000), fc.constant(MUCH)),
  });
  fc.assert(
    fc.property(fc.array(question, { maxLength: 200 }), (questions) => {
      const bandwidth = new Bandwidth();
      let [nowMs, total] = [0, 0];
      for (const { worker, afterMs, bytes } of questions) {
        nowMs += afterMs;
        const { upBytes } = bandwidth.grant(worker, want(bytes), nowMs);
        total += upBytes;
        if (upBytes > bytes || total > (RATE * (nowMs + 200)) / 1_000 + 1) return false;
      }
      return true;
    }),
  );
});
