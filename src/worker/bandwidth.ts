/** BANDWIDTH: the users of this worker whose bytes per second are limited.
 *  Owns two purses for each of them, while they have a connection here, and the pace of the questions to the primary, which
 *  shares each user's bytes among the workers. */
import type { BandwidthGrant, BandwidthWant } from '../shared/ipc.js';
import type { After, Cancel } from '../shared/timer.js';
import { Purse, type Purses } from './channel/purse.js';

export interface BandwidthOptions {
  /** Never rejects; null: there is no primary any more. */
  ask(want: BandwidthWant): Promise<BandwidthGrant | null>;
  /** Monotonic milliseconds. */
  now(): number;
  readonly after: After;
}

/** What a connection of a limited user spends from. */
export interface Membership extends Purses {
  /** Said once, when the connection has ended. */
  leave(): void;
}

/** A question costs both processes some tens of microseconds: no more than ten a second for a user. */
const ASK_EVERY_MS = 100;
/** A purse holds what is spent in this time, so that a question that comes late does not slow its user. */
const FULL_MS = 200;

export class Bandwidth {
  readonly #options: BandwidthOptions;
  readonly #users = new Map<string, LimitedUser>();

  constructor(options: BandwidthOptions) {
    this.#options = options;
  }

  /** Users that are limited and have a connection here. */
  get size(): number {
    return this.#users.size;
  }

  /** A connection of this user begins. What the last login said holds for all of the user's connections.
   *  @param bytesPerSecond Infinity: nothing is counted @returns null: nothing is limited */
  join(name: string, bytesPerSecond: number): Membership | null {
    if (bytesPerSecond === Number.POSITIVE_INFINITY) return null;
    const user = this.#users.get(name) ?? new LimitedUser(name, this.#options);
    this.#users.set(name, user);
    user.connections++;
    user.limit(bytesPerSecond);
    return {
      bytesPerSecond,
      up: user.up,
      down: user.down,
      leave: () => {
        user.connections--;
        if (user.connections > 0) return;
        user.close();
        this.#users.delete(name);
      },
    };
  }
}

class LimitedUser {
  readonly up: Purse;
  readonly down: Purse;
  connections = 0;
  readonly #name: string;
  readonly #options: BandwidthOptions;
  #bytesPerSecond = 0;
  #askedAtMs = Number.NEGATIVE_INFINITY;
  #asking = false;
  #cancel: Cancel | null = null;
  #closed = false;

  constructor(name: string, options: BandwidthOptions) {
    this.#name = name;
    this.#options = options;
    const purse = (): Purse =>
      new Purse({ onShort: () => this.#askInTime(), now: () => options.now(), after: options.after });
    this.up = purse();
    this.down = purse();
  }

  limit(bytesPerSecond: number): void {
    this.#bytesPerSecond = bytesPerSecond;
    const bytes = bytesIn(FULL_MS, bytesPerSecond);
    this.up.fullBytes = bytes;
    this.down.fullBytes = bytes;
  }

  close(): void {
    this.#closed = true;
    this.#cancel?.();
    this.up.close();
    this.down.close();
  }

  #askInTime(): void {
    if (this.#asking || this.#cancel !== null || this.#closed) return;
    const waitMs = this.#askedAtMs + ASK_EVERY_MS - this.#options.now();
    if (waitMs <= 0) this.#ask();
    else this.#cancel = this.#options.after(waitMs, () => this.#ask());
  }

  #ask(): void {
    this.#cancel = null;
    const upBytes = this.up.shortBytes;
    const downBytes = this.down.shortBytes;
    if (upBytes === 0 && downBytes === 0) return;
    const nowMs = this.#options.now();
    const sinceMs = nowMs - this.#askedAtMs;
    this.#askedAtMs = nowMs;
    this.#asking = true;
    const want = { user: this.#name, bytesPerSecond: this.#bytesPerSecond, upBytes, downBytes };
    void this.#options.ask(want).then((grant) => this.#take(grant ?? this.#own(want, sinceMs)));
  }

  /** Tunnels go on without a primary, each worker by the whole limit: nobody is there to share it. */
  #own({ upBytes, downBytes }: BandwidthWant, sinceMs: number): BandwidthGrant {
    const bytes = bytesIn(Math.min(sinceMs, FULL_MS), this.#bytesPerSecond);
    return { upBytes: Math.min(upBytes, bytes), downBytes: Math.min(downBytes, bytes) };
  }

  #take({ upBytes, downBytes }: BandwidthGrant): void {
    this.#asking = false;
    if (this.#closed) return;
    this.up.grant(upBytes);
    this.down.grant(downBytes);
  }
}

function bytesIn(durationMs: number, bytesPerSecond: number): number {
  return Math.max(1, Math.floor((bytesPerSecond * durationMs) / 1_000));
}
