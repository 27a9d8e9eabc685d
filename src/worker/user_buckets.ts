/** USER BUCKETS: how often something may happen to each user of this worker.
 *  Owns a bucket for each user to whom it has happened lately. They outlive the user's connections: whoever logs in again goes on
 *  where he stopped, or a limit of a connection would be none. Decides only. */
import { type RateLimit, TokenBucket } from '../shared/limiter.js';

const SWEEP_EVERY_MS = 60_000;
/** Nobody is forgotten sooner, however fast the last limit fills: another connection of his may have one that is larger. */
const KEPT_MS = 60_000;

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

  /** The limit of the connection that asks holds from now on. Two connections of one user may have different ones: what is used up stays
   *  so, or going to and fro between them would be a way around both.
   *  @returns false when it happens too often */
  take(user: string, limit: RateLimit): boolean {
    const nowMs = this.#now();
    this.#sweep(nowMs);
    const bucket = this.#users.get(user)?.bucket ?? new TokenBucket(limit, nowMs);
    bucket.change(limit, nowMs);
    const fullInMs = (limit.burst / limit.perSecond) * 1_000;
    this.#users.set(user, { bucket, fullAtMs: nowMs + Math.max(KEPT_MS, fullInMs) });
    return bucket.take(nowMs);
  }

  /** May it happen? Takes nothing, and keeps nobody. */
  has(user: string, limit: RateLimit): boolean {
    const nowMs = this.#now();
    const bucket = this.#users.get(user)?.bucket;
    bucket?.change(limit, nowMs);
    return bucket?.has(nowMs) ?? true;
  }

  #sweep(nowMs: number): void {
    if (nowMs - this.#sweptAtMs < SWEEP_EVERY_MS) return;
    this.#sweptAtMs = nowMs;
    for (const [user, { fullAtMs }] of this.#users) if (nowMs >= fullAtMs) this.#users.delete(user);
  }
}
