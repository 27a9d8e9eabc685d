/** STATE: everything that `top` shows and what it is about to do, as one value. Owns nothing: model.ts makes one out of another. */
import type { Look } from './look.js';
import { NO_RATES, type Rate, type Rates } from './rates.js';
import type { Row, Sort, View } from './rows.js';

export interface Size {
  readonly columns: number;
  readonly rows: number;
}

export interface State {
  readonly size: Size;
  readonly view: View;
  readonly sort: Sort;
  readonly filter: string;
  /** What keys are for. */
  readonly mode: Mode;
  readonly isPaused: boolean;
  readonly look: Look | undefined;
  /** The one before `look` with which it was compared. */
  readonly base: Look | undefined;
  readonly rates: Rates;
  /** Of the server, the oldest first; at most MAX_PAST. */
  readonly past: readonly Rate[];
  /** Of `look`, chosen and in order. */
  readonly rows: readonly Row[];
  /** Key of a row, or null while nobody has chosen one. A row that goes leaves its place to the next. */
  readonly selected: string | null;
  /** Its place in `rows`. */
  readonly cursor: number;
  /** First row that is shown. */
  readonly offset: number;
  /** Why the server does not answer, while it does not. */
  readonly lost: Lost | null;
  /** What has come of the last key; gone with the next one. */
  readonly notice: string | null;
}

export type Mode =
  | { readonly kind: 'table' }
  | { readonly kind: 'help' }
  /** The text of a filter is being typed. */
  | { readonly kind: 'filter'; readonly typed: string }
  /** Whether this connection is to end. */
  | { readonly kind: 'question'; readonly id: number; readonly who: string };

export interface Lost {
  readonly why: string;
  /** Until it is asked again. */
  readonly retryMs: number;
}

/** Cells of the widest sparkline. */
export const MAX_PAST = 120;

export interface Beginning {
  readonly size: Size;
  readonly view?: View;
  readonly sort?: Sort;
  readonly filter?: string;
}

export function begin({ size, view, sort, filter }: Beginning): State {
  return {
    size,
    view: view ?? 'connections',
    sort: sort ?? { key: 'rate', isDescending: true },
    filter: filter ?? '',
    mode: { kind: 'table' },
    isPaused: false,
    look: undefined,
    base: undefined,
    rates: NO_RATES,
    past: [],
    rows: [],
    selected: null,
    cursor: 0,
    offset: 0,
    lost: null,
    notice: null,
  };
}

/** What is to be done about a key. */
export type Effect =
  | { readonly kind: 'quit' }
  /** As ^C does: the exit code says so. */
  | { readonly kind: 'interrupt' }
  | { readonly kind: 'suspend' }
  | { readonly kind: 'redraw' }
  /** Ask the server now. */
  | { readonly kind: 'look' }
  | { readonly kind: 'end'; readonly id: number };

export interface Step {
  readonly state: State;
  readonly effect?: Effect;
}
