/** PEER OPENS: the channels that the peer opens (RFC 4254 §5.1): sessions, and tunnels to where the policy lets it.
 *  Owns what may still be opened: nothing new in a drain, no session after no-more-sessions@openssh.com. Every open is confirmed
 *  or refused; whatever is under way when the connection ends is undone. */

import { parseAddress } from '../../shared/address.js';
import type { Ends } from '../../shared/ending.js';
import { REFUSALS, type RefusalCode } from '../../shared/errors.js';
import type { ChannelKind, RefusalNews } from '../../shared/events.js';
import { unconnectedSocket } from '../../shared/handles.js';
import type { Destination, Identity, Origin, Peer } from '../../shared/identity.js';
import { safeText } from '../../shared/log.js';
import { MSG, message, WireReader } from '../../shared/protocol.js';
import { ChannelRecord, type ChannelStory } from '../channel/record.js';
import type { ChannelTable, PeerSide, Reservation } from '../channel/table.js';
import { MAX_PACKET_BYTES, MIN_PEER_PACKET_BYTES } from '../channel/window.js';
import { type DirectOutcome, type DirectPolicy, openDirect } from '../forward/direct.js';
import { discardTarget, joinInside } from '../forward/inside.js';
import type { Resolver } from '../forward/resolve.js';
import { Tunnel, type TunnelOptions } from '../forward/tunnel.js';
import { storyOfDirect } from './names.js';
import type { Session } from './session.js';
import { SessionChannel, type SessionOptions } from './session_channel.js';

/** What a session asks of the policy. */
export interface SessionPolicy {
  /** The session is the handler's. Never throws: a handler that does, now or later, is told by `failed`. */
  onSession(session: Session, signal: AbortSignal, failed: (detail: string) => void): void;
}

/** How often the user may open, and fail to reach what was to be opened. */
export interface OpenBudget {
  /** May one more be opened? Yes counts it. */
  open(): 'OPEN_RATE' | 'OPEN_FAILURES' | null;
  failed(): void;
}

export interface PeerOpensOptions {
  readonly channels: ChannelTable;
  readonly policy: DirectPolicy & SessionPolicy;
  readonly resolver: Resolver;
  readonly rates: OpenBudget;
  readonly identity: Identity;
  readonly peer: Peer;
  readonly connectMs: number;
  readonly tunnels: TunnelOptions;
  /** The connection's end. */
  readonly ending: Ends;
  readonly send: (payload: Buffer) => void;
  readonly onRefused: (event: RefusalNews) => void;
  readonly violated: (what: string) => void;
  /** Ends the connection for a fault of ours. */
  readonly fault: (thrown: unknown) => void;
}

export class PeerOpens {
  readonly #options: PeerOpensOptions;
  /** Null before the first session: most who come for tunnels never open one. */
  #sessions: SessionOptions | null = null;
  #noMoreSessions = false;
  #draining = false;
  /** Changes of the config since the login. */
  #reviews = 0;

  constructor(options: PeerOpensOptions) {
    this.#options = options;
  }

  drain(): void {
    this.#draining = true;
  }
  /** The config has changed: what is under way is asked about once more. */
  review(): void {
    this.#reviews++;
  }
  noMoreSessions(): void {
    this.#noMoreSessions = true;
  }

  onOpen(payload: Buffer): void {
    const { violated } = this.#options;
    const reader = new WireReader(payload, 1);
    const type = reader.text();
    const peer: PeerSide = { id: reader.uint32(), windowBytes: reader.uint32(), maxPacketBytes: reader.uint32() };
    if (!reader.ok) return violated('malformed channel open');
    // A packet size of 0 has sent servers into endless loops; a few bytes cost more CPU than they carry.
    if (peer.maxPacketBytes < MIN_PEER_PACKET_BYTES)
      return this.#refuse(peer.id, 'RESOURCE_SHORTAGE', { kind: 'unknown', destination: type });
    switch (type) {
      case 'session':
        return this.#openSession(peer);
      case 'direct-tcpip': {
        const destination: Destination = { kind: 'tcp', host: reader.text(), port: reader.uint32() };
        const origin: Origin = { host: reader.text(), port: reader.uint32() };
        if (!reader.ok) return violated('malformed direct-tcpip');
        return this.#startDirect(peer, origin, destination);
      }
      case 'direct-streamlocal@openssh.com': {
        const destination: Destination = { kind: 'unix', path: reader.text() };
        if (!reader.ok) return violated('malformed direct-streamlocal');
        return this.#startDirect(peer, { host: '', port: 0 }, destination);
      }
      default:
        return this.#refuse(peer.id, 'UNKNOWN_TYPE', { kind: 'unknown', destination: type });
    }
  }

  #openSession(peer: PeerSide): void {
    const { channels, ending } = this.#options;
    if (this.#noMoreSessions) return this.#refuse(peer.id, 'POLICY_DENIED', SESSION);
    if (this.#draining) return this.#refuse(peer.id, 'DRAINING', SESSION);
    const reservation = this.#reserve();
    if (typeof reservation === 'string') return this.#refuse(peer.id, reservation, SESSION);
    const confirmedMs = this.#confirm(peer.id, reservation);
    if (ending.hasEnded) return;
    this.#sessions ??= this.#sessionOptions();
    new SessionChannel(channels.open(reservation, peer, confirmedMs), this.#sessions);
  }

  #sessionOptions(): SessionOptions {
    const { policy, ending, tunnels } = this.#options;
    return {
      ...tunnels,
      onSession: (session, failed) => policy.onSession(session, ending.signal, failed),
      onRefused: (what, reason, detail) =>
        this.#told(reason, { kind: 'session', destination: safeText(`session: ${what}`) }, detail),
    };
  }

  /** A fault of ours must not be an unhandled rejection, which would end all connections of the process. */
  #startDirect(peer: PeerSide, origin: Origin, destination: Destination): void {
    this.#openDirect(peer, origin, destination).catch((thrown: unknown) => this.#options.fault(thrown));
  }

