/** STORY: what the log, and whoever looks, is told of one connection: whose it is, how it logged in, what became of it.
 *  Owns these facts. Decides nothing but what its end has deserved. */
import { formatHostPort } from '../shared/address.js';
import type { CloseReason, PenaltyReason } from '../shared/errors.js';
import type { ChannelNews, EventSink, ForwardNews, OfConnection, OfLogin } from '../shared/events.js';
import type { AuthMethod, Peer } from '../shared/identity.js';
import type { ConnId } from '../shared/ipc.js';
import { safeText } from '../shared/log.js';
import type { AuthStep, LoggedIn } from './auth/login.js';
import { penaltyFor, type Tried, triedHalf, triedWith } from './auth/penalty.js';
import { auditOf } from './auth/presented_key.js';
import type { AuthFailureEvent } from './auth/userauth.js';
import type { Sight } from './survey.js';

export interface StoryOptions {
  readonly event: EventSink;
  /** Monotonic milliseconds. */
  now(): number;
}

/** How a connection ended. */
export interface Ending {
  readonly reason: CloseReason;
  readonly detail: string;
  /** Over its socket. */
  readonly bytesIn: number;
  readonly bytesOut: number;
}

export class Story {
  readonly id: ConnId;
  readonly #options: StoryOptions;
  readonly #startedMs: number;
  /** Unix time. */
  readonly #openedAtMs = Date.now();
  /** What every event of this connection says before the login. */
  #conn: OfConnection;
  /** The peer's ident line. */
  #ident: string | null = null;
  /** What they say after it. */
  #login: OfLogin | null = null;
  #method: AuthMethod | null = null;
  #tried: Tried = 'NOTHING';

  constructor(id: ConnId, peer: Peer, options: StoryOptions) {
    this.id = id;
    this.#options = options;
    this.#startedMs = options.now();
    this.#conn = connOf(id, peer);
  }

  /** A proxy has said who it is. */
  named(peer: Peer): void {
    this.#conn = connOf(this.id, peer);
  }

  /** @param line printable ASCII, as intake has seen to */
  identified(line: Buffer): void {
    this.#ident = line.toString('latin1').trimEnd();
  }

  get ident(): string {
    return this.#ident ?? '';
  }

  halfWay(step: AuthStep): void {
    this.#tried = triedHalf(this.#tried);
    this.#options.event({ event: 'auth.partial', ...this.#conn, ...step });
  }

  failed({ user, method, code, fingerprint, certificate, detail }: AuthFailureEvent): void {
    this.#tried = triedWith(this.#tried, code);
    this.#options.event({
      event: 'auth.failed',
      ...this.#conn,
      user,
      method,
      reason: code,
      ...(fingerprint === undefined ? {} : { fingerprint }),
      ...certificate,
      ...(detail === undefined ? {} : { detail }),
    });
  }

  /** From here on events name the user. Nothing is told yet: what comes next may still end it. */
  isIn({ identity, method, fingerprint }: LoggedIn): void {
    const { conn, peer } = this.#conn;
    // Written out: on Node 20 an object that begins with a spread has a hidden class of its own, of some 300 bytes.
    this.#login = { conn, peer, user: identity.user, ...(fingerprint === undefined ? {} : { fingerprint }) };
    this.#method = method;
  }

  /** @param hints of weak hashes
   *  @returns how long the login took, from the accepted socket on; milliseconds */
  succeeded({ method, steps }: LoggedIn, hints: readonly string[]): number {
    const { event, now } = this.#options;
    const login = this.#login;
    if (login !== null) {
      event({ event: 'auth.succeeded', ...login, method, ...auditOf(steps) });
      for (const detail of hints) event({ event: 'auth.weakHash', ...login, detail });
    }
    return now() - this.#startedMs;
  }

  /** Says whose channel or forward it was. */
  tell(news: ChannelNews | ForwardNews): void {
    if (this.#login !== null) this.#options.event({ ...this.#login, ...news });
  }

  ended({ reason, detail, bytesIn, bytesOut }: Ending): void {
    this.#options.event({
      event: 'connection.closed',
      ...(this.#login ?? this.#conn),
      ...{ reason, bytesIn, bytesOut },
      durationMs: Math.round(this.#options.now() - this.#startedMs),
      ...(detail === '' ? {} : { detail: safeText(detail) }),
    });
  }

  /** What the source of a connection that never logged in has deserved by this end. */
  penalty(reason: CloseReason): PenaltyReason | undefined {
    return this.#login === null ? penaltyFor(reason, this.#tried) : undefined;
  }

  sight(): Pick<Sight, 'id' | 'peer' | 'client' | 'openedAtMs' | 'startedMs' | 'login'> {
    const { peer } = this.#conn;
    const [login, method] = [this.#login, this.#method];
    return {
      ...{ id: this.id, peer, client: this.#ident, openedAtMs: this.#openedAtMs, startedMs: this.#startedMs },
      login: login === null || method === null ? null : { ...login, method },
    };
  }
}

function connOf(conn: ConnId, peer: Peer): OfConnection {
  return { conn, peer: formatHostPort(peer.address, peer.port) };
}
