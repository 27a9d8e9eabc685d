/** STATE: what each piece of news makes of what the page knows, and what views derive from it. */
import t from 'tap';
import {
  channelGroups,
  highest,
  latest,
  refusalReasons,
  refusalRows,
  sortedConnections,
  throughput,
  users,
} from '../../src/dashboard/derive.js';
import { noticeOf } from '../../src/dashboard/notices.js';
import { detailsMs, retryMs } from '../../src/dashboard/pace.js';
import { type Details, INITIAL, type News, reduce, SAMPLES, type State } from '../../src/dashboard/state.js';
import { channelWords, refusalWords, why } from '../../src/dashboard/words.js';
import { REFUSALS } from '../../src/shared/errors.js';
import { busyWorld, connection, emptyWorld } from '../support/worlds.js';

const { status } = emptyWorld();
const STARTED_MS = Date.parse(status.startedAt);

function after(...news: readonly News[]): State {
  return news.reduce(reduce, INITIAL);
}

/** The status so many ms after the start, with so many bytes moved. */
function at(uptimeMs: number, bytesIn = 0, startedAt = status.startedAt): News {
  return { type: 'status', status: { ...status, startedAt, uptimeMs, bytesIn }, atMs: 77 };
}

function details(...connections: Details['connections']['connections']): News {
  return {
    type: 'details',
    details: {
      query: { search: '' },
      connections: { total: connections.length, connections, silentWorkers: [] },
      forwards: { total: 0, forwards: [], silentWorkers: [] },
      workers: { workers: [] },
      refusals: { refusals: [] },
    },
  };
}

const HISTORY: News = { type: 'history', history: { everyMs: 1_000, samples: [[STARTED_MS + 1_000, 1, 1, 0, 0]] } };

t.test('samples', async (t) => {
  t.same(after(at(1_000)).samples, [], 'none before the history is known');
  const two = after(at(1_000), HISTORY, at(2_000, 500));
  t.same(two.samples.at(-1), [STARTED_MS + 2_000, 0, 0, 500, 0], 'each status is one more, by the clock of the server');
  t.equal(reduce(two, at(2_300)).samples.length, 2, 'but for one that comes at once');
  t.equal(reduce(two, { type: 'rested' }).historyComplete, false, 'after a rest the history is asked for again');
  let state = two;
  for (let second = 3; second < SAMPLES + 100; second += 1) state = reduce(state, at(second * 1_000));
  t.equal(state.samples.length, SAMPLES, 'and no more than ten minutes');
});

t.test('another server', async (t) => {
  const before = after(at(9_000, 500), HISTORY, details(connection(1, 'ana')), {
    type: 'asked',
    query: { search: 'x' },
  });
  const state = reduce(before, at(1_000, 0, '2026-01-05T07:00:00.000Z'));
  t.same(state.samples, []);
  t.equal(state.details, undefined, 'what was known of the last one is gone');
  t.equal(state.historyComplete, false);
  t.equal(state.query.search, 'x', 'what was asked for is not');
});

t.test('lost, and found again', async (t) => {
  const known = after(at(9_000), HISTORY, details(connection(1, 'ana')));
  const lost = reduce(known, { type: 'lost', nextTryAtMs: 99, why: 'it cannot be reached' });
  t.same(lost.link, { kind: 'lost', heardAtMs: 77, nextTryAtMs: 99, why: 'it cannot be reached' });
  t.equal(lost.details, known.details, 'stale, but there');
  t.match(noticeOf(lost), { kind: 'bad', text: /it cannot be reached.*as it was at/ });
  const found = reduce(lost, at(12_000));
  t.equal(found.link.kind, 'live');
  t.equal(found.historyComplete, false, 'the samples in between are asked for');
  t.equal(noticeOf(found), undefined);
});

t.test('notices', async (t) => {
  const draining: News = { type: 'status', status: { ...status, state: 'draining', connections: 1 }, atMs: 1 };
  t.match(noticeOf(after(draining)), { kind: 'warn', text: /1\u00a0is left/ });
  t.match(noticeOf(after(draining, { type: 'lost', nextTryAtMs: 1, why: 'x' })), { text: /may have ended/ });
  t.match(noticeOf(after({ type: 'locked', refused: false })), { button: { does: 'unlock' } });
  t.doesNotThrow(() => noticeOf(INITIAL));
});

