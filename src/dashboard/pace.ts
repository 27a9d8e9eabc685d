/** PACE: when the page asks again. Owns the one wait that is under way. */

/** Between two looks at the status: one point of the charts. */
export const STATUS_MS = 1_000;
/** Between two looks at the lists. */
export const DETAILS_MS = 3_000;
/** The same where lists are long: each look has every worker write a thousand rows. */
export const LONG_DETAILS_MS = 6_000;
const LONG_LIST = 1_000;
const FIRST_RETRY_MS = 1_000;
const LAST_RETRY_MS = 15_000;

/** 1, 2, 4, 8, then every 15 s: a server that restarts is found soon, one that is gone costs nothing. @param failures 1 or more */
export function retryMs(failures: number): number {
  return Math.min(LAST_RETRY_MS, FIRST_RETRY_MS * 2 ** (failures - 1));
}

export function detailsMs(connections: number): number {
  return connections > LONG_LIST ? LONG_DETAILS_MS : DETAILS_MS;
}

/** A wait that can be cut short. */
export class Pause {
  #wake: (() => void) | undefined;
  /** Somebody called while nobody waited: the next wait is none. */
  #called = false;

  /** Resolves after `ms`, or at the next `wake`. */
  async wait(ms: number): Promise<void> {
    if (!this.#called) {
      await new Promise<void>((resolve) => {
        const timer = setTimeout(resolve, ms);
        this.#wake = () => {
          clearTimeout(timer);
          resolve();
        };
      });
    }
    this.#called = false;
    this.#wake = undefined;
  }

  wake(): void {
    if (this.#wake === undefined) this.#called = true;
    else this.#wake();
  }
}
