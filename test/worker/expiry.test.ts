/** When a login is over: two clocks that need not agree, and times that no timer can be set for. */
import t from 'tap';
import { isExpired, LOOK_EVERY_MS, watchExpiry } from '../../src/worker/expiry.js';
import { FakeClock } from '../support/fake_clock.js';

const HOUR_MS = 3_600_000;
const YEAR_MS = 365 * 24 * HOUR_MS;

/** The wall clock is the monotonic one, moved by what a test says. */
class Clocks {
  readonly clock = new FakeClock();
  readonly delays: number[] = [];
  shiftMs = 1_700_000_000_000;
  readonly wallMs = (): number => this.clock.nowMs() + this.shiftMs;
  readonly nowMs = (): number => this.clock.nowMs();
  readonly after = (delayMs: number, action: () => void): (() => void) => {
    this.delays.push(delayMs);
    return this.clock.after(delayMs, action);
  };
}

function watched(leftMs: number) {
  const clocks = new Clocks();
  let ended = 0;
  const cancel = watchExpiry(clocks.wallMs() + leftMs, () => ended++, clocks);
  return { clocks, cancel, ended: () => ended };
}

t.test('ends at its moment, once', async (t) => {
  for (const leftMs of [1, 999, LOOK_EVERY_MS, HOUR_MS + 0.5]) {
    const { clocks, ended } = watched(leftMs);
    clocks.clock.advance(leftMs - 0.5);
    t.equal(ended(), 0, `${leftMs}`);
    clocks.clock.advance(2);
    t.equal(ended(), 1, `${leftMs}`);
    clocks.clock.advance(HOUR_MS);
    t.equal(ended(), 1);
    t.equal(clocks.clock.pending, 0);
  }
});

t.test('a moment that has passed ends it, not before the call has returned', async (t) => {
  for (const leftMs of [0, -5, Number.NEGATIVE_INFINITY]) {
    const { clocks, ended } = watched(leftMs);
    t.equal(ended(), 0);
    clocks.clock.advance(1);
    t.equal(ended(), 1);
  }
  t.equal(isExpired(1000, { wallMs: () => 1000 }), true);
  t.equal(isExpired(1001, { wallMs: () => 1000 }), false);
  t.equal(isExpired(Number.POSITIVE_INFINITY), false);
});

t.test('no timer is set for longer than timers can wait', async (t) => {
  for (const leftMs of [2 ** 31, YEAR_MS, 8.64e15]) {
    const { clocks, cancel, ended } = watched(leftMs);
    clocks.clock.advance(2 * HOUR_MS);
    t.equal(ended(), 0);
    t.ok(clocks.delays.length > 10 && clocks.delays.every((delayMs) => delayMs <= LOOK_EVERY_MS));
    cancel();
    t.equal(clocks.clock.pending, 0);
  }
  const { clocks } = watched(Number.POSITIVE_INFINITY);
  t.equal(clocks.clock.pending, 0, 'never: no timer at all');
});

t.test('a clock that jumps', async (t) => {
  await t.test('over the moment: it ends at the next look', async (t) => {
    const { clocks, ended } = watched(HOUR_MS);
    clocks.shiftMs += 2 * HOUR_MS;
    clocks.clock.advance(LOOK_EVERY_MS);
    t.equal(ended(), 1);
  });
  await t.test('towards it: the clock is believed', async (t) => {
    const { clocks, ended } = watched(HOUR_MS);
    clocks.shiftMs += HOUR_MS / 2;
    clocks.clock.advance(HOUR_MS / 2 - 1000);
    t.equal(ended(), 0);
    clocks.clock.advance(1001);
    t.equal(ended(), 1);
  });
  await t.test('back: no more time is given than there was', async (t) => {
    const { clocks, ended } = watched(HOUR_MS);
    clocks.shiftMs -= YEAR_MS;
    clocks.clock.advance(HOUR_MS - 1);
    t.equal(ended(), 0);
    clocks.clock.advance(2);
    t.equal(ended(), 1);
  });
  await t.test('to and fro: nothing has happened', async (t) => {
    const { clocks, ended } = watched(HOUR_MS);
    clocks.shiftMs += YEAR_MS;
    clocks.shiftMs -= YEAR_MS;
    clocks.clock.advance(HOUR_MS - 1);
    t.equal(ended(), 0);
  });
});

t.test('cancelled', async (t) => {
  for (const passedMs of [0, 5 * LOOK_EVERY_MS]) {
    const { clocks, cancel, ended } = watched(HOUR_MS);
    clocks.clock.advance(passedMs);
    cancel();
    clocks.clock.advance(2 * HOUR_MS);
    t.equal(ended(), 0);
    t.equal(clocks.clock.pending, 0);
  }
});
