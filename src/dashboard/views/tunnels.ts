/** TUNNELS: the connections and what runs through each, with search, order, and the end of one. The server searches; the rows
 *  that it sends are sorted here. */
import type { ConnectionView } from '../../shared/admin.js';
import { CONNECTIONS_SHOWN } from '../api.js';
import { channelGroups, sortedConnections } from '../derive.js';
import { button, KeyedList, make, need, type Part, setAttribute, setHidden, setText } from '../dom.js';
import { age, bytes, clientName, count, rate, some } from '../format.js';
import type { Query, SortKey, State } from '../state.js';
import { channelWords } from '../words.js';
import { announce } from './notice.js';

export interface TunnelsActions {
  readonly ask: (query: Query) => void;
  readonly sort: (key: SortKey) => void;
  readonly fold: (id: number) => void;
  readonly end: (connection: ConnectionView) => void;
}

/** How many lines of a connection are shown before one asks for all. */
const GROUPS_SHOWN = 3;
/** Between the last key of a search and the question. */
const TYPING_MS = 250;

interface Row {
  readonly connection: ConnectionView;
  readonly rate: number | undefined;
  readonly unfolded: boolean;
}

export function tunnelsView(actions: TunnelsActions): (state: State) => void {
  const search = need('search', HTMLInputElement);
  const userFilter = need('user-filter', HTMLButtonElement);
  const empty = need('tunnels-empty', HTMLDivElement);
  let query: Query = { search: '' };
  let shown: State | undefined;
  let announced = '';
  const byUser = (user: string): void => {
    actions.ask({ ...query, user });
    search.focus();
  };
  const list = new KeyedList<Row>(
    need('tunnels-body', HTMLTableSectionElement),
    ({ connection }) => String(connection.id),
    ({ connection }) => tunnelRow(connection, byUser, actions),
  );

  let typing: ReturnType<typeof setTimeout> | undefined;
  search.addEventListener('input', () => {
    clearTimeout(typing);
    typing = setTimeout(() => actions.ask({ ...query, search: search.value.trim() }), TYPING_MS);
  });
  userFilter.addEventListener('click', () => {
    actions.ask({ search: query.search });
    search.focus();
  });
  const headings = [...document.querySelectorAll<HTMLTableCellElement>('th[data-sort]')];
  for (const heading of headings)
    heading.querySelector('button')?.addEventListener('click', () => {
      const key = heading.dataset.sort;
      if (isSortKey(key)) actions.sort(key);
    });

  return (state) => {
    query = state.query;
    setHidden(userFilter, query.user === undefined);
    setText(userFilter, `user ${query.user ?? ''} ✕`);
    setAttribute(userFilter, 'aria-label', `Show all users again, not ${query.user ?? ''} alone`);
    for (const heading of headings) {
      const { key, descending } = state.sort;
      const order = descending ? 'descending' : 'ascending';
      setAttribute(heading, 'aria-sort', heading.dataset.sort === key ? order : undefined);
    }
    if (state.details === shown?.details && state.sort === shown?.sort && state.unfolded === shown?.unfolded) return;
    shown = state;
    const rows = sortedConnections(state).map((connection) => ({
      connection,
      rate: state.rates.get(connection.id),
      unfolded: state.unfolded.has(connection.id),
    }));
    list.update(rows);
    setText(need('tunnels-count', HTMLParagraphElement), countWords(state));
    setHidden(empty, rows.length > 0 || state.details === undefined);
    if (rows.length === 0 && state.details !== undefined) showEmpty(empty, state);
    announced = announceFound(state, announced);
  };
}

/** Once for each search, when its answer is here. */
function announceFound({ details }: State, announced: string): string {
  if (details === undefined) return announced;
  const asked = JSON.stringify(details.query);
  const first = announced === '' && details.query.search === '' && details.query.user === undefined;
  if (asked !== announced && !first) announce(`${some(details.connections.total, 'connection')} found.`);
  return asked;
}

function countWords({ details }: State): string {
  if (details === undefined) return '';
  const { total, connections } = details.connections;
  const matching = isFiltered(details.query) ? 'matching ' : '';
  const all = `${count(total)} ${matching}${total === 1 ? 'connection' : 'connections'}`;
  if (connections.length >= total) return all;
  return `the first ${count(Math.min(CONNECTIONS_SHOWN, connections.length))} of ${all}; search finds the others`;
}

function isFiltered({ search, user }: Query): boolean {
  return search !== '' || user !== undefined;
}

function showEmpty(empty: HTMLElement, { details, status }: State): void {
  const kind = details !== undefined && isFiltered(details.query) ? 'nothing' : 'nobody';
  const [host = 'HOST', port = 'PORT'] = splitListener(status?.listeners[0]);
  const text = `${kind} ${host} ${port}`;
  if (empty.dataset.shows === text) return;
  empty.dataset.shows = text;
  if (kind === 'nothing') {
    empty.replaceChildren(
      make('p', '', 'Nothing matches. Users, addresses and destinations are searched, upper and lower case alike.'),
    );
    return;
  }
  const line = `ssh -N -p ${port} -L 8080:localhost:80 USER@${host}`;
  empty.replaceChildren(make('p', '', 'No tunnels yet. Connect with'), make('p', '', make('code', '', line)));
}

