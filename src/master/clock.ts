/** CLOCK: the time that the primary's rooms see, injected so that their tests own it.
 *  Monotonic throughout: a jump of the wall clock ends nothing. Timers never keep a process alive. */
import { type After, after, type Cancel } from '../shared/timer.js';

export interface Clock {
  /** Milliseconds since some start. */
  nowMs(): number;
  /** CLOCK_MONOTONIC, the same in every process of this host. */
  nowNs(): bigint;
  readonly after: After;
  /** After the event loop has polled once more: what had already arrived is then read. */
  afterPoll(action: () => void): Cancel;
}

export const systemClock: Clock = {
  nowMs: () => performance.now(),
  nowNs: () => process.hrtime.bigint(),
  after,
  afterPoll(action) {
    const immediate = setImmediate(action);
    return () => clearImmediate(immediate);
  },
};
