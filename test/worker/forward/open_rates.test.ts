/** OPEN RATES: how often a user may open and fail, on a clock of the test's. */
import t from 'tap';
import { OpenRates } from '../../../src/worker/forward/open_rates.js';

const LIMITS = { opensPerSecond: 10, failedOpensPerMinute: 6 };
const NONE = { opensPerSecond: Number.POSITIVE_INFINITY, failedOpensPerMinute: Number.POSITIVE_INFINITY };

function room() {
  const time = { nowMs: 5_000 };
  const rates = new OpenRates(() => time.nowMs);
  /** How many of `count` opens are granted, and what the others hear. */
  const opens = (count: number, user = 'alice', limits = LIMITS): Record<string, number> => {
    const heard: Record<string, number> = {};
    for (let at = 0; at < count; at++) {
      const answer = rates.open(user, limits) ?? 'yes';
      heard[answer] = (heard[answer] ?? 0) + 1;
    }
    return heard;
  };
  return { time, rates, opens };
}

t.test('two seconds of opens at once, then as many as time brings', async (t) => {
  const { time, opens } = room();
  t.same(opens(25), { yes: 20, OPEN_RATE: 5 });
  time.nowMs += 500;
  t.same(opens(10), { yes: 5, OPEN_RATE: 5 });
  t.same(opens(20, '__proto__'), { yes: 20 }, 'each user for itself');
});

t.test('a minute of failures at once; then nothing is opened until one more may fail', async (t) => {
  const { time, rates, opens } = room();
  for (let count = 0; count < 5; count++) rates.failed('alice', LIMITS);
  t.same(opens(1), { yes: 1 });
  rates.failed('alice', LIMITS);
  t.same(opens(3), { OPEN_FAILURES: 3 }, 'which costs no open');
  time.nowMs += 9_999;
  t.same(opens(1), { OPEN_FAILURES: 1 });
  time.nowMs += 1;
  t.same(opens(20), { yes: 20 });
});

t.test('failures beyond those that may be are not owed', async (t) => {
  const { time, rates, opens } = room();
  for (let count = 0; count < 100; count++) rates.failed('alice', LIMITS);
  time.nowMs += 10_000;
  t.same(opens(1), { yes: 1 });
});

t.test('one of the two may be without a limit, or both', async (t) => {
  const { rates, opens } = room();
  const failures = { ...NONE, failedOpensPerMinute: 60 };
  t.same(opens(10_000, 'alice', failures), { yes: 10_000 });
  for (let count = 0; count < 60; count++) rates.failed('alice', failures);
  t.same(opens(1, 'alice', failures), { OPEN_FAILURES: 1 });
  const often = { ...NONE, opensPerSecond: 1 };
  for (let count = 0; count < 60; count++) rates.failed('bob', often);
  t.same(opens(3, 'bob', often), { yes: 2, OPEN_RATE: 1 });
  t.same(opens(10_000, 'carol', NONE), { yes: 10_000 });
  t.equal(rates.size, 2, 'who has no limit leaves nothing');
});

t.test('limits that a later login brings hold at once', async (t) => {
  const { time, opens } = room();
  t.same(opens(21), { yes: 20, OPEN_RATE: 1 });
  const more = { ...LIMITS, opensPerSecond: 20 };
  t.same(opens(5, 'alice', more), { OPEN_RATE: 5 }, 'what is used up stays so');
  time.nowMs += 500;
  t.same(opens(20, 'alice', more), { yes: 10, OPEN_RATE: 10 });
  time.nowMs += 2_000;
  t.same(opens(1, 'alice', more), { yes: 1 });
  t.same(opens(30), { yes: 20, OPEN_RATE: 10 }, 'and no more at once than the smaller limit has');
});

t.test('two connections with different limits, or one without: going to and fro brings nothing', async (t) => {
  const { rates, opens } = room();
  const other = { opensPerSecond: 9, failedOpensPerMinute: 5 };
  const free = { ...NONE, failedOpensPerMinute: 5 };
  opens(20);
  for (let count = 0; count < 6; count++) rates.failed('alice', count % 2 === 0 ? LIMITS : other);
  for (let count = 0; count < 10; count++)
    for (const limits of [LIMITS, other, free]) t.same(opens(1, 'alice', limits), { OPEN_FAILURES: 1 });
});

t.test('nor opens, where none has failed', async (t) => {
  const { rates, opens } = room();
  const other = { opensPerSecond: 9, failedOpensPerMinute: 5 };
  const free = { ...NONE, failedOpensPerMinute: 5 };
  opens(20);
  for (let count = 0; count < 10; count++) {
    for (const limits of [LIMITS, other]) t.same(opens(1, 'alice', limits), { OPEN_RATE: 1 });
    t.same(opens(1, 'alice', free), { yes: 1 }, 'a connection without a limit opens');
    t.same(opens(1, 'alice', NONE), { yes: 1 });
    rates.failed('alice', NONE); // one that counts nothing
  }
  t.same(opens(1), { OPEN_RATE: 1 });
});

t.test('who opens nothing for a minute is forgotten, with full buckets', async (t) => {
  const { time, rates, opens } = room();
  for (let user = 0; user < 1_000; user++) opens(1, `user ${user}`);
  t.equal(rates.size, 1_000);
  time.nowMs += 60_001;
  t.same(opens(20), { yes: 20 });
  t.equal(rates.size, 1);
});
