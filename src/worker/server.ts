/** SERVER: the hooks of a tunnel server. Who may log in, what may be opened, what may be bound.
 *  Owns nothing: a subclass does. Every default denies logins; in a plain TunnelServer the hooks alone decide. The
 *  config-driven server (configured.ts) is such a subclass, and uses no other way in. */
import type { Address } from '../shared/address.js';
import { SERVER_KEYS } from '../shared/config.js';
import type { Verdict } from '../shared/errors.js';
import type {
  AuthMethod,
  BindAddress,
  Destination,
  Identity,
  Origin,
  Peer,
  PublicKeyInfo,
  TcpDestination,
} from '../shared/identity.js';
import { MAX_PORT, type PortRange } from '../shared/port.js';
import type { AuthHooks } from './auth/hooks.js';

/** What one identity may have at a time. */
export interface IdentityLimits {
  /** SSH connections of the user, over all workers. */
  readonly connections: number;
  /** Channels per connection. */
  readonly channels: number;
  /** Bound forwards of the user, over all workers. */
  readonly forwards: number;
}

/** A hook's answer: yes, no, or a no that names its reason for the log and for the RFC 4254 §5.1 code. */
export type HookVerdict = boolean | Verdict;

/** Everything that a connection asks of its server. All asynchronous hooks have a deadline; one that throws, hangs or
 *  answers nonsense denies. `signal` fires when the peer leaves. */
export interface ServerHooks extends AuthHooks {
  /** May this identity open a tunnel there? For direct-tcpip (RFC 4254 §7.2) and direct-streamlocal@openssh.com, before
   *  the host is resolved. */
  checkDirect(
    origin: Origin,
    destination: Destination,
    identity: Identity,
    signal: AbortSignal,
  ): HookVerdict | Promise<HookVerdict>;
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
  /** Sent to whoever asks for a shell or a command. */
  readonly noShell: string;
}

export class TunnelServer implements ServerHooks {
  /** Default: the text that a config without `noShell` gives. */
  readonly noShell: string = SERVER_KEYS.noShell.default;

  /** Default: public key and password. The list must not depend on whether the user exists. */
  getAllowedAuths(_username: string): readonly AuthMethod[] | Promise<readonly AuthMethod[]> {
    return ['publickey', 'password'];
  }
  /** Default: nobody. */
  checkAuthPassword(
    _username: string,
    _password: string,
    _peer: Peer,
    _signal: AbortSignal,
  ): boolean | Identity | Promise<boolean | Identity> {
    return false;
  }
  /** Default: nobody. Called for the offer and again for the verified signature; only the second answer logs in. */
  checkAuthPublicKey(
    _username: string,
    _key: PublicKeyInfo,
    _peer: Peer,
    _signal: AbortSignal,
  ): boolean | Identity | Promise<boolean | Identity> {
    return false;
  }
  /** Default: anything. */
  checkDirect(
    _origin: Origin,
    _destination: Destination,
    _identity: Identity,
    _signal: AbortSignal,
  ): HookVerdict | Promise<HookVerdict> {
    return true;
  }
  /** Default: any address. */
  checkDial(_destination: TcpDestination, _address: Address, _identity: Identity): HookVerdict {
    return true;
  }
  /** Default: any socket. */
  checkDialPath(_realPath: string, _identity: Identity): HookVerdict {
    return true;
  }
  /** Default: anything. */
  checkForwardAddress(
    _address: BindAddress,
    _identity: Identity,
    _signal: AbortSignal,
  ): HookVerdict | Promise<HookVerdict> {
    return true;
  }
  /** Default: every port that needs no privilege. */
  portRanges(_host: string, _identity: Identity): readonly PortRange[] {
    return [[1024, MAX_PORT]];
  }
  /** Default: no limit per user; those of a connection hold in any case. */
  limits(_identity: Identity): IdentityLimits {
    const none = Number.MAX_SAFE_INTEGER;
    return { connections: none, channels: none, forwards: none };
  }
}
