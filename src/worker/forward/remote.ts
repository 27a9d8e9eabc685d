/** REMOTE: tcpip-forward and streamlocal-forward@openssh.com of one connection (what `-R` asks for), their cancel, and
 *  the forwarded-* channels that they bring.
 *  Owns the connection's forwards. The right to bind is leased from the primary's ledger, so that two workers never serve
 *  one port; the listener itself is this worker's alone. Promises that all is freed by `close`. */
import type { Socket } from 'node:net';
import { normalisePeerAddress } from '../../shared/address.js';
import type { Ends } from '../../shared/ending.js';
import type { ForwardEnd } from '../../shared/errors.js';
import { ALLOW, type Refusal, type RefusalCode, refusal, type Verdict } from '../../shared/errors.js';
import type { Payload, Traffic } from '../../shared/events.js';
import { adoptHandle, takeHandle } from '../../shared/handles.js';
import type { BindAddress } from '../../shared/identity.js';
import type { Answer, LeaseKey, LeaseTarget } from '../../shared/ipc.js';
import { type RateLimit, TokenBucket } from '../../shared/limiter.js';
import { parseBindHost } from '../../shared/patterns.js';
import { isPort, type PortRange } from '../../shared/port.js';
import { socketPathError } from '../../shared/socket_path.js';
import type { Channel } from '../channel/channel.js';
import { bindTcp, type Listeners, listenAddresses } from './bind.js';
import { SocketPlace } from './bind_unix.js';
import type { Tunnel } from './tunnel.js';

/** What a forward asks of the policy. */
export interface ListenPolicy {
  checkForward(bind: BindAddress, signal: AbortSignal): Promise<Verdict>;
  /** Ports that port 0 may become on this bind address. */
  portRanges(host: string): readonly PortRange[];
}

/** What a forward asks of the ledger, already bound to this connection and its user. */
export interface Leases {
  lease(target: LeaseTarget): Promise<Answer>;
  release(key: LeaseKey): void;
}

/** An inbound connection on a forward, on its way to the peer. */
export interface Inbound {
  readonly bind: BindAddress;
  /** All that has to be permitted for it: `bind`, and the real path where a link led there. */
  readonly binds: readonly BindAddress[];
  /** RFC 4254 §7.2: originator address and port; empty for Unix sockets. */
  readonly originator: { readonly host: string; readonly port: number };
  readonly tunnel: Tunnel;
  /** Paused, made for `tunnel`; has no listeners yet. */
  readonly socket: Socket;
}

export interface RemoteOptions {
  readonly policy: ListenPolicy;
  readonly leases: Leases;
  readonly maxForwards: number;
  /** May the user bind once more, by `bindRate`? Yes counts it. */
  mayBind(): boolean;
  /** Of each forward, at a time. */
  readonly maxInbound: number;
  /** Of each forward, and twice as many at once; 0 = no limit. */
  readonly inboundPerSecond: number;
  /** The connection's end. */
  readonly ending: Ends;
  /** `onEnd` must be told each channel that came in by the forward and has ended. */
  makeTunnel(bind: BindAddress, onEnd: (channel: Channel) => void): Tunnel;
  /** A forward has ended; `traffic` is that of its channels which have ended by now. */
  onReleased(bind: BindAddress, reason: ForwardEnd, traffic: Traffic): void;
  /** Opens a forwarded-tcpip or forwarded-streamlocal@openssh.com channel and takes the socket over. */
  onInbound(inbound: Inbound): void;
  /** Whoever came was let go at once. */
  onInboundRefused(bind: BindAddress, reason: 'INBOUND_LIMIT' | 'INBOUND_RATE'): void;
  /** Monotonic milliseconds. */
  now(): number;
}

export type ForwardOutcome = { readonly ok: true; readonly port: number } | ({ readonly ok: false } & Refusal);

/** A forward as it stands. */
export interface ForwardSight extends Payload {
  readonly bind: BindAddress;
  /** Monotonic. */
  readonly sinceMs: number;
  /** Connections that have come in by it and are not over. */
  readonly open: number;
}

interface Bound {
  readonly bind: BindAddress;
  readonly key: LeaseKey;
  readonly counts: Counts;
}

