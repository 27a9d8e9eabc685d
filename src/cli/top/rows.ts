/** ROWS: what a table lists, out of a look: connections, their tunnels, forwards, or users; chosen and in order.
 *  Owns nothing. Pure. */
import type { Connection, Look } from './look.js';
import { connectionKey, forwardKey, type Rates, tunnelKey } from './rates.js';

export const VIEWS = ['connections', 'tunnels', 'forwards', 'users'] as const;
export type View = (typeof VIEWS)[number];

/** What rows can be ordered by. `rate` is both directions together. */
export const SORT_KEYS = ['id', 'user', 'place', 'tunnels', 'rate', 'in', 'out', 'total', 'age'] as const;
export type SortKey = (typeof SORT_KEYS)[number];

export interface Sort {
  readonly key: SortKey;
  readonly isDescending: boolean;
}

/** One line of a table, whichever. Texts are as the server said them: not yet harmless. */
export interface Row {
  /** The same in every look. */
  readonly key: string;
  /** Connection that it is, or that it belongs to; null for a user. */
  readonly id: number | null;
  readonly user: string;
  /** Of a connection its peer, else where it leads or listens. */
  readonly place: string;
  /** Of a connection its client, of a tunnel or forward its kind. */
  readonly kind: string;
  /** Connections of a user, else 1. */
  readonly connections: number;
  readonly tunnels: number;
  /** Bytes a second; undefined before the second look. */
  readonly in: number | undefined;
  readonly out: number | undefined;
  readonly total: number;
  readonly ageMs: number;
}

/** Which of the two lists of a look a view is made of. */
export function listOf(view: View): 'connections' | 'forwards' {
  return view === 'forwards' ? 'forwards' : 'connections';
}

export interface Choice {
  readonly view: View;
  readonly sort: Sort;
  /** The server searches connections for it, as it is done here with what an answer before the filter has brought. */
  readonly filter: string;
}

export function rowsOf(look: Look, rates: Rates, { view, sort, filter }: Choice): readonly Row[] {
  return [...listed(look, rates, view, filter)].sort(ordered(sort));
}

function listed(look: Look, rates: Rates, view: View, filter: string): readonly Row[] {
  const connections = (look.connections?.items ?? []).filter((connection) => isWanted(connection, filter));
  switch (view) {
    case 'connections':
      return connections.map((connection) => connectionRow(connection, rates));
    case 'tunnels':
      return connections.flatMap((connection) => tunnelRows(connection, rates, filter));
    case 'users':
      return userRows(connections, rates);
    case 'forwards':
      return forwardRows(look, rates).filter(({ user, place }) => contains([user, place], filter));
    default:
      return view satisfies never;
  }
}

/** The server has judged those of which it tells a part of the tunnels only. */
function isWanted({ user, peer, tunnels, tunnelsTotal }: Connection, filter: string): boolean {
  return (
    tunnelsTotal > tunnels.length || contains([user, peer, ...tunnels.map(({ destination }) => destination)], filter)
  );
}

function connectionRow(connection: Connection, rates: Rates): Row {
  const { id, user, peer, client, tunnelsTotal, bytesIn, bytesOut, ageMs } = connection;
  const key = connectionKey(connection);
  const total = bytesIn + bytesOut;
  return {
    key,
    id,
    user,
    place: peer,
    kind: client,
    connections: 1,
    tunnels: tunnelsTotal,
    ...pace(rates, key),
    total,
    ageMs,
  };
}

function tunnelRows({ id, user, peer, tunnels }: Connection, rates: Rates, filter: string): readonly Row[] {
  const isWhole = contains([user, peer], filter);
  return tunnels
    .filter(({ destination }) => isWhole || contains([destination], filter))
    .map(({ channel, kind, destination, bytesIn, bytesOut, ageMs }) => {
      const key = tunnelKey(id, channel);
      const total = bytesIn + bytesOut;
      return {
        key,
        id,
        user,
        place: destination,
        kind: TUNNEL_KINDS[kind] ?? kind,
        connections: 1,
        tunnels: 1,
        ...pace(rates, key),
        total,
        ageMs,
      };
    });
}

