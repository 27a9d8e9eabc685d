/** START WATCH: do the workers come up? One answer for the start of the server, one for each worker that somebody waits for.
 *  Owns the count of deaths before `ready`. Decides only; the supervisor starts and buries. */
import { type ErrorCode, TunnelError } from '../shared/errors.js';

/** Deaths before `ready`, in a row, after which the start is given up. */
const START_ATTEMPTS = 3;

/** A worker's `ready`, or why it never will be. */
export class Ready {
  #is: () => void = nothing;
  #never: (error: TunnelError) => void = nothing;
  readonly settled: Promise<void>;

  constructor() {
    this.settled = new Promise((resolve, reject) => {
      this.#is = resolve;
      this.#never = reject;
    });
    this.settled.catch(nothing); // mostly nobody waits for it
  }

  is(): void {
    this.#is();
  }
  /** Nothing after `is`. */
  never(code: ErrorCode, why: string): void {
    this.#never(new TunnelError(code, why));
  }
}

/** The start of the server: over when all workers are ready, or when it is clear that they never will be. */
export class StartWatch {
  readonly #ready = new Ready();
  #over = false;
  #failures = 0;
  #gaveUp = false;

  /** @throws TunnelError WORKER_START_FAILED when workers keep dying before they are ready, or the code that one gave */
  get done(): Promise<void> {
    return this.#ready.settled;
  }
  /** No worker is worth another try. */
  get gaveUp(): boolean {
    return this.#gaveUp;
  }

  ready(all: boolean): void {
    this.#failures = 0;
    if (!all) return;
    this.#over = true;
    this.#ready.is();
  }

  /** It would be the same with the next one. Not after the start: by then a module may be mended, and its place is filled. */
  giveUp(code: ErrorCode, why: string): void {
    if (this.#gaveUp || this.#over) return;
    this.#gaveUp = true;
    this.#ready.never(code, why);
  }

  /** A worker died before it was ready. @returns false where the start is given up, and that is told instead */
  failed(why: string): boolean {
    if (this.#gaveUp) return false;
    this.#failures++;
    if (this.#failures >= START_ATTEMPTS) this.#ready.never('WORKER_START_FAILED', `no worker starts: ${why}`);
    return true;
  }
}

function nothing(): void {}
