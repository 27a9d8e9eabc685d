/** MODEL: what keys and answers make of the state, and what is to be done about them. */
import t from 'tap';
import { decode } from '../../../src/cli/top/keys.js';
import type { Look } from '../../../src/cli/top/look.js';
import { step } from '../../../src/cli/top/model.js';
import { begin, type Effect, type State } from '../../../src/cli/top/state.js';
import { connection, forward, look, type Seen, tunnel } from '../../support/looks.js';

const UP = '\x1b[A';
const DOWN = '\x1b[B';

const MORNING: Seen = {
  connections: [
    connection(1, 'ana', { bytesIn: 100, tunnels: [tunnel(0, 'wiki:443'), tunnel(1, 'db:5432')] }),
    connection(2, 'bo', { bytesIn: 900, ageMs: 5_000 }),
    connection(3, 'ana', { bytesIn: 500, tunnels: [tunnel(0, 'git:22')] }),
    connection(4, ''),
  ],
};

function started(first: Look = look(0, MORNING)): State {
  const state = begin({ size: { columns: 100, rows: 30 } });
  return step(state, { kind: 'look', look: first }).state;
}

/** @returns the state behind these keys, and what they asked for */
function typed(state: State, text: string): { readonly state: State; readonly effects: readonly Effect[] } {
  const effects: Effect[] = [];
  let now = state;
  for (const key of decode(text, true).keys) {
    const next = step(now, { kind: 'key', key });
    now = next.state;
    if (next.effect !== undefined) effects.push(next.effect);
  }
  return { state: now, effects };
}

function ids({ rows }: State): readonly (number | null)[] {
  return rows.map(({ id }) => id);
}

t.test('order: by what moves at first, by a letter, reversed, by the neighbour', async (t) => {
  const later = look(1_000, {
    connections:
      MORNING.connections?.map((each) => ({ ...each, bytesIn: each.bytesIn + (each.id === 3 ? 700 : 0) })) ?? [],
  });
  const state = step(started(), { kind: 'look', look: later }).state;
  t.same(ids(state), [3, 1, 2, 4]);
  t.same(ids(typed(state, 't').state), [3, 2, 1, 4], 'total');
  t.same(ids(typed(state, 'u').state), [4, 1, 3, 2], 'user');
  t.same(ids(typed(state, 'ur').state), [2, 1, 3, 4], 'user, reversed');
  t.same(ids(typed(state, 'n').state), [1, 3, 2, 4], 'tunnels');
  t.match(typed(state, 't>').state.sort, { key: 'age', isDescending: true });
  t.match(typed(state, 't<').state.sort, { key: 'out' });
});

t.test('tables: numbers and Tab; only another list is asked for at once', async (t) => {
  const tunnels = typed(started(), '2');
  t.same(
    tunnels.state.rows.map(({ place }) => place),
    ['wiki:443', 'db:5432', 'git:22'],
  );
  t.same(tunnels.effects, []);
  const forwards = typed(started(), '3');
  t.same([forwards.state.rows, forwards.effects], [[], [{ kind: 'look' }]]);
  const answered = step(forwards.state, {
    kind: 'look',
    look: look(9, { forwards: [forward(7, 'bo', '*:8080')] }),
  }).state;
  t.match(answered.rows, [{ id: 7, place: '*:8080', kind: '-R' }]);
  const users = typed(started(), '4').state;
  t.match(users.rows, [
    { user: 'ana', connections: 2, tunnels: 3, total: 600 },
    { user: 'bo', connections: 1 },
  ]);
  t.equal(typed(started(), '\t\t\t\t').state.view, 'connections');
  t.equal(typed(started(), '\x1b[Z').state.view, 'users');
});

t.test('an end: of a chosen row, after a y and nothing else', async (t) => {
  t.match(typed(started(), 'x'), { state: { notice: /choose a row/ }, effects: [] });
  const asked = typed(started(), `u${DOWN}${DOWN}x`);
  t.match(asked, { state: { mode: { kind: 'question', id: 1, who: 'ana' } }, effects: [] });
  t.same(typed(asked.state, 'y').effects, [{ kind: 'end', id: 1 }]);
  t.same(typed(asked.state, 'k').effects, []);
  for (const no of ['n', 'x', '\r', '\x1b', '\x1b[200~y\x1b[201~']) {
    const { state, effects } = typed(asked.state, no);
    t.match([state.mode.kind, effects], ['table', []], JSON.stringify(no));
  }
  const of = typed(typed(started(), '2').state, `${DOWN}k`).state.mode;
  t.match(of, { kind: 'question', id: 1 }, 'of a tunnel it is its connection');
  t.match(typed(started(), `4${DOWN}x`).state, { mode: { kind: 'table' }, notice: /Enter/ }, 'a user has several');
});

t.test('a paste in the table is no command', async (t) => {
  const { state, effects } = typed(typed(started(), DOWN).state, '\x1b[200~xyq\x1b[201~');
  t.match([state.mode.kind, effects], ['table', []]);
});

