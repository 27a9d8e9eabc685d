/** When a login is over: two clocks that need not agree, and times that no timer can be set for. */
import t from 'tap';
import { Expiry, isExpired, LOOK_EVERY_MS, watchExpiry } from '../../src/worker/expiry.js';
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

t.test('a reload moves the end, and never beyond what a hook has said by itself', async (t) => {
  const HOURS = (count: number): number => count * HOUR_MS;
  const never = Number.POSITIVE_INFINITY;
  for (const [name, saidH, moves, endsH] of [
    ['earlier', 8, [[8, 2]], 2],
    ['later', 2, [[2, 8]], 8],
    ['none before', never, [[never, 3]], 3],
    ['none any more', 2, [[2, never]], never],
    [
      'earlier, and later again',
      8,
      [
        [8, 2],
        [2, 5],
      ],
      5,
    ],
    ['a hook said less', 4, [[8, 6]], 4],
    [
      'a hook said less, but not that little',
      4,
      [
        [8, 2],
        [2, 8],
      ],
      4,
    ],
  ] as const) {
    const clocks = new Clocks();
    const startMs = clocks.wallMs();
    let ended = 0;
    const expiry = new Expiry(() => ended++, clocks);
    expiry.start(startMs + HOURS(saidH));
    for (const [beforeH, nowH] of moves) {
      clocks.clock.advance(HOUR_MS / 2);
      expiry.move({ beforeMs: startMs + HOURS(beforeH), nowMs: startMs + HOURS(nowH) });
    }
    const leftMs = Math.min(endsH, 20) * HOUR_MS - (clocks.wallMs() - startMs);
    clocks.clock.advance(leftMs - 1);
    t.equal(ended, 0, name);
    clocks.clock.advance(2);
    t.equal(ended, endsH === never ? 0 : 1, name);
    expiry.cancel();
    t.equal(clocks.clock.pending, 0, name);
  }
});

t.test('a reload that leaves the end where it is prolongs nothing, also when the clock was set back', async (t) => {
  const clocks = new Clocks();
  const [atMs, startMs] = [clocks.wallMs() + HOUR_MS, clocks.nowMs()];
  let endedMs = 0;
  const expiry = new Expiry(() => {
    endedMs = clocks.nowMs();
  }, clocks);
  expiry.start(atMs);
  clocks.shiftMs -= 10 * HOUR_MS;
  expiry.move({ beforeMs: atMs, nowMs: atMs });
  clocks.clock.advance(HOUR_MS + 1);
  t.ok(endedMs - startMs >= HOUR_MS && endedMs - startMs <= HOUR_MS + 1, `${endedMs - startMs}`);
});
