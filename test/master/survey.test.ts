/** SURVEY of the primary: workers that answer, answer late, do not answer, or die, on a clock of the test's. */
import t from 'tap';
import { MAX_LOOKS, Survey } from '../../src/master/survey.js';
import type { ConnId, LookQuery, Seen, SeenConnection } from '../../src/shared/ipc.js';
import { FakeClock } from '../support/fake_clock.js';

type Query = Extract<LookQuery, { kind: 'connections' }>;

const ALL: Query = { kind: 'connections', user: null, search: null, limit: 3 };

function room(...workers: number[]) {
  const clock = new FakeClock();
  const told: [worker: number, look: number, query: LookQuery][] = [];
  const survey = new Survey({
    workers: () => workers,
    look: (...look) => told.push(look),
    clock,
  });
  return { survey, clock, told };
}

function seen(total: number, ...ids: number[]): Seen {
  const connections = ids.map(
    (id): SeenConnection => ({
      ...{ id: id as ConnId, peer: `192.0.2.1:${id}`, state: 'login', openedAtMs: 0, ageMs: 1 },
      ...{ bytesIn: 0, bytesOut: 0, channels: [], channelsTotal: 0 },
    }),
  );
  return { kind: 'connections', total, connections };
}

t.test('the answers of all workers become one list, the oldest first, cut at the limit', async (t) => {
  const { survey, clock, told } = room(1, 2);
  const asked = survey.connections(ALL);
  t.same(told, [
    [1, 1, ALL],
    [2, 1, ALL],
  ]);
  survey.seen(2, 1, seen(9, 2, 3), true);
  survey.seen(1, 1, seen(2, 1, 4), true);
  const answer = await asked;
  t.match(answer, {
    total: 11,
    connections: [
      { id: 1, worker: 1, openedAt: '1970-01-01T00:00:00.000Z' },
      { id: 2, worker: 2 },
      { id: 3, worker: 2 },
    ],
  });
  t.same([answer?.silentWorkers, answer?.connections.length], [[], 3]);
  t.equal(clock.pending, 0);
});

t.test(
  'a worker that does not answer within a second is named, and is not waited for again until it has',
  async (t) => {
    const { survey, clock } = room(1, 2);
    const first = survey.connections(ALL);
    survey.seen(1, 1, seen(1, 5), true);
    clock.advance(999);
    let settled = false;
    void first.then(() => {
      settled = true;
    });
    await new Promise(setImmediate);
    t.notOk(settled);
    clock.advance(1);
    t.match(await first, { total: 1, silentWorkers: [2] });

    const second = survey.connections(ALL);
    survey.seen(1, 2, seen(1, 5), true);
    t.match(await second, { total: 1, silentWorkers: [2] }, 'at once');

    survey.seen(2, 2, seen(1, 6), true); // too late for that one
    const third = survey.connections(ALL);
    survey.seen(1, 3, seen(1, 5), true);
    survey.seen(2, 3, seen(1, 6), true);
    t.match(await third, { total: 2, silentWorkers: [] });
  },
);

t.test('who asks the same meanwhile gets the same answer; who asks something else has the workers asked', async (t) => {
  const { survey, told } = room(1);
  const asked = [survey.connections(ALL), survey.connections({ ...ALL }), survey.connections({ ...ALL, user: 'bob' })];
  t.equal(told.length, 2);
  survey.seen(1, 1, seen(1, 1), true);
  survey.seen(1, 2, seen(0), true);
  t.same(
    (await Promise.all(asked)).map((answer) => answer?.total),
    [1, 1, 0],
  );
  void survey.connections(ALL);
  t.equal(told.length, 3, 'an answer is not kept');
});

t.test('of different questions a few are under way at a time', async (t) => {
  const { survey, told } = room(1);
  const asked = Array.from({ length: MAX_LOOKS }, (_, limit) => survey.connections({ ...ALL, limit }));
  t.equal(await survey.connections({ ...ALL, user: 'bob' }), null);
  t.equal(await survey.forwards(5), null);
  t.equal(told.length, MAX_LOOKS, 'no worker is asked');
  asked.push(survey.connections({ ...ALL, limit: 1 }));
  survey.lost(1);
  for (const answer of await Promise.all(asked)) t.match(answer, { total: 0, silentWorkers: [] });
  void survey.forwards(5);
  t.equal(told.length, MAX_LOOKS + 1, 'there is room again');
});

t.test(
  'parts of several workers, in whatever order; those of one that dies before its last are no part of it',
  async (t) => {
    const { survey, clock } = room(1, 2, 3);
    const asked = survey.connections({ ...ALL, limit: 4 });
    survey.seen(2, 1, seen(2, 2, 5), false);
    survey.seen(1, 1, seen(2, 1, 4), false);
    survey.seen(3, 1, seen(9, 9), false);
    survey.seen(1, 1, seen(1, 7), true);
    survey.lost(3);
    survey.seen(2, 1, seen(3, 6), true);
    const answer = await asked;
    t.match(answer, { total: 8, silentWorkers: [] });
    t.same(
      answer?.connections.map(({ id }) => id),
      [1, 2, 4, 5],
    );

    const late = survey.connections(ALL);
    survey.seen(1, 2, seen(1, 1), true);
    survey.seen(2, 2, seen(1, 2), false);
    survey.lost(3);
    clock.advance(1_000);
    const answered = await late;
    t.match(answered, { total: 1, silentWorkers: [2] }, 'who has not told all is silent, and no part of it');
    t.same(
      answered?.connections.map(({ id }) => id),
      [1],
    );
  },
);

t.test('a worker that dies is not waited for; without workers there is nothing', async (t) => {
  const { survey } = room(1, 2);
  const asked = survey.connections(ALL);
  survey.seen(1, 1, seen(1, 1), true);
  survey.lost(2);
  t.match(await asked, { total: 1, silentWorkers: [] });
  t.same(await room().survey.forwards(5), { total: 0, forwards: [], silentWorkers: [] });
});

t.test('answers that nobody waits for are passed over: unknown, double, of another kind', async (t) => {
  const { survey } = room(1, 2);
  const asked = survey.forwards(5);
  survey.seen(1, 99, seen(7, 1), true);
  survey.seen(3, 1, seen(7, 1), true);
  const forward = { conn: 4 as ConnId, user: 'alice', kind: 'tcpip-forward', destination: 'localhost:80' } as const;
  const forwards = [{ ...forward, ageMs: 1, channels: 0, bytesIn: 0, bytesOut: 0 }];
  survey.seen(1, 1, { kind: 'forwards', total: 1, forwards }, true);
  survey.seen(1, 1, { kind: 'forwards', total: 1, forwards }, true);
  survey.seen(2, 1, { kind: 'forwards', total: 0, forwards: [] }, true);
  t.match(await asked, { total: 1, forwards: [{ conn: 4, worker: 1 }], silentWorkers: [] });
});
