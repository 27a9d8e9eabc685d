/** MUSTER: have all workers that an earlier primary left reported what they hold?
 *  Owns those that are awaited, and the time that they are given. Until then nobody can say which ports are free and how many
 *  connections a user has; afterwards whoever is late finds that what it holds may have been granted once more (Ledger.adopt). */
import type { Cancel } from '../shared/timer.js';
import type { Clock } from './clock.js';

export interface MusterTiming {
  /** For workers of a server that lets go of them: they have only to turn round. */
  readonly releasedMs: number;
  /** For those of a dead one, from the moment in which they can report. Nobody knows how many they are, so all of this is
   *  waited: three looks of an orphan (next_primary.ts). Own workers hardly start sooner, so that hardly a login waits. */
  readonly orphanedMs: number;
}

/** A client's question has an answer within about a second. */
export const MUSTER_TIMING: MusterTiming = { releasedMs: 1_000, orphanedMs: 300 };

export class Muster {
  readonly #clock: Clock;
  #complete: Promise<void> | null = null;
  #resolve: () => void = nothing;
  /** Process numbers; null while nobody has told them. */
  #awaited: Set<number> | null = null;
  #cancel: Cancel = nothing;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** Resolves when it is; null: it is already. */
  get complete(): Promise<void> | null {
    return this.#complete;
  }

  /** Workers may come. One that is called already goes on.
   *  @param late called when the time is over, with those that have not come; null: nobody knows */
  call(forMs: number, late: (missing: readonly number[] | null) => void): void {
    if (this.#complete !== null) return;
    this.#awaited = null;
    this.#complete = new Promise((resolve) => {
      this.#resolve = resolve;
    });
    this.#cancel = this.#clock.after(forMs, () => {
      const missing = this.#awaited === null ? null : [...this.#awaited];
      this.end();
      late(missing);
    });
  }

  /** These, and no others. They have not come yet: they are told where to only now. */
  await(workers: readonly number[]): void {
    if (this.#complete === null) return; // told too late
    this.#awaited = new Set(workers);
    this.#endIfAllCame();
  }

  /** What it holds is in the ledger. */
  came(worker: number): void {
    this.#awaited?.delete(worker);
    this.#endIfAllCame();
  }

  /** Nobody else comes. */
  end(): void {
    this.#cancel();
    this.#complete = null;
    this.#resolve();
  }

  #endIfAllCame(): void {
    if (this.#awaited?.size === 0) this.end();
  }
}

function nothing(): void {}
