/** REFUSALS of one connection, as the log tells them.
 *  Owns how many were not told. A peer may ask for what it may not have a hundred thousand times a second, and strangers
 *  may do the like at its forwards; each gets its answer, but the log gets the first ones and then a count. */
import { TokenBucket } from '../../shared/limiter.js';
import type { AuditEvent } from '../../shared/log.js';

/** A browser behind -D that meets a denied network makes some dozens; beyond this nobody reads them one by one. */
const TOLD = { burst: 200, perSecond: 10 };

export interface RefusalsOptions {
  readonly onEvent: (event: AuditEvent) => void;
  /** Monotonic milliseconds. */
  now(): number;
}

export class Refusals {
  readonly #options: RefusalsOptions;
  readonly #bucket: TokenBucket;
  #untold = 0;

  constructor(options: RefusalsOptions) {
    this.#options = options;
    this.#bucket = new TokenBucket(TOLD, options.now());
  }

  tell(event: AuditEvent): void {
    if (this.#bucket.take(this.#options.now())) this.#tell(event);
    else this.#untold++;
  }

  /** The connection is gone: the rest is told as a number. */
  close(): void {
    if (this.#untold > 0) this.#tell({ event: 'channel.refused' });
  }

  #tell(event: AuditEvent): void {
    const untold = this.#untold;
    this.#untold = 0;
    if (untold === 0) return this.#options.onEvent(event);
    const count = `${untold} refusals before this were not logged`;
    this.#options.onEvent({ ...event, detail: event.detail === undefined ? count : `${event.detail}; ${count}` });
  }
}