/** What a client would say for `0.0.0.0:2222` is not known here: it has many names. */
function splitListener(listener: string | undefined): readonly string[] {
  const match = /^\[?(.*?)\]?:(\d+)$/.exec(listener ?? '');
  const [, host = '', port = ''] = match ?? [];
  return match === null ? [] : [host === '0.0.0.0' || host === '::' ? 'HOST' : host, port];
}

function isSortKey(key: string | undefined): key is SortKey {
  return key === 'user' || key === 'age' || key === 'rate';
}

function tunnelRow(first: ConnectionView, byUser: (user: string) => void, actions: TunnelsActions): Part<Row> {
  let latest = first;
  const name = button('link', '', () => latest.user !== undefined && byUser(latest.user));
  name.dataset.control = 'user';
  const pending = make('span', 'muted pending', 'logging in');
  const login = make('span', 'small muted');
  const [narrowPeer, narrowRate] = [
    make('span', 'small muted narrow place'),
    make('span', 'small muted narrow number'),
  ];
  const peer = make('span', 'place');
  const client = make('span', 'small muted');
  const channels = make('ul', 'channels');
  const more = button('link small', '', () => actions.fold(latest.id));
  more.dataset.control = 'more';
  const end = button('end-button', 'End', () => actions.end(latest));
  end.dataset.control = 'end';
  const [speed, bytesIn, bytesOut, since] = [
    cell('end number medium'),
    cell('end number wide'),
    cell('end number wide'),
    cell('end number medium'),
  ];
  const user = make('th', 'user', make('div', '', name, pending), login, narrowPeer, narrowRate);
  user.scope = 'row';
  const element = make(
    'tr',
    '',
    user,
    make('td', 'medium', make('div', '', peer), client),
    make('td', 'where', channels, more),
    speed,
    bytesIn,
    bytesOut,
    since,
    make('td', 'end', end),
  );
  const list = channelList(channels);
  return {
    element,
    update: ({ connection, rate: speedNow, unfolded }) => {
      latest = connection;
      const { user: userName, method, fingerprint, client: ident } = connection;
      setHidden(name, userName === undefined);
      setHidden(pending, userName !== undefined);
      setText(name, userName ?? '');
      setAttribute(name, 'title', userName === undefined ? undefined : 'Show this user alone');
      setText(login, method ?? '');
      setAttribute(login, 'title', fingerprint);
      setText(peer, connection.peer);
      setText(narrowPeer, connection.peer);
      setText(client, ident === undefined ? '' : clientName(ident));
      setText(speed, rate(speedNow));
      setText(narrowRate, rate(speedNow));
      speed.classList.toggle('idle', (speedNow ?? 0) === 0);
      setText(bytesIn, bytes(connection.bytesIn));
      setText(bytesOut, bytes(connection.bytesOut));
      setText(since, age(connection.ageMs));
      setAttribute(
        since,
        'title',
        `since ${connection.openedAt}, worker ${connection.worker}, connection ${connection.id}`,
      );
      setAttribute(
        end,
        'aria-label',
        `End connection ${connection.id} of ${userName ?? 'nobody yet'} from ${connection.peer}`,
      );
      const hidden = list(connection, unfolded);
      setHidden(more, hidden === 0 && !unfolded);
      setText(more, unfolded ? 'fewer' : `${count(hidden)} more`);
      setAttribute(more, 'aria-expanded', String(unfolded));
    },
  };
}

function cell(className: string): HTMLTableCellElement {
  return make('td', className);
}

interface Line {
  readonly key: string;
  readonly kind: string;
  readonly destination: string;
  readonly note: string;
}

/** @returns an update that says how many channels are not shown */
function channelList(root: HTMLUListElement): (connection: ConnectionView, unfolded: boolean) => number {
  const lines = new KeyedList<Line>(root, ({ key }) => key, channelLine);
  return ({ channels, channelsTotal }, unfolded) => {
    if (unfolded) {
      lines.update(
        channels.map(({ channel, kind, destination, bytesIn, bytesOut, ageMs }) => ({
          key: String(channel),
          kind,
          destination,
          note: `${bytes(bytesIn)} in, ${bytes(bytesOut)} out, ${age(ageMs)}`,
        })),
      );
      return 0;
    }
    const groups = channelGroups(channels).slice(0, GROUPS_SHOWN);
    lines.update(
      groups.map(({ kind, destination, count: times }) => ({
        key: `${kind} ${destination}`,
        kind,
        destination,
        note: times === 1 ? '' : `× ${count(times)}`,
      })),
    );
    return channelsTotal - groups.reduce((sum, group) => sum + group.count, 0);
  };
}

function channelLine(): Part<Line> {
  const [arrow, destination, note] = [make('span', 'arrow'), make('bdi', 'place'), make('span', 'small muted number')];
  arrow.setAttribute('role', 'img');
  return {
    element: make('li', '', arrow, make('span', '', destination, ' ', note)),
    update: (line) => {
      const words = channelWords(line.kind);
      setText(arrow, words.arrow);
      setAttribute(arrow, 'aria-label', words.title);
      setAttribute(arrow, 'title', words.title);
      setText(destination, line.destination === '' ? 'session' : line.destination);
      setText(note, line.note);
    },
  };
}
