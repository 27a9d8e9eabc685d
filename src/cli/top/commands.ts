/** COMMANDS: what each key does, and the words of the help about it. Owns nothing. Pure. */
import type { Key } from './keys.js';
import { listOf, rowsOf, type Sort, type SortKey, VIEWS, type View } from './rows.js';
import { moved, movedTo, pageOf } from './selection.js';
import type { Effect, State, Step } from './state.js';

export const MAX_FILTER = 100;

export const HELP: readonly (readonly [keys: string, does: string])[] = [
  ['1 2 3 4, Tab', 'connections, tunnels, forwards, users'],
  ['Up Down PgUp PgDn Home End', 'choose a row; Esc lets go of it'],
  ['x, k', 'end the connection of the row, after a question'],
  ['Enter', 'of a user: his connections'],
  ['/', 'show what has a text in user, peer or destination'],
  ['b i o', 'order by both directions, in, out'],
  ['t a u n', 'order by total, age, user, number of tunnels'],
  ['< >', 'order by the column before, after'],
  ['r', 'reverse the order'],
  ['p, Space', 'pause and go on'],
  ['^L', 'draw again'],
  ['q, ^C, ^Z', 'quit; ^Z stops until fg'],
];

const SORT_LETTERS: Readonly<Record<string, SortKey>> = {
  b: 'rate',
  i: 'in',
  o: 'out',
  t: 'total',
  a: 'age',
  u: 'user',
  n: 'tunnels',
};

/** What `<` and `>` go through, as the columns stand. */
const SORTS_OF: Readonly<Record<View, readonly SortKey[]>> = {
  connections: ['id', 'user', 'place', 'tunnels', 'rate', 'in', 'out', 'total', 'age'],
  tunnels: ['id', 'user', 'place', 'rate', 'in', 'out', 'total', 'age'],
  forwards: ['id', 'user', 'place', 'tunnels', 'rate', 'in', 'out', 'total', 'age'],
  users: ['user', 'id', 'tunnels', 'rate', 'in', 'out', 'total', 'age'],
};

export function keyStep(state: State, key: Key): Step {
  if (key.kind === 'ctrl-c') return done(state, { kind: 'interrupt' });
  if (key.kind === 'ctrl-z') return done(state, { kind: 'suspend' });
  if (key.kind === 'ctrl-l') return done(state, { kind: 'redraw' });
  const { mode } = state;
  switch (mode.kind) {
    case 'table':
      return key.kind === 'character' ? characterStep(state, key.text) : tableStep(state, key);
    case 'help':
      return isCharacter(key, 'q') ? done(state, { kind: 'quit' }) : done(inTable(state));
    case 'filter':
      return filterStep(state, mode.typed, key);
    case 'question':
      if (isCharacter(key, 'y') || isCharacter(key, 'Y')) return done(inTable(state), { kind: 'end', id: mode.id });
      return done({ ...inTable(state), notice: 'nothing was ended' });
    default:
      return mode satisfies never;
  }
}

function characterStep(state: State, character: string): Step {
  const view = VIEWS[Number(character) - 1];
  if (view !== undefined) return toView(state, view);
  const sortKey = SORT_LETTERS[character];
  if (sortKey !== undefined) return done(sorted(state, sortBy(sortKey)));
  switch (character) {
    case 'q':
      return done(state, { kind: 'quit' });
    case '?':
    case 'h':
      return done({ ...state, mode: { kind: 'help' } });
    case '/':
      return done({ ...state, mode: { kind: 'filter', typed: state.filter } });
    case 'r':
      return done(sorted(state, { ...state.sort, isDescending: !state.sort.isDescending }));
    case '<':
      return done(sorted(state, neighbour(state, -1)));
    case '>':
      return done(sorted(state, neighbour(state, 1)));
    case 'p':
    case ' ':
      return paused(state);
    case 'k':
    case 'x':
      return done(asked(state));
    default:
      return done(state);
  }
}

