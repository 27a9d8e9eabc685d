/** STARTUPS: the connections that have not logged in yet, by source and by standing.
 *  Owns these counts, and which sources have logged in before. A state machine: no socket, no timer. Standings are counted
 *  apart, so that a flood of strangers fills the places of strangers and nobody else's (MaxStartups of sshd_config(5) has
 *  one count for all). */
import type { ConnId } from '../shared/ipc.js';
import type { Source } from './source.js';

/** `exempt` is what the config says; `proxy` is a proxy that has not said yet whom it brings, or comes for itself; `known` has logged in before, while this primary has been running, and has no other start-up
 *  under way; `busy` is known and has one; `suspect` has another under way, or has earned a penalty lately; `stranger` is
 *  everybody else. */
export type Standing = 'exempt' | 'proxy' | 'known' | 'busy' | 'suspect' | 'stranger';

export interface Startup {
  readonly source: Source;
  readonly standing: Standing;
}

/** Sources that are remembered for having logged in; beyond, the one that has been away longest is forgotten. */
export const MAX_KNOWN = 65_536;
/** Sources that are known for one user; beyond, the one that he has been away from longest. Fewer than the start-ups from which
 *  on others are dropped by default: whoever has an account and a /48 of IPv6 would else fill the places of all who are known. */
export const KNOWN_PER_USER = 8;
/** Users for whom one source is remembered: a NAT may have any number. */
const USERS_PER_SOURCE = 256;

export class Startups {
  readonly #maxKnown: number;
  readonly #underWay = new Map<ConnId, Startup>();
  readonly #bySource = new Map<string, number>();
  readonly #byStanding: { [standing in Standing]: number } = {
    exempt: 0,
    proxy: 0,
    known: 0,
    busy: 0,
    suspect: 0,
    stranger: 0,
  };
  /** By source, in the order of their last login: the users who have logged in from there. */
  readonly #known = new Map<string, Set<string>>();
  /** By user, in the order of his last login from each: the sources that are known for him. */
  readonly #sources = new Map<string, Set<string>>();

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
    const isBusy = this.ofSource(source) > 0;
    if (this.#known.has(source.name)) return isBusy ? 'busy' : 'known';
    return earned || isBusy ? 'suspect' : 'stranger';
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

  know({ name, exempt }: Source, user: string): void {
    if (exempt) return;
    const users = this.#known.get(name) ?? new Set();
    this.#known.delete(name);
    this.#known.set(name, users);
    if (users.size < USERS_PER_SOURCE || users.has(user)) {
      users.add(user);
      this.#addSource(user, name);
    }
    if (this.#known.size <= this.#maxKnown) return;
    const [oldest] = this.#known.keys();
    if (oldest !== undefined) this.#forget(oldest);
  }
  forget(source: Source): void {
    this.#forget(source.name);
  }

  #addSource(user: string, name: string): void {
    const sources = this.#sources.get(user) ?? new Set();
    this.#sources.set(user, sources);
    sources.delete(name);
    sources.add(name);
    if (sources.size <= KNOWN_PER_USER) return;
    const [oldest] = sources;
    if (oldest === undefined) return;
    sources.delete(oldest);
    const users = this.#known.get(oldest);
    users?.delete(user);
    if (users?.size === 0) this.#known.delete(oldest);
  }

  #forget(name: string): void {
    for (const user of this.#known.get(name) ?? []) {
      const sources = this.#sources.get(user);
      sources?.delete(name);
      if (sources?.size === 0) this.#sources.delete(user);
    }
    this.#known.delete(name);
  }
}
