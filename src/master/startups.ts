/** STARTUPS: the connections that have not logged in yet, by source and by standing.
 *  Owns these counts, and which sources have logged in before. A state machine: no socket, no timer. Standings are counted
 *  apart, so that a flood of strangers fills the places of strangers and nobody else's (MaxStartups of sshd_config(5) has
 *  one count for all). */
import type { ConnId } from '../shared/ipc.js';
import type { Source } from './source.js';

/** `exempt` is what the config says; `known` has logged in before, while this primary has been running; `suspect` has another
 *  start-up under way, or has earned a penalty lately; `stranger` is everybody else. */
export type Standing = 'exempt' | 'known' | 'suspect' | 'stranger';

export interface Startup {
  readonly source: Source;
  readonly standing: Standing;
}

/** Sources that are remembered for having logged in; beyond, the one that has been away longest is forgotten. */
export const MAX_KNOWN = 65_536;

export class Startups {
  readonly #maxKnown: number;
  readonly #underWay = new Map<ConnId, Startup>();
  readonly #bySource = new Map<string, number>();
  readonly #byStanding: { [standing in Standing]: number } = { exempt: 0, known: 0, suspect: 0, stranger: 0 };
  /** In the order of their last login. */
  readonly #known = new Set<string>();

  constructor(maxKnown: number = MAX_KNOWN) {
    this.#maxKnown = maxKnown;
  }

  get size(): number {
    return this.#underWay.size;
  }
  get known(): number {
    return this.#known.size;
  }
  ofSource(source: Source): number {
    return this.#bySource.get(source.name) ?? 0;
  }
  ofStanding(standing: Standing): number {
    return this.#byStanding[standing];
  }

  /** @param earned has it earned a penalty lately? */
  standingOf(source: Source, earned: boolean): Standing {
    if (source.exempt) return 'exempt';
    if (this.#known.has(source.name)) return 'known';
    return earned || this.ofSource(source) > 0 ? 'suspect' : 'stranger';
  }

  begin(id: ConnId, startup: Startup): void {
    this.#underWay.set(id, startup);
    const { name } = startup.source;
    this.#bySource.set(name, (this.#bySource.get(name) ?? 0) + 1);
    this.#byStanding[startup.standing]++;
  }

  /** It has logged in, or has ended. @returns undefined when it was not under way */
  end(id: ConnId): Startup | undefined {
    const startup = this.#underWay.get(id);
    if (startup === undefined) return undefined;
    this.#underWay.delete(id);
    const { name } = startup.source;
    const left = this.ofSource(startup.source) - 1;
    if (left > 0) this.#bySource.set(name, left);
    else this.#bySource.delete(name);
    this.#byStanding[startup.standing]--;
    return startup;
  }

  know(source: Source): void {
    if (source.exempt) return;
    this.#known.delete(source.name);
    this.#known.add(source.name);
    if (this.#known.size <= this.#maxKnown) return;
    const [oldest] = this.#known;
    if (oldest !== undefined) this.#known.delete(oldest);
  }
  forget(source: Source): void {
    this.#known.delete(source.name);
  }
}
