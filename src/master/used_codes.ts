/** USED CODES: which codes of a second factor have been used, and how many wrong ones each user may still try.
 *  Owns that for all workers, so that a code which opened one connection opens no other (RFC 6238 §5.2), and so that a stolen
 *  password leaves a guesser a few tries an hour and not as many as he has addresses. A state machine: time is an argument.
 *  Names come only from who has passed a first factor: strangers leave nothing behind. */
import type { CodeUse, CodeVerdict } from '../shared/ipc.js';
import { TokenBucket } from '../shared/limiter.js';

/** Wrong codes at once, and in the long run. With three codes of a million that are right at a time, who guesses all year is
 *  let in with a chance of one in four. Price: who has the password can keep its owner out for as long as he goes on. */
const WRONG_CODES = { burst: 10, perSecond: 10 / 3_600 };
/** Users that are remembered; more than that, and those who came longest ago are forgotten. Some 20 MB. */
const MAX_USERS = 65_536;

interface Entry {
  /** By the name of the secret: the last step that was used. More than one after a change of the secret, while workers of the
   *  settings before it still run. */
  readonly lastSteps: Map<string, number>;
  readonly tries: TokenBucket;
}
/** Of one user. */
const MAX_SECRETS = 4;

export class UsedCodes {
  readonly #maxUsers: number;
  readonly #entries = new Map<string, Entry>();

  constructor(maxUsers: number = MAX_USERS) {
    this.#maxUsers = maxUsers;
  }

  /** Users that are remembered. */
  get size(): number {
    return this.#entries.size;
  }

  /** May this code open a connection? A yes uses it up. @param nowMs of a clock that never goes back */
  judge({ user, key, step }: CodeUse, nowMs: number): CodeVerdict {
    const entry = this.#entryOf(user, nowMs);
    // The right code too: else a guesser would see which one it was, and use it when he may try again.
    if (!entry.tries.has(nowMs)) return 'LIMIT';
    const last = entry.lastSteps.get(key) ?? Number.NEGATIVE_INFINITY;
    if (step !== null && step > last) {
      use(entry, key, step);
      return 'OK';
    }
    // A used one is no guess: it says nothing new, and a client that opens ten connections with one code must not lock its user out.
    if (step !== null) return 'REPLAYED';
    entry.tries.take(nowMs);
    return 'WRONG';
  }

  /** Codes that an earlier primary has said yes to. */
  adopt({ user, key, step }: CodeUse, nowMs: number): void {
    const entry = this.#entryOf(user, nowMs);
    if (step !== null && step > (entry.lastSteps.get(key) ?? Number.NEGATIVE_INFINITY)) use(entry, key, step);
  }

  #entryOf(user: string, nowMs: number): Entry {
    const entry = this.#entries.get(user) ?? { lastSteps: new Map(), tries: new TokenBucket(WRONG_CODES, nowMs) };
    this.#entries.delete(user);
    this.#entries.set(user, entry); // at the end: a Map keeps the order
    for (const name of this.#entries.keys()) {
      if (this.#entries.size <= this.#maxUsers) break;
      this.#entries.delete(name);
    }
    return entry;
  }
}

function use({ lastSteps }: Entry, key: string, step: number): void {
  lastSteps.delete(key);
  lastSteps.set(key, step);
  for (const oldest of lastSteps.keys()) {
    if (lastSteps.size <= MAX_SECRETS) break;
    lastSteps.delete(oldest);
  }
}
