/** BANDWIDTH of a worker: when it asks the primary and what becomes of the answers; and both sides together, for ten seconds
 *  of a fake clock. */
import t from 'tap';
import { Bandwidth as PrimarySide } from '../../src/master/bandwidth.js';
import type { BandwidthGrant, BandwidthWant } from '../../src/shared/ipc.js';
import { Bandwidth } from '../../src/worker/bandwidth.js';
import type { Purse } from '../../src/worker/channel/purse.js';
import { FakeClock } from '../support/fake_clock.js';

/** Lets answers arrive. */
const settled = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

function room(answer: (want: BandwidthWant) => BandwidthGrant | null = (want) => want) {
  const clock = new FakeClock();
  const asked: BandwidthWant[] = [];
  const bandwidth = new Bandwidth({
    async ask(want) {
      asked.push(want);
      return answer(want);
    },
    now: () => clock.nowMs(),
    after: clock.after.bind(clock),
  });
  return { clock, bandwidth, asked };
}

function join(bandwidth: Bandwidth, bytesPerSecond: number, user = 'alice') {
  const membership = bandwidth.join(user, bytesPerSecond);
  if (membership === null) throw new Error('not limited');
  return membership;
}

/** A channel that moves all it may. */
function greedy(purse: Purse): { bytes: number } {
  const moved = { bytes: 0 };
  const move = (): void => {
    const bytes = purse.available(account);
    if (bytes > 0) purse.spend(account, bytes);
    moved.bytes += bytes;
    purse.wait(account);
  };
  const account = purse.account(move);
  move();
  return moved;
}

t.test('who is not limited leaves nothing', async (t) => {
  const { bandwidth, asked } = room();
  t.equal(bandwidth.join('alice', Number.POSITIVE_INFINITY), null);
  t.same([bandwidth.size, asked], [0, []]);
});

t.test('all connections of a user spend from the same purses, until the last has gone', async (t) => {
  const { bandwidth, clock, asked } = room(() => ({ upBytes: 0, downBytes: 0 }));
  const [first, second] = [join(bandwidth, 1_000), join(bandwidth, 1_000)];
  t.equal(first.up, second.up);
  t.not(first.up, first.down);
  t.not(join(bandwidth, 1_000, '__proto__').up, first.up);
  t.equal(bandwidth.size, 2);
  greedy(first.up);
  await settled();
  t.equal(clock.pending, 1, 'it will ask again');
  first.leave();
  t.equal(bandwidth.size, 2);
  second.leave();
  t.same([bandwidth.size, clock.pending], [1, 0]);
  clock.advance(10_000);
  t.equal(asked.length, 1);
});

t.test('it asks at once, and then ten times a second at most, for both directions in one', async (t) => {
  const { bandwidth, clock, asked } = room();
  const { up, down } = join(bandwidth, 10_000);
  t.same(asked, [], 'not before somebody wants to move something');
  greedy(up);
  t.same(asked, [{ user: 'alice', bytesPerSecond: 10_000, upBytes: 2_000, downBytes: 2_000 }]);
  greedy(down);
  for (let ms = 0; ms < 10_000; ms += 10) {
    await settled();
    clock.advance(10);
  }
  t.equal(asked.length, 101);
});

t.test('the last login says the limit', async (t) => {
  const { bandwidth, asked } = room();
  const { up } = join(bandwidth, 10_000);
  join(bandwidth, 500);
  greedy(up);
  t.match(asked, [{ bytesPerSecond: 500, upBytes: 100 }]);
});

t.test('an answer that comes when all have left is dropped', async (t) => {
  const { bandwidth, clock } = room();
  const membership = join(bandwidth, 10_000);
  const moved = greedy(membership.down);
  membership.leave();
  await settled();
  t.same([moved.bytes, clock.pending], [0, 0]);
});

t.test('without a primary a worker goes on by itself, within the limit', async (t) => {
  const { bandwidth, clock } = room(() => null);
  const moved = greedy(join(bandwidth, 100_000).up);
  for (let ms = 0; ms < 10_000; ms += 10) {
    await settled();
    clock.advance(10);
  }
  t.ok(moved.bytes > 950_000 && moved.bytes <= 1_050_000, `${moved.bytes} bytes in 10 s`);
});

for (const bytesPerSecond of [1024, 100 * 1024, 100 * 1024 ** 2, 1024 ** 3])
  for (const workers of [1, 2, 3])
    t.test(`${bytesPerSecond} bytes a second with ${workers} workers: within 5 % over 10 s, and even`, async (t) => {
      const clock = new FakeClock();
      const primary = new PrimarySide();
      const moved = Array.from({ length: workers }, (_, worker) => {
        const bandwidth = new Bandwidth({
          async ask(want) {
            return primary.grant(worker, want, clock.nowMs());
          },
          now: () => clock.nowMs(),
          after: (delayMs, action) => clock.after(delayMs + 3 * worker, action), // none is as punctual as the next
        });
        const { up, down } = join(bandwidth, bytesPerSecond);
        return { up: [greedy(up), greedy(up)], down: greedy(down) };
      });
      for (let ms = 0; ms < 10_000; ms += 2) {
        await settled();
        clock.advance(2);
      }
      const ups = moved.map(({ up }) => up.reduce((sum, { bytes }) => sum + bytes, 0));
      const downs = moved.map(({ down }) => down.bytes);
      for (const [name, each] of [
        ['up', ups],
        ['down', downs],
      ] as const) {
        const ratio = each.reduce((sum, bytes) => sum + bytes, 0) / (bytesPerSecond * 10);
        t.ok(ratio > 0.95 && ratio < 1.05, `${name}: ${ratio.toFixed(3)} of the limit`);
        t.ok(Math.max(...each) < 1.1 * Math.min(...each), `${name}: ${each.join(', ')}`);
      }
    });
