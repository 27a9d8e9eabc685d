/** PURSE: the bytes that one user may still move in one direction through this worker, where the user's bytes per second are
 *  limited. All channels of all of the user's connections spend from it.
 *  Owns what was granted and not spent, and the turn order of the channels that wait. Each gets an equal part of what there
 *  is; what some leave goes to those that want more, a moment later. */
import type { After, Cancel } from '../../shared/timer.js';

export interface PurseOptions {
  /** Somebody waits, or less than half is left. Called as often as that is seen: the pace of questions is the hearer's. */
  readonly onShort: () => void;
  /** Monotonic milliseconds. */
  now(): number;
  readonly after: After;
}

/** One channel's place at the purse; made by `account` and used by nobody else. */
export interface Account {
  /** There is something to spend. It may be gone again: whoever finds too little waits once more. */
  readonly onFunds: () => void;
  round: number;
  /** Of its part in that round. */
  leftBytes: number;
}

/** What was granted is void after so long: a worker whose channels rest must not save up, or a user who comes back would
 *  move that beside what the primary grants. */
const KEEP_MS = 250;
/** What nobody has taken for so long goes to those who have had their part and want more. */
const ROUND_MS = 10;
/** The least part of a round: with less, packets would be mostly header. The others wait for the next round. */
const MIN_PART_BYTES = 4 * 1024;

export class Purse {
  readonly #options: PurseOptions;
  #fullBytes = 0;
  #bytes = 0;
  #grantedAtMs = Number.NEGATIVE_INFINITY;
  #round = 0;
  /** What each channel may spend in this round. */
  #partBytes = Number.POSITIVE_INFINITY;
  /** In the order of their turns. */
  readonly #waiting = new Set<Account>();
  #cancelRound: Cancel | null = null;

  constructor(options: PurseOptions) {
    this.#options = options;
  }

  /** What it may hold. */
  set fullBytes(bytes: number) {
    this.#fullBytes = bytes;
  }

  /** What would fill it, if it is worth a question. */
  get shortBytes(): number {
    this.#dropStale();
    return this.#isShort ? Math.max(0, this.#fullBytes - this.#bytes) : 0;
  }

  account(onFunds: () => void): Account {
    return { onFunds, round: -1, leftBytes: 0 };
  }

  /** How many bytes may be spent now; 0: `wait`. */
  available(account: Account): number {
    this.#dropStale();
    return Math.min(this.#bytes, account.round === this.#round ? account.leftBytes : this.#partBytes);
  }

  /** No more than is available. */
  spend(account: Account, bytes: number): void {
    if (account.round !== this.#round) {
      account.round = this.#round;
      account.leftBytes = this.#partBytes;
    }
    account.leftBytes -= bytes;
    this.#bytes -= bytes;
    if (this.#isShort) this.#options.onShort();
  }

  /** Bytes that were paid for and will not be moved. */
  giveBack(bytes: number): void {
    this.#bytes = Math.min(this.#fullBytes, this.#bytes + bytes);
  }

  /** `onFunds` comes once, when it is the channel's turn. */
  wait(account: Account): void {
    this.#waiting.add(account);
    if (this.#bytes > 0) this.#cancelRound ??= this.#options.after(ROUND_MS, () => this.#beginRound());
    else this.#options.onShort();
  }
  isWaiting(account: Account): boolean {
    return this.#waiting.has(account);
  }
  leave(account: Account): void {
    this.#waiting.delete(account);
  }

  grant(bytes: number): void {
    this.#dropStale();
    this.#bytes = Math.min(this.#fullBytes, this.#bytes + bytes);
    this.#grantedAtMs = this.#options.now();
    this.#beginRound();
  }

  /** The user has no connection here any more. */
  close(): void {
    this.#cancelRound?.();
    this.#waiting.clear();
  }

  get #isShort(): boolean {
    return this.#waiting.size > 0 || this.#bytes < this.#fullBytes / 2;
  }

  /** Calls no more channels than there are parts: each may read from its source before it knows that nothing is left. */
  #beginRound(): void {
    this.#cancelRound?.();
    this.#cancelRound = null;
    this.#round++;
    const bytes = this.#bytes;
    this.#partBytes =
      this.#waiting.size === 0
        ? Number.POSITIVE_INFINITY
        : Math.max(MIN_PART_BYTES, Math.ceil(bytes / this.#waiting.size));
    let promisedBytes = 0;
    for (const account of [...this.#waiting]) {
      if (promisedBytes >= bytes) break;
      if (!this.#waiting.delete(account)) continue; // left meanwhile
      promisedBytes += this.#partBytes;
      account.onFunds();
    }
    const [first] = this.#waiting;
    if (first !== undefined) this.wait(first);
  }

  #dropStale(): void {
    if (this.#bytes > 0 && this.#options.now() - this.#grantedAtMs > KEEP_MS) this.#bytes = 0;
  }
}

/** Of one user, both ways. */
export interface Purses {
  readonly bytesPerSecond: number;
  /** From the SSH peer. */
  readonly up: Purse;
  /** To it. */
  readonly down: Purse;
}
