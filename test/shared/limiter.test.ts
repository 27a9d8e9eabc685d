import fc from 'fast-check';
import t from 'tap';
import { TokenBucket } from '../../src/shared/limiter.js';

t.test('a burst, then the rate', async (t) => {
  const bucket = new TokenBucket({ burst: 3, perSecond: 2 }, 1_000);
  t.same(
    [1_000, 1_000, 1_000, 1_000, 1_400, 1_500, 1_500, 9_000, 9_000, 9_000, 9_000].map((nowMs) => bucket.take(nowMs)),
    [true, true, true, false, false, true, false, true, true, true, false],
  );
});

t.test('to ask whether it may happen takes nothing', async (t) => {
  const bucket = new TokenBucket({ burst: 1, perSecond: 1 }, 0);
  t.same([bucket.has(0), bucket.has(0), bucket.take(0), bucket.has(0)], [true, true, true, false]);
  t.same([bucket.has(999), bucket.has(1_000), bucket.take(1_000)], [false, true, true]);
});

t.test('another limit: the tokens stay, and those of the time until then come at the old rate', async (t) => {
  const bucket = new TokenBucket({ burst: 10, perSecond: 10 }, 0);
  /** How many are to be had at once. */
  const taken = (nowMs: number): number => {
    let count = 0;
    while (bucket.take(nowMs)) count++;
    return count;
  };
  t.equal(taken(0), 10);
  bucket.change({ burst: 100, perSecond: 2 }, 500);
  t.equal(taken(500), 5);
  t.equal(taken(1_500), 2, 'then at the new one');
  bucket.change({ burst: 3, perSecond: 2 }, 51_500);
  t.equal(taken(51_500), 3, 'and no more than the new burst');
  bucket.change({ burst: 100, perSecond: 2 }, 51_500);
  t.equal(taken(51_500), 0, 'what was beyond it is gone');
});

t.test('never more than the burst and the rate allow', async () => {
  fc.assert(
    fc.property(fc.array(fc.integer({ min: 0, max: 500 })), (pausesMs) => {
      const bucket = new TokenBucket({ burst: 5, perSecond: 10 }, 0);
      let nowMs = 0;
      let taken = 0;
      for (const pauseMs of pausesMs) {
        nowMs += pauseMs;
        if (bucket.take(nowMs)) taken++;
      }
      return taken <= 5 + nowMs / 100 + 1e-6;
    }),
  );
});