function tableStep(state: State, key: Key): Step {
  switch (key.kind) {
    case 'up':
      return done(moved(state, -1));
    case 'down':
      return done(moved(state, 1));
    case 'page-up':
      return done(moved(state, -pageOf(state)));
    case 'page-down':
      return done(moved(state, pageOf(state)));
    case 'home':
      return done(movedTo(state, 0));
    case 'end':
      return done(movedTo(state, state.rows.length - 1));
    case 'tab':
      return toView(state, viewBeside(state.view, 1));
    case 'back-tab':
      return toView(state, viewBeside(state.view, -1));
    case 'enter':
      return connectionsOfUser(state);
    case 'escape':
      return state.selected === null && state.filter !== '' ? filtered(state, '') : done({ ...state, selected: null });
    default:
      return done(state);
  }
}

function filterStep(state: State, typed: string, key: Key): Step {
  const typing = (text: string): Step =>
    done({ ...state, mode: { kind: 'filter', typed: [...text].slice(0, MAX_FILTER).join('') } });
  switch (key.kind) {
    case 'character':
    case 'paste':
      return typing(typed + key.text.replaceAll(/\p{Cc}/gu, ''));
    case 'backspace':
      return typing([...typed].slice(0, -1).join(''));
    case 'ctrl-u':
      return typing('');
    case 'enter':
      return filtered(inTable(state), typed.trim());
    case 'escape':
      return done(inTable(state));
    default:
      return done(state);
  }
}

/** The rows that are here are of the filter before; the server is asked at once. */
function filtered(state: State, filter: string): Step {
  if (filter === state.filter) return done(state);
  return done(listedAgain({ ...state, filter, selected: null, offset: 0 }), { kind: 'look' });
}

function toView(state: State, view: View): Step {
  if (view === state.view) return done(state);
  const next = listedAgain({ ...state, view, selected: null, offset: 0, sort: sortFor(state.sort, view) });
  return listOf(view) === listOf(state.view) ? done(next) : done(next, { kind: 'look' });
}

/** An order that the other table does not have is the one that it begins with. */
function sortFor(sort: Sort, view: View): Sort {
  return SORTS_OF[view].includes(sort.key) ? sort : { key: 'rate', isDescending: true };
}

function viewBeside(view: View, by: 1 | -1): View {
  return VIEWS[(VIEWS.indexOf(view) + by + VIEWS.length) % VIEWS.length] ?? view;
}

function connectionsOfUser(state: State): Step {
  const row = state.rows[state.cursor];
  if (state.view !== 'users' || state.selected === null || row === undefined) return done(state);
  return filtered(toView(state, 'connections').state, row.user);
}

function asked(state: State): State {
  const row = state.rows[state.cursor];
  if (state.selected === null || row === undefined) return { ...state, notice: 'choose a row first, with Up and Down' };
  if (row.id === null) return { ...state, notice: 'Enter shows the connections of a user; they are ended one by one' };
  return { ...state, mode: { kind: 'question', id: row.id, who: row.user } };
}

/** Going on begins with a look. */
function paused(state: State): Step {
  const isPaused = !state.isPaused;
  return done({ ...state, isPaused }, ...(isPaused ? [] : [{ kind: 'look' } as const]));
}

export function sortBy(key: SortKey): Sort {
  return { key, isDescending: key !== 'user' && key !== 'place' && key !== 'id' };
}

function neighbour({ view, sort }: State, by: 1 | -1): Sort {
  const keys = SORTS_OF[view];
  return sortBy(keys[(keys.indexOf(sort.key) + by + keys.length) % keys.length] ?? 'rate');
}

function sorted(state: State, sort: Sort): State {
  return listedAgain({ ...state, sort });
}

function listedAgain(state: State): State {
  return { ...state, rows: state.look === undefined ? [] : rowsOf(state.look, state.rates, state) };
}

function inTable(state: State): State {
  return { ...state, mode: { kind: 'table' } };
}

function isCharacter(key: Key, text: string): boolean {
  return key.kind === 'character' && key.text === text;
}

function done(state: State, effect?: Effect): Step {
  return effect === undefined ? { state } : { state, effect };
}
