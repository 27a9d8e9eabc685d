/** PLAN: what a flow is to be: how much goes each way, in what pieces and order, and what its own ends do to it. Drawn from
 *  dice before it begins; decides only. */
import type { Dice } from './dice.js';
import type { Side } from './flow.js';

/** What one end does. */
export interface EndPlan {
  readonly sendBytes: number;
  /** Between one piece and the next; 0: as fast as the path takes them. */
  readonly paceMs: number;
  readonly pieceBytes: number;
  /** Sends only after the other's end of stream (RFC 4254 §5.3: half-closed meanwhile). */
  readonly afterEof: boolean;
  /** Stops reading once, and goes on. */
  readonly stall: { readonly afterBytes: number; readonly forMs: number } | null;
  /** Goes away in the middle: by a reset, or by a close without a word. */
  readonly leaves: { readonly afterBytes: number; readonly how: 'reset' | 'close' } | null;
}

export interface Script {
  readonly near: EndPlan;
  readonly far: EndPlan;
  /** Asks for a destination where nobody listens, or which is not permitted: the far end never comes. */
  readonly nowhere: boolean;
}

const MAX_BYTES = 8 * 1024 * 1024;
const MAX_PIECE_BYTES = 64 * 1024;
/** Flows that rest between their pieces live this long at least and at most. */
const LONG_LEAST_MS = 2_000;
const LONG_MOST_MS = 25_000;
const PACE_MS = 50;
const STALL_MOST_MS = 8_000;

/** @param mayLastMs what is left of the run; no long flow takes longer */
export function scriptOf(dice: Dice, mayLastMs: number): Script {
  const shape = dice.pick(['up', 'down', 'both', 'both'] as const);
  const order = dice.pick(['together', 'together', 'near last', 'far last'] as const);
  const isLong = dice.chance(0.25);
  const forMs = isLong ? Math.min(dice.magnitude(LONG_LEAST_MS, LONG_MOST_MS), mayLastMs) : 0;
  const leaver = dice.chance(0.12) ? dice.pick<Side>(['near', 'far']) : undefined;
  const staller = dice.chance(0.1) ? dice.pick<Side>(['near', 'far']) : undefined;
  const end = (side: Side, sends: boolean): EndPlan => {
    const sendBytes = sends ? dice.magnitude(1, isLong ? MAX_BYTES / 4 : MAX_BYTES) : 0;
    const pieces = Math.max(1, forMs / PACE_MS);
    return {
      sendBytes,
      paceMs: isLong ? PACE_MS : 0,
      pieceBytes: isLong ? Math.ceil(sendBytes / pieces) : dice.magnitude(1_024, MAX_PIECE_BYTES),
      afterEof: order === `${side} last`,
      stall:
        staller === side ? { afterBytes: dice.magnitude(1, MAX_BYTES), forMs: dice.between(500, STALL_MOST_MS) } : null,
      leaves: leaver === side ? { afterBytes: dice.magnitude(1, MAX_BYTES), how: dice.pick(HOWS) ?? 'reset' } : null,
    };
  };
  return { near: end('near', shape !== 'down'), far: end('far', shape !== 'up'), nowhere: dice.chance(0.04) };
}

const HOWS = ['reset', 'close'] as const;
