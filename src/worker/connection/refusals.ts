/** REFUSALS of one connection, as the log tells them.
 *  Owns those that were not told. A peer may ask for what it may not have a hundred thousand times a second, and strangers
 *  may do the like at its forwards; each gets its answer, but the log gets the first ones and then a count. The first ones of each
 *  connection, and of all of its user's together: one that came back after every two hundred made 4,800 lines a second. */
import type { RefusalNews } from '../../shared/events.js';
import { type RateLimit, TokenBucket } from '../../shared/limiter.js';

/** A browser behind -D that meets a denied network makes some dozens; beyond this nobody reads them one by one. */
const TOLD: RateLimit = { burst: 200, perSecond: 10 };
/** Of all connections of one user to a worker: five that go wrong at once are told of in full. */
export const TOLD_OF_USER: RateLimit = { burst: 1_000, perSecond: 10 };

export interface RefusalsOptions {
  readonly onEvent: (event: RefusalNews) => void;
  /** Each one, told or not. */
  readonly onRefusal: (event: RefusalNews) => void;
  /** May one more be told, by what the user's other connections have told? Yes counts it. */
  readonly mayTell: () => boolean;
  /** Monotonic milliseconds. */
  now(): number;
}

export class Refusals {
  readonly #options: RefusalsOptions;
  readonly #bucket: TokenBucket;
  #untold = 0;
  #last: RefusalNews | null = null;

  constructor(options: RefusalsOptions) {
    this.#options = options;
    this.#bucket = new TokenBucket(TOLD, options.now());
  }

  tell(event: RefusalNews): void {
    this.#options.onRefusal(event);
    const { now, mayTell } = this.#options;
    if (this.#bucket.take(now()) && mayTell()) return this.#tell(event);
    this.#untold++;
    this.#last = event;
  }

  /** The connection is gone: the last one is told, and with it the number of the rest. */
  close(): void {
    if (this.#last === null) return;
    this.#untold--;
    this.#tell(this.#last);
  }

  #tell(event: RefusalNews): void {
    const untold = this.#untold;
    this.#untold = 0;
    this.#last = null;
    if (untold === 0) return this.#options.onEvent(event);
    const count = `${untold} refusals before this were not logged`;
    this.#options.onEvent({ ...event, detail: event.detail === undefined ? count : `${event.detail}; ${count}` });
  }
}