t.test('the question is about the connection that was chosen, though it goes meanwhile', async (t) => {
  const asked = typed(started(), `u${DOWN}${DOWN}${DOWN}x`).state;
  t.match(asked.mode, { id: 3 });
  const gone = step(asked, {
    kind: 'look',
    look: look(900, { connections: [connection(1, 'ana'), connection(2, 'bo')] }),
  });
  t.same(typed(gone.state, 'y').effects, [{ kind: 'end', id: 3 }]);
});

t.test('the choice goes where its row goes; when that is gone, the next one has its place', async (t) => {
  const chosen = typed(started(), `t${DOWN}${DOWN}`).state;
  t.match([chosen.selected, chosen.cursor], ['c3', 1]);
  t.match(typed(chosen, 'r').state, { selected: 'c3', cursor: 2 });
  const left = MORNING.connections?.filter(({ id }) => id !== 3) ?? [];
  t.match(step(chosen, { kind: 'look', look: look(1_000, { connections: left }) }).state, {
    selected: 'c1',
    cursor: 1,
  });
  t.match(typed(chosen, '\x1b').state, { selected: null });
  t.match(step(chosen, { kind: 'look', look: look(1_000, { connections: [] }) }).state, { selected: null, offset: 0 });
});

t.test('the choice is always on the screen', async (t) => {
  const connections = Array.from({ length: 100 }, (_, index) => connection(index + 1, `user${index}`));
  let state = step(started(look(0, { connections })), { kind: 'size', size: { columns: 80, rows: 12 } }).state;
  for (const [keys, cursor] of [
    [DOWN, 0],
    ['\x1b[F', 99],
    ['\x1b[5~', 94],
    [UP, 93],
    ['\x1b[H', 0],
    ['\x1b[6~\x1b[6~', 10],
  ] as const) {
    state = typed(state, keys).state;
    t.equal(state.cursor, cursor, JSON.stringify(keys));
    t.ok(state.cursor >= state.offset && state.cursor < state.offset + 6, `${state.cursor} from ${state.offset}`);
  }
  const small = step(state, { kind: 'size', size: { columns: 80, rows: 5 } }).state;
  t.ok(small.cursor >= small.offset && small.cursor < small.offset + 2, 'also on a smaller one');
});

t.test('a filter: typed, taken back, asked for at once', async (t) => {
  const typing = typed(started(), '/an!\x7fa\x1b[200~\x1b[201~');
  t.match([typing.state.mode, typing.state.filter, typing.effects], [{ typed: 'ana' }, '', []]);
  const set = typed(typing.state, '\r');
  t.match([set.state.filter, ids(set.state), set.effects], ['ana', [1, 3], [{ kind: 'look' }]]);
  t.match(typed(typing.state, '\x1b').state, { filter: '', mode: { kind: 'table' } });
  t.match(typed(set.state, '\x1b'), { state: { filter: '' }, effects: [{ kind: 'look' }] }, 'Esc takes it away');
  t.equal(typed(started(), `/${'q'.repeat(500)}\r`).state.filter.length, 100, 'the server takes 255 at most');
  const ofUser = typed(started(), `4${DOWN}\r`);
  t.match([ofUser.state.view, ofUser.state.filter, ofUser.effects], ['connections', 'ana', [{ kind: 'look' }]]);
});

t.test('pause, help, quit, stop', async (t) => {
  const paused = typed(started(), 'p');
  t.match([paused.state.isPaused, paused.effects], [true, []]);
  t.match(typed(paused.state, 'p'), { state: { isPaused: false }, effects: [{ kind: 'look' }] });
  t.equal(typed(started(), '?').state.mode.kind, 'help');
  t.equal(typed(started(), '?x').state.mode.kind, 'table');
  t.same(typed(started(), 'q').effects, [{ kind: 'quit' }]);
  t.same(typed(started(), '/q').effects, [], 'not while a text is typed');
  t.same(typed(started(), '/\x03').effects, [{ kind: 'interrupt' }], '^C always');
  t.same(typed(started(), '\x1a').effects, [{ kind: 'suspend' }]);
});

t.test('a server that is gone is told of until it answers', async (t) => {
  const lost = step(started(), { kind: 'lost', why: 'no server answers there', retryMs: 2_000 }).state;
  t.match(lost, { lost: { retryMs: 2_000 }, rows: { length: 4 } }, 'what was known stays');
  const told = step(started(), { kind: 'told', notice: 'connection 1 was ended' }).state;
  t.equal(
    step(told, { kind: 'lost', why: 'gone', retryMs: 1_000 }).state.notice,
    null,
    'and nothing stands before that',
  );
  t.equal(step(lost, { kind: 'look', look: look(5_000, MORNING) }).state.lost, null);
});

t.test('looks that keys have asked for in between make no rates', async (t) => {
  const at = (atMs: number, bytesIn: number): Look => look(atMs, { status: { bytesIn }, connections: [] });
  let state = step(started(at(0, 0)), { kind: 'look', look: at(2_000, 2_000) }).state;
  t.match(state.rates.server, { in: 1_000 });
  state = step(state, { kind: 'look', look: at(2_020, 12_000) }).state;
  t.match([state.rates.server, state.past.length], [{ in: 12_000 / 2.02 }, 1], 'over the time since the one before');
});
