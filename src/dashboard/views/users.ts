/** USERS: who is connected, added up from the connections that the page has. */
import { type UserRow, users } from '../derive.js';
import { button, KeyedList, make, need, type Part, setAttribute, setHidden, setText } from '../dom.js';
import { bytes, count, rate } from '../format.js';
import type { State } from '../state.js';

export interface UsersActions {
  /** Show the tunnels of this user alone. */
  readonly only: (user: string) => void;
}

export function usersView(actions: UsersActions): (state: State) => void {
  const list = new KeyedList<UserRow>(
    need('users-body', HTMLTableSectionElement),
    ({ user }) => user,
    ({ user }) => userRow(user, actions),
  );
  let shown: State['details'];
  return (state) => {
    if (state.details === undefined || state.details === shown) return;
    shown = state.details;
    const rows = users(state);
    list.update(rows);
    setHidden(need('users-empty', HTMLParagraphElement), rows.length > 0);
    setText(need('users-count', HTMLParagraphElement), countWords(rows.length, state.details));
  };
}

/** They are those of the listed connections, and the page says so where that is not everybody. */
function countWords(users: number, { query, connections }: NonNullable<State['details']>): string {
  if (connections.connections.length < connections.total) return `${count(users)} in the listed connections`;
  const filtered = query.search !== '' || query.user !== undefined;
  return users === 0 ? '' : `${count(users)}${filtered ? ' matching' : ''}`;
}

function userRow(user: string, actions: UsersActions): Part<UserRow> {
  const name = button('link', user, () => actions.only(user));
  name.dataset.control = 'user';
  setAttribute(name, 'title', 'Show the tunnels of this user alone');
  const [connections, channels, speed, moved] = [0, 1, 2, 3].map(() => make('td', 'end number'));
  const heading = make('th', 'user', name);
  heading.scope = 'row';
  const cells = [connections, channels, speed, moved].filter((cell) => cell !== undefined);
  return {
    element: make('tr', '', heading, ...cells),
    update: (row) => {
      const texts = [count(row.connections), count(row.channels), rate(row.rate), bytes(row.bytes)];
      for (const [index, cell] of cells.entries()) setText(cell, texts[index] ?? '');
      speed?.classList.toggle('idle', (row.rate ?? 0) === 0);
    },
  };
}
