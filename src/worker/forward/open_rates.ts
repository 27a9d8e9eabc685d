/** OPEN RATES: how often the users of this worker open channels, and how often the destination cannot be reached.
 *  Owns two buckets for each user who has opened something lately. They outlive the user's connections: whoever logs in again
 *  goes on where they stopped. Decides only. */
import { TokenBucket } from '../../shared/limiter.js';

/** Infinity: no limit. */
export interface OpenLimits {
  readonly opensPerSecond: number;
  readonly failedOpensPerMinute: number;
}

/** What may come at once: a browser that restores its windows opens hundreds. */
const OPENS_BURST_S = 2;
const FAILURES_BURST_S = 60;
/** Buckets that nobody has touched for so long are full again, like new ones. */
const FORGET_AFTER_MS = 60_000;

interface Buckets {
  /** Null until there is a limit; kept, unasked, while there is none. */
  readonly opens: TokenBucket | null;
  readonly failures: TokenBucket | null;
  readonly usedAtMs: number;
}

export class OpenRates {
  readonly #now: () => number;
  readonly #users = new Map<string, Buckets>();
  #sweptAtMs: number;

  /** @param now monotonic milliseconds */
  constructor(now: () => number) {
    this.#now = now;
    this.#sweptAtMs = now();
  }

  get size(): number {
    return this.#users.size;
  }

  /** May the user open one more? Yes counts it. */
  open(user: string, limits: OpenLimits): 'OPEN_RATE' | 'OPEN_FAILURES' | null {
    if (isNone(limits)) return null;
    const nowMs = this.#now();
    const { opens, failures } = this.#bucketsOf(user, limits, nowMs);
    if (isLimit(limits.failedOpensPerMinute) && failures?.has(nowMs) === false) return 'OPEN_FAILURES';
    return isLimit(limits.opensPerSecond) && opens?.take(nowMs) === false ? 'OPEN_RATE' : null;
  }

  /** The destination could not be reached. */
  failed(user: string, limits: OpenLimits): void {
    if (!isLimit(limits.failedOpensPerMinute)) return;
    const nowMs = this.#now();
    this.#bucketsOf(user, limits, nowMs).failures?.take(nowMs);
  }

  /** The limits of the connection that asks hold from now on. Two connections of one user may have different ones: what is
   *  used up stays so, or going to and fro between them would be a way around both. */
  #bucketsOf(user: string, limits: OpenLimits, nowMs: number): Buckets {
    this.#sweep(nowMs);
    const known = this.#users.get(user);
    const buckets: Buckets = {
      opens: bucketOf(known?.opens ?? null, limits.opensPerSecond, OPENS_BURST_S, nowMs),
      failures: bucketOf(known?.failures ?? null, limits.failedOpensPerMinute / 60, FAILURES_BURST_S, nowMs),
      usedAtMs: nowMs,
    };
    this.#users.set(user, buckets);
    return buckets;
  }

  #sweep(nowMs: number): void {
    if (nowMs - this.#sweptAtMs < FORGET_AFTER_MS) return;
    this.#sweptAtMs = nowMs;
    for (const [user, { usedAtMs }] of this.#users) if (nowMs - usedAtMs > FORGET_AFTER_MS) this.#users.delete(user);
  }
}

function bucketOf(kept: TokenBucket | null, perSecond: number, burstS: number, nowMs: number): TokenBucket | null {
  if (!isLimit(perSecond)) return kept;
  const limit = { burst: Math.max(1, perSecond * burstS), perSecond };
  if (kept === null) return new TokenBucket(limit, nowMs);
  kept.change(limit, nowMs);
  return kept;
}

function isLimit(rate: number): boolean {
  return rate !== Number.POSITIVE_INFINITY;
}

function isNone({ opensPerSecond, failedOpensPerMinute }: OpenLimits): boolean {
  return !isLimit(opensPerSecond) && !isLimit(failedOpensPerMinute);
}
