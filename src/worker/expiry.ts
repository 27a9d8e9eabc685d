/** EXPIRY: when a login is over that was given until a moment of the wall clock.
 *  Owns one timer, and which moment it is. The login ends as soon as the clock shows the moment, or as much time has passed as it had left when it
 *  began, whichever is first (DECISIONS 66): a clock set back prolongs nothing, and one that jumps over the moment, as after
 *  the machine has slept, ends it within `LOOK_EVERY_MS`. */
import { type After, after, type Cancel } from '../shared/timer.js';

export interface ExpiryClocks {
  /** Milliseconds since 1970, as the machine's clock shows them; may jump. */
  readonly wallMs: () => number;
  /** Monotonic milliseconds. */
  readonly nowMs: () => number;
  readonly after: After;
}

const REAL: ExpiryClocks = { wallMs: Date.now, nowMs: () => performance.now(), after };

/** A timer counts neither a clock's jumps nor the sleep of the machine, and fires at once when it is set for more than 2^31
 *  ms (25 days): so it is never set for longer than this. The price is one short look for each such login. */
export const LOOK_EVERY_MS = 30_000;

/** Milliseconds since 1970; Infinity: never. */
export interface MovedEnd {
  readonly beforeMs: number;
  readonly nowMs: number;
}

/** The end of one session, which a reload may move. */
export class Expiry {
  readonly #onExpired: () => void;
  readonly #clocks: ExpiryClocks;
  #atMs = Number.POSITIVE_INFINITY;
  /** What a hook of the user's own has said, which no reload moves; known at the first of them. */
  #ownMs: number | null = null;
  #cancel: Cancel = () => {};

  constructor(onExpired: () => void, clocks: ExpiryClocks = REAL) {
    this.#onExpired = onExpired;
    this.#clocks = clocks;
  }

  /** @param atMs milliseconds since 1970; Infinity: never */
  start(atMs: number): void {
    this.#atMs = atMs;
    this.#cancel = watchExpiry(atMs, this.#onExpired, this.#clocks);
  }

  /** Earlier or later, as the config has it now; never later than a hook has said by itself. */
  move({ beforeMs, nowMs }: MovedEnd): void {
    this.#ownMs ??= this.#atMs === beforeMs ? Number.POSITIVE_INFINITY : this.#atMs;
    const atMs = Math.min(this.#ownMs, nowMs);
    if (atMs === this.#atMs) return; // begun anew it would go on for longer, where the clock was set back
    this.#cancel();
    this.start(atMs);
  }

  cancel(): void {
    this.#cancel();
  }
}

export function isExpired(atMs: number, clocks: Pick<ExpiryClocks, 'wallMs'> = REAL): boolean {
  return clocks.wallMs() >= atMs;
}

/** Calls `onExpired` once, never before it has returned.
 *  @param atMs milliseconds since 1970; Infinity never comes, and costs no timer */
export function watchExpiry(atMs: number, onExpired: () => void, clocks: ExpiryClocks = REAL): Cancel {
  if (atMs === Number.POSITIVE_INFINITY) return () => {};
  const endMs = clocks.nowMs() + (atMs - clocks.wallMs());
  let cancel: Cancel = () => {};
  const look = (): void => {
    const leftMs = Math.min(atMs - clocks.wallMs(), endMs - clocks.nowMs());
    if (leftMs <= 0) onExpired();
    else wait(leftMs);
  };
  const wait = (leftMs: number): void => {
    // A timer may fire a fraction early: one more millisecond saves a second look.
    cancel = clocks.after(Math.min(Math.max(leftMs, 0) + 1, LOOK_EVERY_MS), look);
  };
  wait(endMs - clocks.nowMs());
  return () => cancel();
}
