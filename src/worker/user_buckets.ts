/** USER BUCKETS: how often something may happen to each user of this worker.
 *  Owns a bucket for each user to whom it has happened lately. They outlive the user's connections: whoever logs in again goes on
 *  where he stopped, or a limit of a connection would be none. Decides only. */
import { type RateLimit, TokenBucket } from '../shared/limiter.js';

const SWEEP_EVERY_MS = 60_000;

interface Kept {
  readonly bucket: TokenBucket;
  /** From then on it is like a new one. */
  readonly fullAtMs: number;
}

export class UserBuckets {
  readonly #now: () => number;
  readonly #users = new Map<string, Kept>();
  #sweptAtMs: number;

  /** @param now monotonic milliseconds */
  constructor(now: () => number) {
    this.#now = now;
    this.#sweptAtMs = now();
  }

  get size(): number {
    return this.#users.size;
  }

  /** @param limit of the connection that asks; it holds from now on, and what is used up stays so
   *  @returns false when it happens too often */
  take(user: string, limit: RateLimit): boolean {
    const nowMs = this.#now();
    this.#sweep(nowMs);
    const bucket = this.#users.get(user)?.bucket ?? new TokenBucket(limit, nowMs);
    bucket.change(limit, nowMs);
    this.#users.set(user, { bucket, fullAtMs: nowMs + (limit.burst / limit.perSecond) * 1_000 });
    return bucket.take(nowMs);
  }

  #sweep(nowMs: number): void {
    if (nowMs - this.#sweptAtMs < SWEEP_EVERY_MS) return;
    this.#sweptAtMs = nowMs;
    for (const [user, { fullAtMs }] of this.#users) if (nowMs >= fullAtMs) this.#users.delete(user);
  }
}