  async #openDirect(peer: PeerSide, origin: Origin, destination: Destination): Promise<void> {
    const { channels, policy, resolver, identity, connectMs, tunnels, ending } = this.#options;
    const story = storyOfDirect(destination);
    if (this.#draining) return this.#refuse(peer.id, 'DRAINING', story);
    const reservation = this.#reserve();
    if (typeof reservation === 'string') return this.#refuse(peer.id, reservation, story);
    const askedMs = tunnels.now();
    const tunnel = new Tunnel(story, tunnels);
    const reviews = this.#reviews;
    const outcome = await openDirect(origin, destination, {
      policy,
      resolver,
      owner: identity.user,
      connectTimeoutMs: connectMs,
      signal: ending.signal,
      createSocket: () => unconnectedSocket(tunnel.onread),
    });
    // Everything may have changed during the await: the peer may be gone, the target may have hung up already.
    if (ending.hasEnded) return discard(outcome);
    if (!outcome.ok) {
      channels.cancel(reservation);
      if (isUnreachable(outcome.code)) this.#options.rates.failed();
      return this.#refuse(peer.id, outcome.code, story, outcome.detail);
    }
    if (reviews !== this.#reviews && !this.#stillMay(destination, outcome)) {
      discard(outcome);
      channels.cancel(reservation);
      return this.#refuse(peer.id, 'POLICY_DENIED', story);
    }
    const confirmedMs = this.#confirm(peer.id, reservation);
    // The confirmation itself may have been one message too many for a peer that does not read.
    if (ending.hasEnded) return discard(outcome);
    const channel = channels.open(reservation, peer, confirmedMs);
    if ('socket' in outcome) {
      const needed = leadsTo(destination, outcome.realPath);
      const rights = needed.map((destination) => ({ kind: 'open', destination }) as const);
      return tunnel.start(channel, outcome.socket, rights);
    }
    const record = new ChannelRecord(channel, story, tunnels, askedMs);
    const facts = { identity, peer: this.#options.peer, origin, destination };
    joinInside(channel, facts, outcome.target, {
      timeouts: tunnels.timeouts,
      lingering: tunnels.lingering,
      onEnd: (end, detail) => record.closed(end, detail),
    });
  }

  /** Permitted when it was asked for, which was before the config changed. */
  #stillMay(destination: Destination, outcome: DirectOutcome): boolean {
    const { policy } = this.#options;
    if (!outcome.ok || !('socket' in outcome)) return true; // the hooks' own
    if (destination.kind === 'unix')
      return [destination.path, outcome.realPath ?? destination.path].every((path) => policy.checkDialPath(path).allow);
    const address = parseAddress(outcome.socket.remoteAddress ?? '');
    return address === null || policy.checkDial(destination, address).allow; // null: it has hung up
  }

  #reserve(): Reservation | RefusalCode {
    const { channels, rates } = this.#options;
    return rates.open() ?? channels.reserve() ?? channels.shortage;
  }

  /** @returns when, in monotonic milliseconds */
  #confirm(peerId: number, { id, openBytes }: Reservation): number {
    const nowMs = this.#options.channels.now();
    this.#options.send(message(MSG.CHANNEL_OPEN_CONFIRMATION, peerId, id, openBytes, MAX_PACKET_BYTES));
    return nowMs;
  }

  #refuse(peerId: number, code: RefusalCode, what: Refused, detail?: string): void {
    const { reason, text } = REFUSALS[code];
    this.#options.send(message(MSG.CHANNEL_OPEN_FAILURE, peerId, reason, text, ''));
    this.#told(code, { kind: what.kind, destination: safeText(what.destination) }, detail);
  }

  /** Text of a peer's in `destination` has passed safeText. */
  #told(reason: RefusalCode, what: Refused, detail?: string): void {
    this.#options.onRefused({
      event: 'channel.refused',
      ...what,
      reason,
      ...(detail === undefined ? {} : { detail }),
    });
  }
}

/** What was asked for, and the real path where a link led there. */
function leadsTo(asked: Destination, realPath: string | undefined): readonly Destination[] {
  return realPath === undefined ? [asked] : [asked, { kind: 'unix', path: realPath }];
}

/** Nobody is there to have it any more. */
function discard(outcome: DirectOutcome): void {
  if (!outcome.ok) return;
  if ('socket' in outcome) outcome.socket.destroy();
  else discardTarget(outcome.target);
}

/** What was refused; the destination may be the peer's own text. */
interface Refused {
  readonly kind: ChannelKind | 'unknown';
  readonly destination: string;
}

/** What a scan of ports or names meets. A refusal of ours reached nobody. */
function isUnreachable(code: RefusalCode): boolean {
  return code.startsWith('CONNECT_') || code.startsWith('NAME_');
}

const SESSION: ChannelStory = { kind: 'session', destination: 'session' };