t.test('rates of connections', async (t) => {
  const first = { ...connection(1, 'ana'), bytesIn: 1_000, bytesOut: 0 };
  const moved = { ...first, bytesIn: 4_000, bytesOut: 3_000, ageMs: 90_000 };
  const fresh = { ...connection(2, 'ben'), bytesIn: 900, bytesOut: 0, ageMs: 1_500 };
  const hidden = { ...connection(3, 'eve'), bytesIn: 900, bytesOut: 0, ageMs: 90_000 };
  const state = after(at(10_000), details(first), at(13_000), details(moved, fresh, hidden));
  t.equal(state.rates.get(1), 2_000);
  t.equal(state.rates.get(2), 300, 'one that has come since');
  t.equal(state.rates.get(3), undefined, 'nothing is known of one that was not listed before');
  t.same(
    users(state).map(({ user }) => user),
    ['ana', 'ben', 'eve'],
    'who moves most comes first',
  );
  t.equal(users(state)[2]?.rate, undefined);
});

t.test('order', async (t) => {
  const list = details(connection(30, 'ben'), connection(10, undefined), connection(20, 'ana'));
  const ids = (state: State): number[] => sortedConnections(state).map(({ id }) => id);
  const state = after(at(1_000), list);
  t.same(ids(state), [10, 20, 30], 'the youngest first');
  const byUser = reduce(state, { type: 'sorted', key: 'user' });
  t.same(ids(byUser), [20, 30, 10]);
  t.same(ids(reduce(byUser, { type: 'sorted', key: 'user' })), [10, 30, 20], 'the other way round');
  t.same(reduce(state, { type: 'sorted', key: 'rate' }).sort, { key: 'rate', descending: true });
});

t.test('rows that are unfolded, and rows that end', async (t) => {
  const state = after(at(1_000), details(connection(1, 'ana'), connection(2, 'ben')), { type: 'folded', id: 2 });
  t.same([...state.unfolded], [2]);
  t.same([...reduce(state, { type: 'folded', id: 2 }).unfolded], []);
  t.same([...reduce(state, details(connection(1, 'ana'))).unfolded], [], 'forgotten with its connection');
  const ended = reduce(state, { type: 'ended', id: 1 });
  t.equal(ended.details?.connections.total, 1);
  t.equal(reduce(ended, { type: 'ended', id: 1 }), ended, 'once');
});

t.test('throughput', async (t) => {
  const [times, ins] = throughput([
    [0, 0, 0, 0, 0],
    [1_000, 0, 0, 500, 0],
    [3_000, 0, 0, 1_500, 0],
    [4_000, 0, 0, 100, 0],
    [20_000, 0, 0, 200, 0],
    [21_000, 0, 0, 900, 0],
  ]);
  t.same(times, [0, 1, 3, 4, 20, 21]);
  t.same(ins, [null, 500, 500, null, null, 700], 'a counter that fell and a pause are gaps');
  t.equal(latest(ins), 700);
  t.equal(highest(ins), 700);
  t.equal(highest([null]), undefined);
});

t.test('channels that go the same way are one line', async (t) => {
  const { channels } = connection(1, 'ana', 'web:80', 'db:5432', 'web:80');
  t.same(
    channelGroups(channels).map(({ destination, count }) => [destination, count]),
    [
      ['web:80', 2],
      ['db:5432', 1],
    ],
  );
});

t.test('refusals in words', async (t) => {
  const { refusals } = busyWorld(0);
  t.equal(refusalRows(refusals).length, refusals.length);
  const [first] = refusals;
  if (first === undefined) throw new Error('no refusal');
  const twins = refusalRows([first, first]);
  t.not(twins[0]?.key, twins[1]?.key, 'two of the same are two rows');
  t.equal(refusalRows([first, first, first])[2]?.key, twins[1]?.key, 'and keep their keys when a third comes');
  for (const event of refusals) t.notMatch(refusalWords(event), { why: /^[A-Z_]+$/ }, event.event);
  for (const code of Object.keys(REFUSALS)) t.not(why(code), code, code);
  t.equal(why('FROM_A_NEWER_SERVER'), 'FROM_A_NEWER_SERVER');
  t.equal(why('constructor'), 'constructor');
  t.equal(refusalWords({ event: 'server.listening', address: 'x', level: 'info', time: '' }), undefined);
  t.equal(channelWords('forwarded-tcpip').arrow, '←');
});

t.test('refusals by reason', async (t) => {
  const counted = refusalReasons([
    { reason: 'DRAINING', count: 2 },
    { reason: 'POLICY_DENIED', count: 4 },
    { reason: 'DRAINING', count: 3 },
  ]);
  t.same(counted, [
    { reason: 'DRAINING', count: 5 },
    { reason: 'POLICY_DENIED', count: 4 },
  ]);
});

t.test('the pace', async (t) => {
  t.same([1, 2, 3, 4, 5, 50].map(retryMs), [1_000, 2_000, 4_000, 8_000, 15_000, 15_000]);
  t.ok(detailsMs(20_000) > detailsMs(20), 'long lists are asked for less often');
});
