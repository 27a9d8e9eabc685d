/** OPEN RATES: how often the users of this worker open channels, and how often the destination cannot be reached.
 *  Owns what each has opened, and failed to, lately: beyond the end of his connections. Decides only. */
import type { RateLimit } from '../../shared/limiter.js';
import { UserBuckets } from '../user_buckets.js';

/** Infinity: no limit. */
export interface OpenLimits {
  readonly opensPerSecond: number;
  readonly failedOpensPerMinute: number;
}

/** What may come at once: a browser that restores its windows opens hundreds. */
const OPENS_BURST_S = 2;
const FAILURES_BURST_S = 60;

export class OpenRates {
  readonly #opens: UserBuckets;
  readonly #failures: UserBuckets;

  /** @param now monotonic milliseconds */
  constructor(now: () => number) {
    this.#opens = new UserBuckets(now);
    this.#failures = new UserBuckets(now);
  }

  /** Buckets that are kept. */
  get size(): number {
    return this.#opens.size + this.#failures.size;
  }

  /** May the user open one more? Yes counts it. */
  open(user: string, limits: OpenLimits): 'OPEN_RATE' | 'OPEN_FAILURES' | null {
    const [opens, failures] = [opensOf(limits), failuresOf(limits)];
    if (failures !== null && !this.#failures.has(user, failures)) return 'OPEN_FAILURES';
    return opens !== null && !this.#opens.take(user, opens) ? 'OPEN_RATE' : null;
  }

  /** The destination could not be reached. */
  failed(user: string, limits: OpenLimits): void {
    const failures = failuresOf(limits);
    if (failures !== null) this.#failures.take(user, failures);
  }
}

function opensOf({ opensPerSecond }: OpenLimits): RateLimit | null {
  return limitOf(opensPerSecond, OPENS_BURST_S);
}

function failuresOf({ failedOpensPerMinute }: OpenLimits): RateLimit | null {
  return limitOf(failedOpensPerMinute / 60, FAILURES_BURST_S);
}

function limitOf(perSecond: number, burstS: number): RateLimit | null {
  return perSecond === Number.POSITIVE_INFINITY ? null : { burst: Math.max(1, perSecond * burstS), perSecond };
}
