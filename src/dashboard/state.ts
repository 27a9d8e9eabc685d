/** STATE: all that the page knows, and how each piece of news changes it. Owns the shape, no instance. Pure: `reduce` never
 *  touches the DOM, the network or the clock. */
import type {
  ConnectionList,
  ForwardList,
  History,
  RefusalList,
  Sample,
  ServerStatus,
  WorkerList,
} from '../shared/admin.js';

/** How the page stands with its server. What was heard before `lost` or `locked` stays, and is shown as stale. */
export type Link =
  | { readonly kind: 'connecting' }
  | { readonly kind: 'live' }
  /** No answer since `heardAtMs` (0: never); `why` completes "The server does not answer: …". */
  | { readonly kind: 'lost'; readonly heardAtMs: number; readonly nextTryAtMs: number; readonly why: string }
  /** A token is needed; `refused` says that the one given was not the right one. */
  | { readonly kind: 'locked'; readonly refused: boolean };

export type SortKey = 'user' | 'age' | 'rate';
export interface Sort {
  readonly key: SortKey;
  readonly descending: boolean;
}

/** What the list of connections is asked for. */
export interface Query {
  readonly search: string;
  /** One user's alone. */
  readonly user?: string;
}

/** What is asked for less often than the status, together. */
export interface Details {
  readonly query: Query;
  readonly connections: ConnectionList;
  readonly forwards: ForwardList;
  readonly workers: WorkerList;
  readonly refusals: RefusalList;
}

export interface State {
  readonly link: Link;
  /** When the last answer came, by the clock of whoever looks. 0 before the first. */
  readonly heardAtMs: number;
  readonly status?: ServerStatus;
  /** One a second, the oldest first, by the clock of the server. */
  readonly samples: readonly Sample[];
  /** Is `samples` the history of this server without a gap? */
  readonly historyComplete: boolean;
  readonly details?: Details;
  /** When `details` came, by the clock of the server. */
  readonly detailsAtMs: number;
  /** Bytes a second of each connection between the last two `details`, by id. */
  readonly rates: ReadonlyMap<number, number>;
  readonly query: Query;
  readonly sort: Sort;
  /** Ids of the connections whose channels are unfolded. */
  readonly unfolded: ReadonlySet<number>;
}

export type News =
  | { readonly type: 'status'; readonly status: ServerStatus; readonly atMs: number }
  | { readonly type: 'history'; readonly history: History }
  | { readonly type: 'details'; readonly details: Details }
  | { readonly type: 'lost'; readonly nextTryAtMs: number; readonly why: string }
  | { readonly type: 'locked'; readonly refused: boolean }
  /** The page was hidden for a while, and heard nothing. */
  | { readonly type: 'rested' }
  | { readonly type: 'asked'; readonly query: Query }
  | { readonly type: 'sorted'; readonly key: SortKey }
  | { readonly type: 'folded'; readonly id: number }
  | { readonly type: 'ended'; readonly id: number };

/** Ten minutes, as the server keeps them. */
export const SAMPLES = 600;

/** Nearer together, a few packets more or less are a peak: after the history, which ends at any moment. */
const CLOSEST_MS = 500;

export const INITIAL: State = {
  link: { kind: 'connecting' },
  heardAtMs: 0,
  samples: [],
  historyComplete: false,
  detailsAtMs: 0,
  rates: new Map(),
  query: { search: '' },
  sort: { key: 'age', descending: false },
  unfolded: new Set(),
};

export function reduce(state: State, news: News): State {
  switch (news.type) {
    case 'status':
      return heard(state, news.status, news.atMs);
    case 'history':
      return { ...state, samples: news.history.samples.slice(-SAMPLES), historyComplete: true };
    case 'details':
      return detailed(state, news.details);
    case 'lost': {
      const { nextTryAtMs, why } = news;
      const link: Link = { kind: 'lost', heardAtMs: state.heardAtMs, nextTryAtMs, why };
      return { ...state, link, historyComplete: false };
    }
    case 'locked':
      return { ...state, link: { kind: 'locked', refused: news.refused }, historyComplete: false };
    case 'rested':
      return { ...state, historyComplete: false };
    case 'asked':
      return { ...state, query: news.query };
    case 'sorted':
      return { ...state, sort: sorted(state.sort, news.key) };
    case 'folded':
      return { ...state, unfolded: toggled(state.unfolded, news.id) };
    case 'ended':
      return without(state, news.id);
    default:
      return news satisfies never;
  }
}

/** Time by the clock of the server, which the browser's need not agree with. */
export function serverTimeMs(status: ServerStatus): number {
  return Date.parse(status.startedAt) + status.uptimeMs;
}

function heard(state: State, status: ServerStatus, atMs: number): State {
  const restarted = state.status !== undefined && state.status.startedAt !== status.startedAt;
  const link: Link = { kind: 'live' };
  // Another server counts its bytes and its connections anew: what was known of the last one is of no use beside it.
  if (restarted) {
    const { query, sort } = state;
    return { ...INITIAL, query, sort, link, status, heardAtMs: atMs };
  }
  const { connections, channels, bytesIn, bytesOut } = status;
  const sample: Sample = [serverTimeMs(status), connections, channels, bytesIn, bytesOut];
  const sinceLastMs = sample[0] - (state.samples.at(-1)?.[0] ?? 0);
  const fits = state.historyComplete && sinceLastMs >= CLOSEST_MS;
  const samples = fits ? [...state.samples, sample].slice(-SAMPLES) : state.samples;
  return { ...state, link, status, samples, heardAtMs: atMs };
}

function detailed(state: State, details: Details): State {
  const atMs = state.status === undefined ? 0 : serverTimeMs(state.status);
  const rates = ratesBetween(state, details, atMs);
  const present = new Set(details.connections.connections.map(({ id }) => id));
  const unfolded = new Set([...state.unfolded].filter((id) => present.has(id)));
  return { ...state, details, detailsAtMs: atMs, rates, unfolded };
}

/** A connection that was not there before has its mean since it opened, where that is later than the last look. */
function ratesBetween(state: State, details: Details, atMs: number): ReadonlyMap<number, number> {
  const elapsedMs = atMs - state.detailsAtMs;
  if (state.details === undefined || elapsedMs <= 0) return state.rates;
  const before = new Map(state.details.connections.connections.map((each) => [each.id, each.bytesIn + each.bytesOut]));
  const rates = new Map<number, number>();
  for (const { id, bytesIn, bytesOut, ageMs } of details.connections.connections) {
    const earlier = before.get(id) ?? (ageMs <= elapsedMs ? 0 : undefined);
    if (earlier !== undefined) rates.set(id, (Math.max(0, bytesIn + bytesOut - earlier) * 1_000) / elapsedMs);
  }
  return rates;
}

/** The same column again turns the order round; another begins with what one looks for there. */
function sorted(sort: Sort, key: SortKey): Sort {
  return sort.key === key ? { key, descending: !sort.descending } : { key, descending: key === 'rate' };
}

function toggled(set: ReadonlySet<number>, id: number): ReadonlySet<number> {
  const next = new Set(set);
  if (!next.delete(id)) next.add(id);
  return next;
}

/** The server has confirmed the end: the row does not wait for the next look. */
function without(state: State, id: number): State {
  if (state.details === undefined) return state;
  const { connections, total, ...list } = state.details.connections;
  const left = connections.filter((each) => each.id !== id);
  if (left.length === connections.length) return state;
  return { ...state, details: { ...state.details, connections: { ...list, connections: left, total: total - 1 } } };
}
