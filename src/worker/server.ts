/** SERVER: everything that a connection asks of its server. Who may log in, what may be opened, what may be bound, who
 *  serves a session.
 *  Owns nothing: types alone. The class with the defaults, which users extend, is the library's TunnelServer. */
import type { Address } from '../shared/address.js';
import type { Verdict } from '../shared/errors.js';
import type { BindAddress, Destination, Identity, Origin, Peer, TcpDestination } from '../shared/identity.js';
import type { PortRange } from '../shared/port.js';
import type { AuthHooks, LoginStep } from './auth/hooks.js';
import type { ChangedLogins } from './auth/login.js';
import type { Session } from './connection/session.js';
import type { Withdrawn } from './connection/surroundings.js';
import type { MovedEnd } from './expiry.js';
import type { InProcessTarget } from './forward/inside.js';

/** What one identity may have at a time. Whole numbers from 0, or Infinity. */
export interface IdentityLimits {
  /** SSH connections of the user, over all workers. */
  readonly connections: number;
  /** Channels per connection. */
  readonly channels: number;
  /** Bound forwards of the user, over all workers. */
  readonly forwards: number;
  /** Bytes per second of the user in channels, each direction for itself, over all workers; at least 1. Left out: no limit.
   *  What the last login said holds for all of the user's connections. */
  readonly bytesPerSecond?: number;
  /** Bytes that may wait in memory for the user's connections, in each worker. Default, and at most: half of
   *  `limits.memoryPerWorker`. */
  readonly memoryBytes?: number;
  /** Channels that the user may open a second in each worker (twice as many at once), and a minute those whose destination
   *  cannot be reached; at least 1. Left out: no limit. */
  readonly opensPerSecond?: number;
  readonly failedOpensPerMinute?: number;
  /** The connection is ended then (`EXPIRED`): milliseconds since 1970, as JavaScript's dates have them. Left out, or Infinity:
   *  never. A clock that is set back does not prolong it. */
  readonly expiresAtMs?: number;
}

/** What a reload of the config has taken away: what the config before it gave and this one does not. What hooks of the user's
 *  own gave is not among it. */
export interface Taken extends Withdrawn {
  /** How people log in, for those who are about to. */
  readonly logins: ChangedLogins;
  /** The name that a webhook has given: it is a user's of the config by now, whose rights and ports go by it. */
  name(identity: Identity): boolean;
  /** When the session of an identity ends by what the config said, and by what it says. */
  ends(identity: Identity): MovedEnd;
  /** The user, the key or the password behind a step of a login; or what lets this peer in with it. */
  login(step: LoginStep, peer: Peer): boolean;
}

/** A hook's answer: yes, no, or a no that names its reason for the log and for the RFC 4254 §5.1 code. */
export type HookVerdict = boolean | Verdict;

/** The same, or yes with a target in this program: the tunnel ends there, and nothing is resolved or dialled. */
export type DirectAnswer = HookVerdict | InProcessTarget;

/** Asynchronous hooks have a deadline (`timeouts.hook`), all but `onSession`; one that throws, hangs or answers nonsense denies, and the
 *  reason is logged. `signal` fires when the peer leaves or the deadline passes. */
export interface ServerHooks extends AuthHooks {
  /** May this identity open a tunnel there? For direct-tcpip (RFC 4254 §7.2) and direct-streamlocal@openssh.com, before
   *  the host is resolved. */
  checkDirect(
    origin: Origin,
    destination: Destination,
    identity: Identity,
    signal: AbortSignal,
  ): DirectAnswer | Promise<DirectAnswer>;
  /** May this very address be dialled for the destination? Asked for each address that the host resolved to. */
  checkDial(destination: TcpDestination, address: Address, identity: Identity): HookVerdict;
  /** May this socket be connected to? The path with every symbolic link resolved. */
  checkDialPath(realPath: string, identity: Identity): HookVerdict;
  /** May this identity bind that? For tcpip-forward (RFC 4254 §7.1) and streamlocal-forward@openssh.com. */
  checkForwardAddress(
    address: BindAddress,
    identity: Identity,
    signal: AbortSignal,
  ): HookVerdict | Promise<HookVerdict>;
  /** Ports among which port 0 is chosen for a bind on `host`. */
  portRanges(host: string, identity: Identity): readonly PortRange[];
  limits(identity: Identity): IdentityLimits;
  /** A `session` channel whose peer wants a shell, a command or a subsystem (RFC 4254 §6.5). The session is the handler's
   *  from here on; `signal` fires when the connection ends. */
  onSession(session: Session, identity: Identity, signal: AbortSignal): void | Promise<void>;
}