interface Forward extends Bound {
  readonly listeners: Listeners;
}

/** What the channels of one forward moved, and who may still come in by it. */
interface Counts {
  bytesIn: number;
  bytesOut: number;
  readonly sinceMs: number;
  open: number;
  /** What `bytesIn` and `bytesOut` do not have yet. */
  readonly live: Set<Tunnel>;
  readonly rate: TokenBucket | null;
}

/** How often a user may bind, in each worker. Whoever binds and cancels in a loop asks the primary each time, and the log tells of both:
 *  one connection made 1,560 lines a second. All that a user may hold comes at once when he comes back, twice while his old connections
 *  are still there; 100 more, and 10 a second, for who has a few ports.
 *  @param forwards that the user may hold at a time */
export function bindRate(forwards: number): RateLimit {
  return { burst: 100 + 2 * forwards, perSecond: Math.max(10, forwards / 10) };
}

/** Ports of the permitted range that other programs may hold before we give up on a request for port 0. */
const MAX_PORT_TRIES = 16;

export class RemoteForwards {
  readonly #options: RemoteOptions;
  /** By what the peer asked for (RFC 4254 §7.1: the cancel names the same address and port). Null: there was none yet. */
  #forwards: Map<string, Forward> | null = null;
  #pending = 0;
  /** Changes of the config since the login. */
  #reviews = 0;

  constructor(options: RemoteOptions) {
    this.#options = options;
  }

