/** LOOP LAG: how long this process's event loop was held up.
 *  Owns the histogram that measures it, which wakes the loop every 20 ms while it runs. */
import { monitorEventLoopDelay } from 'node:perf_hooks';

const RESOLUTION_MS = 20;

export class LoopLag {
  readonly #delays = monitorEventLoopDelay({ resolution: RESOLUTION_MS });

  start(): void {
    this.#delays.enable();
  }

  stop(): void {
    this.#delays.disable();
  }

  /** The longest delay since the last call, in whole milliseconds. */
  takeMs(): number {
    const longestMs = Math.max(0, this.#delays.max / 1e6 - RESOLUTION_MS); // the histogram holds the whole interval
    this.#delays.reset();
    return Math.round(longestMs);
  }
}
