/** DOOR: who may come in, and what it means for the next one from there how a connection went until its login.
 *  Owns the start-ups, the penalties and the account of who was turned away. Decides; the sockets are the primary's. */
import type { HeldConnection } from '../shared/adoption.js';
import type { Config } from '../shared/config.js';
import { assertNever, type PenaltyReason, type RefuseReason } from '../shared/errors.js';
import type { EventSink } from '../shared/events.js';
import type { Peer } from '../shared/identity.js';
import type { ConnId } from '../shared/ipc.js';
import { TokenBucket } from '../shared/limiter.js';
import { type AdmissionState, decide } from './admission.js';
import type { Clock } from './clock.js';
import { peerText } from './listener.js';
import { Penalties } from './penalties.js';
import { type EntryPoint, Proxies } from './proxies.js';
import { RefusalLog } from './refusal_log.js';
import { type Source, SourceRules } from './source.js';
import { type Startup, Startups } from './startups.js';

export interface DoorOptions {
  readonly config: Config;
  /** Sockets that may wait for a worker. */
  readonly maxWaiting: number;
  readonly event: EventSink;
  readonly clock: Clock;
  /** From 0 up to but not including 1. */
  readonly random: () => number;
}

/** What the server holds when a peer comes. */
export type House = Pick<AdmissionState, 'draining' | 'open' | 'waiting'>;

export type Verdict =
  /** `proxied`: it is a proxy, and `admit` is to be asked again for whom it brings. */
  | { readonly admit: true; readonly startup: Startup; readonly proxied: boolean }
  /** `lastWords`, where there are any, come before the end: RFC 4253 §4.2 lets a server send lines before its ident. */
  | { readonly admit: false; readonly lastWords: string | undefined };

/** For status pages and tests. */
export interface DoorStatus {
  readonly refused: RefusalLog['counts'];
  /** Sources that have earned penalties lately, whether or not they are refused for them. */
  readonly suspects: number;
  /** Of these, the ones that are refused now. */
  readonly penalised: number;
  /** Sources that have logged in. */
  readonly known: number;
  /** Connections that have not logged in yet, of all standings. */
  readonly unauthenticated: number;
}

export class Door {
  readonly #options: DoorOptions;
  readonly #startups = new Startups();
  readonly #penalties: Penalties;
  readonly #refusals: RefusalLog;
  /** Connections of proxies that have not said yet whom they bring. */
  readonly #unnamed = new Set<ConnId>();
  #limits: Config['limits'];
  #sources: SourceRules;
  #proxies: Proxies;
  /** How fast strangers may begin, and suspects. What each of them costs until its login is spent by then, and no penalty
   *  reaches a flood that comes from ever new addresses. */
  #pace: { readonly stranger: TokenBucket; readonly suspect: TokenBucket };

  constructor(options: DoorOptions) {
    const { config, clock, event } = options;
    this.#options = options;
    this.#penalties = new Penalties(config.penalties);
    this.#refusals = new RefusalLog(event, clock);
    this.#limits = config.limits;
    this.#sources = new SourceRules(config.penalties.exempt);
    this.#proxies = new Proxies(config.listen);
    this.#pace = this.#newPace();
  }

  /** Who comes from now on is judged by this config; who is in stays, and penalties run on. */
  configure({ limits, penalties, listen }: Config): void {
    this.#limits = limits;
    this.#penalties.configure(penalties);
    this.#sources = new SourceRules(penalties.exempt);
    this.#proxies = new Proxies(listen);
    this.#pace = this.#newPace();
  }

