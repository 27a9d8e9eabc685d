/** LIMITER: how often may it happen? A token bucket.
 *  Owns the tokens. Decides only; time is an argument. */

export interface RateLimit {
  /** What may happen at once. */
  readonly burst: number;
  /** What may happen in the long run. */
  readonly perSecond: number;
}

export class TokenBucket {
  #limit: RateLimit;
  #tokens: number;
  #filledAtMs: number;

  /** Starts full. @param nowMs of a clock that never goes back */
  constructor(limit: RateLimit, nowMs: number) {
    this.#limit = limit;
    this.#tokens = limit.burst;
    this.#filledAtMs = nowMs;
  }

  /** Another limit from now on. The tokens stay, so that going to and fro between limits brings none. */
  change(limit: RateLimit, nowMs: number): void {
    this.has(nowMs); // what has come until now came at the old rate; what is beyond the new burst goes when it is asked next
    this.#limit = limit;
  }

  /** @returns false when it happens too often */
  take(nowMs: number): boolean {
    if (!this.has(nowMs)) return false;
    this.#tokens--;
    return true;
  }

  /** May it happen? Takes nothing. */
  has(nowMs: number): boolean {
    const { burst, perSecond } = this.#limit;
    this.#tokens = Math.min(burst, this.#tokens + ((nowMs - this.#filledAtMs) / 1_000) * perSecond);
    this.#filledAtMs = nowMs;
    return this.#tokens >= 1;
  }
}
