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
  readonly limits: OpenLimits;
  readonly opens: TokenBucket | null;
  readonly failures: TokenBucket | null;
  usedAtMs: number;
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
    if (failures?.has(nowMs) === false) return 'OPEN_FAILURES';
    return opens?.take(nowMs) === false ? 'OPEN_RATE' : null;
  }

  /** The destination could not be reached. */
  failed(user: string, limits: OpenLimits): void {
    if (isNone(limits)) return;
    const nowMs = this.#now();
    this.#bucketsOf(user, limits, nowMs).failures?.take(nowMs);
  }

  #bucketsOf(user: string, limits: OpenLimits, nowMs: number): Buckets {
    this.#sweep(nowMs);
    const known = this.#users.get(user);
    if (known !== undefined && isSame(known.limits, limits)) {
      known.usedAtMs = nowMs;
      return known;
    }
    const buckets: Buckets = {
      limits,
      opens: bucketOf(limits.opensPerSecond, OPENS_BURST_S, nowMs),
      failures: bucketOf(limits.failedOpensPerMinute / 60, FAILURES_BURST_S, nowMs),
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

function bucketOf(perSecond: number, burstS: number, nowMs: number): TokenBucket | null {
  if (perSecond === Number.POSITIVE_INFINITY) return null;
  return new TokenBucket({ burst: Math.max(1, perSecond * burstS), perSecond }, nowMs);
}

function isNone({ opensPerSecond, failedOpensPerMinute }: OpenLimits): boolean {
  return opensPerSecond === Number.POSITIVE_INFINITY && failedOpensPerMinute === Number.POSITIVE_INFINITY;
}

function isSame(one: OpenLimits, other: OpenLimits): boolean {
  return one.opensPerSecond === other.opensPerSecond && one.failedOpensPerMinute === other.failedOpensPerMinute;
}