/** As an ssh command writes them. */
const TUNNEL_KINDS: Readonly<Record<string, string>> = {
  session: 'session',
  'direct-tcpip': '-L',
  'direct-streamlocal@openssh.com': '-L socket',
  'forwarded-tcpip': '-R',
  'forwarded-streamlocal@openssh.com': '-R socket',
};

const FORWARD_KINDS: Readonly<Record<string, string>> = {
  'tcpip-forward': '-R',
  'streamlocal-forward@openssh.com': '-R socket',
};

function forwardRows(look: Look, rates: Rates): readonly Row[] {
  return (look.forwards?.items ?? []).map((forward) => {
    const { conn, user, kind, destination, tunnels, bytesIn, bytesOut, ageMs } = forward;
    const key = forwardKey(forward);
    const total = bytesIn + bytesOut;
    return {
      key,
      id: conn,
      user,
      place: destination,
      kind: FORWARD_KINDS[kind] ?? kind,
      connections: 1,
      tunnels,
      ...pace(rates, key),
      total,
      ageMs,
    };
  });
}

/** Who has logged in, with everything that is his; the age is that of his oldest connection. */
function userRows(connections: readonly Connection[], rates: Rates): readonly Row[] {
  const rows = new Map<string, Row>();
  for (const connection of connections) {
    const one = connectionRow(connection, rates);
    if (one.user === '') continue;
    const before = rows.get(one.user);
    rows.set(one.user, {
      ...one,
      key: `u${one.user}`,
      id: null,
      place: '',
      kind: '',
      connections: 1 + (before?.connections ?? 0),
      tunnels: one.tunnels + (before?.tunnels ?? 0),
      in: sum(one.in, before?.in),
      out: sum(one.out, before?.out),
      total: one.total + (before?.total ?? 0),
      ageMs: Math.max(one.ageMs, before?.ageMs ?? 0),
    });
  }
  return [...rows.values()];
}

function pace({ of }: Rates, key: string): { readonly in: number | undefined; readonly out: number | undefined } {
  const rate = of.get(key);
  return { in: rate?.in, out: rate?.out };
}

function sum(a: number | undefined, b: number | undefined): number | undefined {
  return a === undefined && b === undefined ? undefined : (a ?? 0) + (b ?? 0);
}

/** As the server searches: a part of it, in whatever case. */
function contains(texts: readonly string[], filter: string): boolean {
  const wanted = filter.toLowerCase();
  return texts.some((text) => text.toLowerCase().includes(wanted));
}

/** Equals stay in the order of their numbers and names, so that rows do not dance. */
function ordered({ key, isDescending }: Sort): (a: Row, b: Row) => number {
  const sign = isDescending ? -1 : 1;
  return (a, b) => sign * compared(key, a, b) || (a.id ?? 0) - (b.id ?? 0) || inOrder(a.key, b.key);
}

function compared(key: SortKey, a: Row, b: Row): number {
  switch (key) {
    case 'id':
      return (a.id ?? a.connections) - (b.id ?? b.connections);
    case 'user':
      return inOrder(a.user, b.user);
    case 'place':
      return inOrder(a.place, b.place);
    case 'tunnels':
      return a.tunnels - b.tunnels;
    case 'rate':
      return both(a) - both(b);
    case 'in':
    case 'out':
      return (a[key] ?? -1) - (b[key] ?? -1);
    case 'total':
      return a.total - b.total;
    case 'age':
      return a.ageMs - b.ageMs;
    default:
      return key satisfies never;
  }
}

function both(row: Row): number {
  return row.in === undefined && row.out === undefined ? -1 : (row.in ?? 0) + (row.out ?? 0);
}

function inOrder(a: string, b: string): number {
  return a === b ? 0 : a < b ? -1 : 1;
}