  get size(): number {
    return this.#forwards?.size ?? 0;
  }
  binds(): BindAddress[] {
    return [...(this.#forwards?.values() ?? [])].map(({ bind }) => bind);
  }
  sights(): ForwardSight[] {
    return [...(this.#forwards?.values() ?? [])].map(({ bind, counts }) => {
      let { bytesIn, bytesOut } = counts;
      for (const { traffic } of counts.live) {
        bytesIn += traffic.bytesIn;
        bytesOut += traffic.bytesOut;
      }
      return { bind, sinceMs: counts.sinceMs, open: counts.open, bytesIn, bytesOut };
    });
  }

  /** Port 0 asks us to choose; the outcome carries the port. For a Unix socket the port is 0. */
  async request(bind: BindAddress): Promise<ForwardOutcome> {
    if (this.size + this.#pending >= this.#options.maxForwards) return refused('FORWARD_LIMIT');
    if (this.#forwards?.has(keyOf(bind))) return refused('PORT_TAKEN');
    if (!isBindable(bind)) return refused('BAD_ADDRESS');
    if (!this.#options.mayBind()) return refused('FORWARD_RATE');
    this.#pending++;
    const reviews = this.#reviews;
    try {
      const verdict = await this.#options.policy.checkForward(bind, this.#options.ending.signal);
      if (!verdict.allow) return refused(verdict.code, verdict.detail);
      const outcome =
        bind.kind === 'tcp' ? await this.#requestTcp(bind.host, bind.port) : await this.#requestUnix(bind.path);
      return outcome.ok && reviews !== this.#reviews ? await this.#askAgain(bind, outcome) : outcome;
    } finally {
      this.#pending--;
    }
  }

  /** The config has changed: ends the forwards that it no longer permits. A peer cannot be told that (RFC 4254 §7.1 knows no
   *  message for it); its port is free. */
  review(isGone: (bind: BindAddress) => boolean): void {
    this.#reviews++;
    for (const [id, forward] of [...(this.#forwards ?? [])]) {
      if (!bindsOf(forward).some(isGone)) continue;
      this.#forwards?.delete(id);
      this.#end(forward, 'RIGHTS_WITHDRAWN');
    }
  }

  /** Bound just now, on the word of a config that changed meanwhile. */
  async #askAgain(asked: BindAddress, outcome: ForwardOutcome & { readonly ok: true }): Promise<ForwardOutcome> {
    const bind = asked.kind === 'tcp' ? { ...asked, port: outcome.port } : asked;
    for (let reviews = -1; reviews !== this.#reviews; ) {
      reviews = this.#reviews;
      const held = this.#forwards?.get(keyOf(bind));
      const verdict = await this.#checkAll(held === undefined ? [bind] : bindsOf(held));
      const forward = this.#forwards?.get(keyOf(bind));
      if (forward === undefined) return refused('POLICY_DENIED'); // a review has ended it, or the connection has
      if (verdict.allow) continue;
      this.#forwards?.delete(keyOf(bind));
      this.#free(forward);
      return refused(verdict.code, verdict.detail);
    }
    return outcome;
  }

  async #checkAll(binds: readonly BindAddress[]): Promise<Verdict> {
    for (const bind of binds) {
      const verdict = await this.#options.policy.checkForward(bind, this.#options.ending.signal);
      if (!verdict.allow) return verdict;
    }
    return ALLOW;
  }

  /** @returns false when this connection has no such forward. Connections that came through it go on. */
  cancel(bind: BindAddress): boolean {
    const id = keyOf(bind);
    const forward = this.#forwards?.get(id);
    if (forward === undefined) return false;
    this.#forwards?.delete(id);
    this.#end(forward, 'CANCELLED');
    return true;
  }

  /** The connection is gone, and its channels with it. */
  close(): void {
    for (const forward of this.#forwards?.values() ?? []) this.#end(forward, 'CONNECTION_CLOSED');
    this.#forwards = null;
  }

  async #requestTcp(host: string, port: number): Promise<ForwardOutcome> {
    const addresses = listenAddresses(parseBindHost(host));
    if (addresses === null) return refused('BAD_ADDRESS');
    const portRanges = this.#options.policy.portRanges(host);
    const except: number[] = [];
    for (let tries = 0; tries < MAX_PORT_TRIES; tries++) {
      const answer = await this.#options.leases.lease({ kind: 'tcp', host, port, portRanges, except });
      if (!answer.ok) return refused(codeOf(answer.reason));
      const key: LeaseKey = { kind: 'tcp', port: answer.port };
      const bind: BindAddress = { kind: 'tcp', host, port: answer.port };
      if (port === 0) {
        // A hook that allows "any port" may still mean less than `portRanges` says: the port itself has to pass as well.
        const verdict = await this.#options.policy.checkForward(bind, this.#options.ending.signal);
        if (!verdict.allow) {
          this.#options.leases.release(key);
          return refused(verdict.code, verdict.detail ?? `port ${answer.port}, chosen for port 0`);
        }
      }
      const made: Bound = { bind, key, counts: this.#newCounts() };
      const bound = await bindTcp(addresses, answer.port, (socket) => this.#onAccept(made, socket));
      if (bound.ok) return this.#keep({ ...made, listeners: bound.listeners });
      this.#options.leases.release(key);
      if (port !== 0 || bound.code !== 'PORT_TAKEN') return refused(bound.code);
      except.push(answer.port); // another program has it: ask for the next one
    }
    return refused('PORT_TAKEN');
  }

  async #requestUnix(path: string): Promise<ForwardOutcome> {
    const place = await SocketPlace.find(path);
    if (place === null) return refused('BIND_FAILED');
    let kept = false;
    try {
      const outcome = await this.#bindAt(place, path);
      kept = outcome.ok;
      return outcome;
    } finally {
      if (!kept) place.close();
    }
  }

  async #bindAt(place: SocketPlace, path: string): Promise<ForwardOutcome> {
    const { realPath } = place;
    if (socketPathError(realPath) !== null) return refused('BAD_ADDRESS');
    if (!place.isUsable) return refused('BAD_ADDRESS', 'the name of the socket is too long');
    if (realPath !== path) {
      // A link in the way may lead out of what the user may bind: the real path has to be permitted as well.
      const verdict = await this.#options.policy.checkForward(
        { kind: 'unix', path: realPath },
        this.#options.ending.signal,
      );
      if (!verdict.allow) return refused(verdict.code, verdict.detail);
    }
    const answer = await this.#options.leases.lease({ kind: 'unix', path: realPath });
    if (!answer.ok) return refused(codeOf(answer.reason));
    const key: LeaseKey = { kind: 'unix', path: realPath };
    const made: Bound = { bind: { kind: 'unix', path }, key, counts: this.#newCounts() };
    const bound = await place.bind((socket) => this.#onAccept(made, socket));
    if (bound.ok) return this.#keep({ ...made, listeners: bound.listeners });
    this.#options.leases.release(key);
    return refused(bound.code);
  }

  /** The peer may have gone while we asked and bound: then nothing must be left. */
  #keep(forward: Forward): ForwardOutcome {
    if (this.#options.ending.hasEnded) {
      this.#free(forward);
      return refused('BIND_FAILED');
    }
    this.#forwards ??= new Map();
    this.#forwards.set(keyOf(forward.bind), forward);
    return { ok: true, port: forward.key.kind === 'tcp' ? forward.key.port : 0 };
  }

  #free(forward: Forward): void {
    forward.listeners.close();
    this.#options.leases.release(forward.key);
  }

  #end(forward: Forward, reason: ForwardEnd): void {
    this.#free(forward);
    const { bytesIn, bytesOut, sinceMs } = forward.counts;
    const durationMs = Math.round(this.#options.now() - sinceMs);
    this.#options.onReleased(forward.bind, reason, { bytesIn, bytesOut, durationMs });
  }

  /** A flood on one forward is not to take the channels of the others, nor the worker's time. */
  #refusalOf({ open, rate }: Counts): 'INBOUND_LIMIT' | 'INBOUND_RATE' | null {
    if (rate?.take(this.#options.now()) === false) return 'INBOUND_RATE';
    return open >= this.#options.maxInbound ? 'INBOUND_LIMIT' : null;
  }

  #newCounts(): Counts {
    const { inboundPerSecond, now } = this.#options;
    const sinceMs = now();
    const limit = { burst: 2 * inboundPerSecond, perSecond: inboundPerSecond };
    return {
      ...{ bytesIn: 0, bytesOut: 0, sinceMs, open: 0, live: new Set<Tunnel>() },
      rate: inboundPerSecond === 0 ? null : new TokenBucket(limit, sinceMs),
    };
  }

  /** Takes the handle out of the accepted socket and puts it into one whose reads go where the relay wants them. */
  #onAccept(made: Bound, accepted: Socket): void {
    const { bind, counts } = made;
    const refusal = this.#refusalOf(counts);
    if (refusal !== null) {
      accepted.destroy();
      return this.#options.onInboundRefused(bind, refusal);
    }
    const originator = {
      host: normalisePeerAddress(accepted.remoteAddress ?? ''),
      port: accepted.remotePort ?? 0,
    };
    const handle = takeHandle(accepted);
    if (handle === undefined) return; // gone already
    const tunnel = this.#options.makeTunnel(bind, ({ bytesIn, bytesOut }) => {
      counts.live.delete(tunnel);
      counts.bytesIn += bytesIn;
      counts.bytesOut += bytesOut;
    });
    const socket = adoptHandle(handle, { allowHalfOpen: true, paused: true, onread: tunnel.onread });
    counts.open++;
    counts.live.add(tunnel);
    socket.once('close', () => {
      counts.open--;
      counts.live.delete(tunnel);
    });
    this.#options.onInbound({ bind, binds: bindsOf(made), originator, tunnel, socket });
  }
}

/** Holds whatever a policy of the user's own says: Node throws on such a port and cuts such a path short, to another. */
function isBindable(bind: BindAddress): boolean {
  return bind.kind === 'unix' ? socketPathError(bind.path) === null : bind.port === 0 || isPort(bind.port);
}

/** What was asked for, and the real path where a link led there: a config has to permit both. */
function bindsOf({ bind, key }: Bound): readonly BindAddress[] {
  return bind.kind === 'unix' && key.kind === 'unix' && key.path !== bind.path ? [bind, key] : [bind];
}

function keyOf(bind: BindAddress): string {
  return bind.kind === 'tcp' ? `tcp ${bind.port} ${bind.host}` : `unix ${bind.path}`;
}

function codeOf(reason: Extract<Answer, { ok: false }>['reason']): RefusalCode {
  switch (reason) {
    case 'LIMIT':
      return 'FORWARD_LIMIT';
    case 'TAKEN':
    case 'NO_FREE_PORT':
      return 'PORT_TAKEN';
    case 'DRAINING':
      return 'DRAINING';
  }
}

function refused(code: RefusalCode, detail?: string): ForwardOutcome {
  return { ok: false, ...refusal(code, detail) };
}
