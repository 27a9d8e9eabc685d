/** PENALTIES: what each source has earned by connections that never logged in, and whether it is refused for that.
 *  Owns the penalties of a bounded number of sources. A state machine: time is an argument. After sshd_config(5)
 *  PerSourcePenalties: penalties add up and run off with time; a source is refused from the moment that `min` is left to run
 *  until all of it has run off; never more than `max` is left to run. */
import type { Config } from '../shared/config.js';
import type { PenaltyReason } from '../shared/errors.js';

export type PenaltyRules = Config['penalties'];

/** As OpenSSH's max-sources; some 15 MB where all are in use. When more are there, those whose penalties end first are
 *  forgotten first (OpenSSH's `overflow permissive`): who floods from ever new addresses displaces himself, and not those who
 *  have earned much. */
export const MAX_SOURCES = 65_536;

/** How long a source is remembered after its penalties have run off: one that comes back every second to earn a little is no
 *  newcomer each time. */
export const REMEMBERED_MS = 60_000;

const SECOND_MS = 1_000;

interface Entry {
  /** When all of it has run off. */
  endsMs: number;
  refused: boolean;
}

export class Penalties {
  #rules: PenaltyRules;
  readonly #maxSources: number;
  readonly #entries = new Map<string, Entry>();
  /** The sources by the second in which their penalties end, to find those that end first. */
  readonly #endings = new Map<number, Set<string>>();
  /** No second with an ending comes before it. */
  #firstSecond = 0;

  constructor(rules: PenaltyRules, maxSources: number = MAX_SOURCES) {
    this.#rules = rules;
    this.#maxSources = maxSources;
  }

  /** Sources that are remembered. */
  get size(): number {
    return this.#entries.size;
  }

  /** Sources that are refused now. Looks at each that is remembered: for who looks now and then. */
  refused(nowMs: number): number {
    let count = 0;
    for (const source of this.#entries.keys()) if (this.isRefused(source, nowMs)) count++;
    return count;
  }

  /** Penalties to come go by these; those that run are kept. */
  configure(rules: PenaltyRules): void {
    this.#rules = rules;
  }

  /** Has it earned something within the last minute, or does something still run? */
  remembers(source: string, nowMs: number): boolean {
    const { endsMs } = this.#entries.get(source) ?? {};
    return endsMs !== undefined && endsMs + REMEMBERED_MS > nowMs;
  }

  isRefused(source: string, nowMs: number): boolean {
    if (!this.#rules.enabled) return false;
    const { refused = false, endsMs = 0 } = this.#entries.get(source) ?? {};
    return refused && endsMs > nowMs;
  }

  /** @returns for how long the source is refused, when that begins with this penalty; else undefined */
  add(source: string, reason: PenaltyReason, nowMs: number): number | undefined {
    const amountMs = this.#amountMs(reason);
    if (!this.#rules.enabled || amountMs === 0) return undefined;
    this.#forgetEnded(nowMs - REMEMBERED_MS);
    const { minMs, maxMs } = this.#rules;
    const before = this.#entries.get(source) ?? { endsMs: nowMs, refused: false };
    const runsOn = before.endsMs > nowMs;
    const leftMs = Math.min((runsOn ? before.endsMs - nowMs : 0) + amountMs, maxMs);
    const wasRefused = runsOn && before.refused;
    const refused = wasRefused || leftMs >= minMs;
    this.#drop(source);
    this.#keep(source, { endsMs: nowMs + leftMs, refused });
    while (this.#entries.size > this.#maxSources) this.#forgetFirst();
    return refused && !wasRefused ? leftMs : undefined;
  }

  #amountMs(reason: PenaltyReason): number {
    switch (reason) {
      case 'AUTH_FAIL':
        return this.#rules.authFailMs;
      case 'NO_AUTH':
        return this.#rules.noAuthMs;
      case 'GRACE_EXCEEDED':
        return this.#rules.graceExceededMs;
    }
  }

  #keep(source: string, entry: Entry): void {
    const second = Math.floor(entry.endsMs / SECOND_MS);
    const ending = this.#endings.get(second);
    if (ending === undefined) this.#endings.set(second, new Set([source]));
    else ending.add(source);
    this.#entries.set(source, entry);
    this.#firstSecond = this.#entries.size === 1 ? second : Math.min(this.#firstSecond, second);
  }

  #drop(source: string): void {
    const entry = this.#entries.get(source);
    if (entry === undefined) return;
    const second = Math.floor(entry.endsMs / SECOND_MS);
    const ending = this.#endings.get(second);
    ending?.delete(source);
    if (ending?.size === 0) this.#endings.delete(second);
    this.#entries.delete(source);
  }

  /** Leaves those that ended within this very second: they are asked for their end one by one. */
  #forgetEnded(beforeMs: number): void {
    const second = Math.floor(beforeMs / SECOND_MS);
    while (this.#entries.size > 0 && this.#firstSecond < second) {
      for (const source of this.#endings.get(this.#firstSecond) ?? []) this.#entries.delete(source);
      this.#endings.delete(this.#firstSecond);
      this.#firstSecond++;
    }
  }

  #forgetFirst(): void {
    while (!this.#endings.has(this.#firstSecond)) this.#firstSecond++;
    const [first] = this.#endings.get(this.#firstSecond) ?? [];
    if (first !== undefined) this.#drop(first);
  }
}
