/** METRICS: the rules that the list keeps, which names and dashboards rely on. */
import t from 'tap';
import { knownSeries, METRICS, type Metric, methodLabel } from '../../src/shared/metrics.js';

const all: readonly (readonly [string, Metric])[] = Object.entries(METRICS);

t.test('names say what they are (prometheus.io/docs/practices/naming)', async (t) => {
  t.equal(new Set(all.map(([, { name }]) => name)).size, all.length, 'each name once');
  for (const [id, { name, type, unit, buckets, help }] of all) {
    t.match(name, /^sallyport(_[a-z]+)+$/, id);
    t.equal(name.endsWith('_total'), type === 'counter', `${name}: _total is for counters`);
    if (unit !== 'none') t.match(name, new RegExp(`_${unit}(_total)?$`), `${name}: the unit`);
    t.equal(buckets !== undefined, type === 'histogram', `${name}: buckets`);
    if (buckets !== undefined)
      t.same(
        buckets,
        [...new Set(buckets)].sort((a, b) => a - b),
        `${name}: buckets ascend`,
      );
    t.notMatch(help, /\.$/, `${name}: no full stop`);
  }
});

t.test('no label is a user, a peer or a destination, and what stands in the list is bounded', async (t) => {
  for (const [, metric] of all) {
    t.notMatch(
      Object.keys(metric.labels).join(' '),
      /user|peer|address|destination|host|port\b|conn\b|worker/,
      metric.name,
    );
    t.ok(knownSeries(metric).length <= 64, metric.name);
  }
  t.same(knownSeries(METRICS.channelsClosed), [], 'codes are not known beforehand');
  t.same(knownSeries(METRICS.buffered), [[]]);
  t.same(knownSeries(METRICS.bytes), [['in'], ['out']]);
});

t.test('a method that a peer made up is no label', async (t) => {
  t.equal(methodLabel('publickey'), 'publickey');
  t.equal(methodLabel('hostbased'), 'other');
  t.equal(methodLabel('x'.repeat(1_000)), 'other');
});
