/** PERCENTILES: the nearest rank, of samples in any order. */
import t from 'tap';
import { median, percentile } from '../../src/load/percentiles.js';

t.test('nearest rank', async (t) => {
  const hundred = Array.from({ length: 100 }, (_, index) => 100 - index);
  t.equal(percentile(hundred, 50), 50);
  t.equal(percentile(hundred, 99), 99);
  t.equal(percentile(hundred, 100), 100);
  t.equal(percentile(hundred, 0), 1);
  t.equal(percentile([7], 99), 7);
  t.equal(percentile([1, 2], 50), 1);
  t.equal(percentile([1, 2], 51), 2);
  t.ok(Number.isNaN(percentile([], 50)));
  t.equal(percentile([10, 9, 100], 50), 10, 'by number, not by text');
});

t.test('median', async (t) => {
  t.equal(median([3, 1, 2]), 2);
  t.equal(median([4, 1, 3, 2]), 2.5);
  t.ok(Number.isNaN(median([])));
  const given = [2, 1];
  median(given);
  t.same(given, [2, 1], 'the samples stay as they are');
});