  /** A peer that is not admitted is told in the log already.
   *  @param at where it came in; null: a proxy has brought it */
  admit(peer: Peer, house: House, at: EntryPoint | null): Verdict {
    const { clock, random, maxWaiting } = this.#options;
    const nowMs = clock.nowMs();
    const source = this.#sources.sourceOf(peer.address);
    if (at !== null && this.#proxies.has(peer.address, at)) return this.#admitProxy(peer, house, source);
    const standing = this.#startups.standingOf(source, this.#penalties.remembers(source.name, nowMs));
    const state = {
      ...house,
      penalised: !source.exempt && this.#penalties.isRefused(source.name, nowMs),
      unauthenticated: this.#startups.ofStanding(standing),
      ofSource: source.exempt ? 0 : this.#startups.ofSource(source),
    };
    const admission = decide(state, { ...this.#limits, waiting: maxWaiting }, random());
    if (!admission.admit) return this.#refuse(admission.reason, peer, source.name);
    if ((standing === 'stranger' || standing === 'suspect') && !this.#pace[standing].take(nowMs))
      return this.#refuse('STARTUPS', peer, source.name);
    return { admit: true, startup: { source, standing }, proxied: false };
  }

  /** The operator's own machine, which may bring any number of people: it has no penalties and no start-ups of its own. */
  #admitProxy(peer: Peer, house: House, source: Source): Verdict {
    const { random, maxWaiting } = this.#options;
    const state = { ...house, penalised: false, unauthenticated: 0, ofSource: 0 };
    const admission = decide(state, { ...this.#limits, waiting: maxWaiting }, random());
    if (!admission.admit) return this.#refuse(admission.reason, peer, source.name);
    return { admit: true, startup: proxyStartup(source), proxied: true };
  }

  /** It is a proxy's that has not said whom it brings. */
  isUnnamed(id: ConnId): boolean {
    return this.#unnamed.has(id);
  }

  begins(id: ConnId, startup: Startup): void {
    this.#startups.begin(id, startup);
    if (startup.standing === 'proxy') this.#unnamed.add(id);
  }

  /** A proxy has said whom it brings, or that it comes for itself. */
  named(id: ConnId): void {
    this.#unnamed.delete(id);
  }

  /** Another primary has let it in. */
  adopts(id: ConnId, { peer, user, unnamed = false }: Pick<HeldConnection, 'peer' | 'user' | 'unnamed'>): void {
    const source = this.#sources.sourceOf(peer.address);
    if (user !== null) this.#startups.know(source, user);
    else if (unnamed) this.begins(id, proxyStartup(source));
    else this.#startups.begin(id, { source, standing: this.#startups.standingOf(source, false) });
  }

  loggedIn(id: ConnId, user: string): void {
    const startup = this.#end(id);
    if (startup !== undefined) this.#startups.know(startup.source, user);
  }

  /** `penalty`: it never logged in, and that was its own doing. */
  ended(id: ConnId, penalty?: PenaltyReason): void {
    const source = this.#end(id)?.source;
    if (source === undefined || source.exempt || penalty === undefined) return;
    const refusedMs = this.#penalties.add(source.name, penalty, this.#options.clock.nowMs());
    if (refusedMs === undefined) return;
    this.#startups.forget(source);
    const durationMs = Math.round(refusedMs);
    this.#options.event({ event: 'source.penalised', source: source.name, reason: penalty, durationMs });
  }

  /** It was let in, but no worker took it. */
  turnedAway(id: ConnId, reason: RefuseReason, peer: Peer | undefined): void {
    const source = this.#end(id)?.source;
    this.#refusals.add({ conn: id, ...(peer === undefined ? {} : { peer: peerText(peer) }), reason }, source?.name);
  }

  status(): DoorStatus {
    return {
      refused: this.#refusals.counts,
      suspects: this.#penalties.size,
      penalised: this.#penalties.refused(this.#options.clock.nowMs()),
      known: this.#startups.known,
      unauthenticated: this.#startups.size,
    };
  }

  /** Nobody comes any more: what is not in the log yet goes there. */
  close(): void {
    this.#refusals.flush();
  }

  #end(id: ConnId): Startup | undefined {
    this.#unnamed.delete(id);
    return this.#startups.end(id);
  }

  #refuse(reason: RefuseReason, peer: Peer, source: string): Verdict {
    this.#refusals.add({ peer: peerText(peer), reason }, source);
    return { admit: false, lastWords: lastWordsFor(reason) };
  }

  #newPace(): { readonly stranger: TokenBucket; readonly suspect: TokenBucket } {
    const { full } = this.#limits.startups;
    const bucket = (): TokenBucket => new TokenBucket({ burst: full, perSecond: full }, this.#options.clock.nowMs());
    return { stranger: bucket(), suspect: bucket() };
  }
}

function proxyStartup(source: Source): Startup {
  return { source: { ...source, exempt: true }, standing: 'proxy' };
}

/** Those of OpenSSH's sshd, which people look for. */
function lastWordsFor(reason: RefuseReason): string | undefined {
  switch (reason) {
    case 'PENALTY':
      return 'Not allowed at this time\r\n';
    case 'STARTUPS':
    case 'SOURCE_STARTUPS':
      return 'Exceeded MaxStartups\r\n';
    case 'AT_CAPACITY':
    case 'NO_WORKER':
    case 'HANDOFF_FAILED':
    case 'DRAINING':
      return undefined;
    default:
      return assertNever(reason);
  }
}
