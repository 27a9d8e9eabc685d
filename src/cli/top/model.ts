/** MODEL: what a key, an answer or another size makes of the state, and what is to be done about it. Owns nothing. Pure. */
import type { Sample } from '../../shared/admin.js';
import { keyStep } from './commands.js';
import type { Key } from './keys.js';
import type { Look } from './look.js';
import { NO_RATES, pastRates, ratesBetween } from './rates.js';
import { rowsOf } from './rows.js';
import { settled } from './selection.js';
import { type Lost, MAX_PAST, type Size, type State, type Step } from './state.js';

export type Input =
  | { readonly kind: 'key'; readonly key: Key }
  | { readonly kind: 'size'; readonly size: Size }
  | { readonly kind: 'look'; readonly look: Look }
  /** What the server has sampled before anybody looked. */
  | { readonly kind: 'history'; readonly samples: readonly Sample[] }
  | ({ readonly kind: 'lost' } & Lost)
  /** What has come of `end`. */
  | { readonly kind: 'told'; readonly notice: string };

export function step(state: State, input: Input): Step {
  switch (input.kind) {
    case 'key': {
      const { state: next, effect } = keyStep({ ...state, notice: null }, input.key);
      return { state: settled(next), ...(effect === undefined ? {} : { effect }) };
    }
    case 'size':
      return { state: settled({ ...state, size: input.size }) };
    case 'look':
      return { state: seen(state, input.look) };
    case 'history':
      return { state: { ...state, past: [...pastRates(input.samples), ...state.past].slice(-MAX_PAST) } };
    case 'lost':
      return { state: lost(state, input) };
    case 'told':
      return { state: { ...state, notice: input.notice }, effect: { kind: 'look' } };
    default:
      return input satisfies never;
  }
}

/** Between two looks of which rates are made. Keys ask for looks in between, and a burst within a few milliseconds is no rate. */
const MIN_ELAPSED_MS = 500;

function seen(state: State, look: Look): State {
  const isRateDue = state.look !== undefined && look.atMs - state.look.atMs >= MIN_ELAPSED_MS;
  const base = isRateDue ? state.look : state.base;
  const rates = base === undefined ? NO_RATES : ratesBetween(base, look);
  const past = isRateDue && rates.server !== undefined ? [...state.past, rates.server].slice(-MAX_PAST) : state.past;
  return settled({ ...state, base, look, rates, past, lost: null, rows: rowsOf(look, rates, state) });
}

/** What was said before the server went is no longer what matters. */
function lost(state: State, { why, retryMs }: Lost): State {
  return { ...state, lost: { why, retryMs }, notice: state.lost === null ? null : state.notice };
}
