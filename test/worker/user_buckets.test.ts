/** USER BUCKETS: how often something may happen to a user, on a clock of the test's. */
import t from 'tap';
import { bindRate } from '../../src/worker/forward/remote.js';
import { UserBuckets } from '../../src/worker/user_buckets.js';

function room() {
  const time = { nowMs: 5_000 };
  const buckets = new UserBuckets(() => time.nowMs);
  /** How many of `count` are granted. */
  const granted = (count: number, user = 'alice', limit = { burst: 20, perSecond: 10 }): number =>
    Array.from({ length: count }).filter(() => buckets.take(user, limit)).length;
  return { time, buckets, granted };
}

t.test('a burst, then as many as time brings, and each user for himself', async (t) => {
  const { time, granted } = room();
  t.equal(granted(25), 20);
  time.nowMs += 500;
  t.equal(granted(10), 5);
  t.equal(granted(20, '__proto__'), 20);
});

t.test('another limit brings back nothing that is used up', async (t) => {
  const { granted } = room();
  t.equal(granted(25), 20);
  t.equal(granted(5, 'alice', { burst: 100, perSecond: 10 }), 0);
  t.equal(granted(5), 0);
});

t.test('who is like new is forgotten, and nobody before', async (t) => {
  const { time, buckets, granted } = room();
  granted(1);
  granted(1_000, 'bob', { burst: 1_000, perSecond: 10 });
  time.nowMs += 60_000;
  granted(1, 'carol');
  t.equal(buckets.size, 2, 'bob is to wait for a hundred seconds');
  t.equal(granted(1_000, 'bob', { burst: 1_000, perSecond: 10 }), 600);
  time.nowMs += 100_000;
  granted(1, 'carol');
  t.equal(buckets.size, 1);
});

t.test('all that a user may hold he may bind twice at once', async (t) => {
  t.same(bindRate(0), { burst: 100, perSecond: 10 });
  t.same(bindRate(16), { burst: 132, perSecond: 10 });
  t.same(bindRate(5_000), { burst: 10_100, perSecond: 500 });
});
