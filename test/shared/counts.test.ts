/** COUNTS: what is counted in one process and added up in another, which may be of another version. */
import t from 'tap';
import { Counts, seriesIn } from '../../src/shared/counts.js';
import { METRICS } from '../../src/shared/metrics.js';

t.test('what was counted is told once, and adds up elsewhere', async (t) => {
  const [one, other, all] = [new Counts(), new Counts(), new Counts()];
  one.add('logins', ['publickey', 'accepted']);
  one.add('logins', ['publickey', 'accepted']);
  one.add('bytes', ['in'], 0);
  one.observe('login', [], 0.02);
  other.add('logins', ['publickey', 'accepted']);
  other.observe('login', [], 0.025);
  other.observe('login', [], 1_000);
  all.merge(JSON.parse(JSON.stringify(one.take())));
  all.merge(JSON.parse(JSON.stringify(other.take())));
  t.same(one.take(), { counters: {}, histograms: {} });
  t.same([...all.counters], [['sallyport_logins_total publickey accepted', 3]]);
  t.same(
    [...all.histograms],
    [['sallyport_login_seconds', [0, 0, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 1000.045]]],
    'a bound belongs to its bucket; what is beyond all has its own',
  );
});

t.test('what is not of the list is dropped, and the rest is not', async (t) => {
  const counts = new Counts();
  const buckets = new Array(METRICS.login.buckets.length + 2).fill(1);
  counts.merge({
    counters: {
      sallyport_of_tomorrow_total: 1,
      'sallyport_logins_total publickey': 1,
      'sallyport_logins_total publickey accepted more': 1,
      'sallyport_logins_total publickey {evil}': 1,
      [`sallyport_logins_total publickey ${'x'.repeat(65)}`]: 1,
      'sallyport_connections open': 1,
      sallyport_connections_accepted_total: -1,
      'sallyport_forwards_bound_total tcpip-forward': Number.NaN,
      'sallyport_channel_bytes_total in': '7',
      'sallyport_channel_bytes_total out': 7,
    },
    histograms: {
      sallyport_login_seconds: buckets.slice(1),
      sallyport_handoff_seconds: [...new Array(METRICS.handoff.buckets.length + 1).fill(1), -1],
      sallyport_logins_total: buckets,
      'sallyport_event_loop_lag_seconds worker': 'all',
    },
  });
  t.same([...counts.counters], [['sallyport_channel_bytes_total out', 7]]);
  t.same([...counts.histograms], []);
  for (const wrong of [null, undefined, 7, 'counters', [], { counters: null }, { histograms: 7 }]) counts.merge(wrong);
  t.equal(counts.counters.size, 1);
});

t.test('a process that is not ours makes no more than so many series', async (t) => {
  const counts = new Counts();
  const reasons = Array.from({ length: 10_000 }, (_, index) => [`sallyport_connections_closed_total R${index}`, 1]);
  counts.merge({ counters: Object.fromEntries(reasons) });
  t.equal(seriesIn(counts.counters, METRICS.connectionsClosed.name).length, 256);
  counts.merge({ counters: { 'sallyport_connections_closed_total R7': 2 } });
  t.equal(counts.counters.get('sallyport_connections_closed_total R7'), 3, 'those that it has go on');
});
