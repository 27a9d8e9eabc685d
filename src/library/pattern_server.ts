/** PATTERN SERVER: a TunnelServer whose forwards are decided by patterns, with everything that the config-driven server
 *  guards against: protected addresses in every spelling, names that lead there, the server's own listeners.
 *  Owns a short memory of the machine's addresses. */
import { networkInterfaces } from 'node:os';
import type { Address } from '../shared/address.js';
import { Refused, type Verdict } from '../shared/errors.js';
import type { BindAddress, Destination, Identity, Origin, TcpDestination } from '../shared/identity.js';
import type { PortRange } from '../shared/port.js';
import { grantOf } from '../worker/auth/grant.js';
import { bindRanges, mayDial, mayDialPath, mayListen, mayOpen, type Narrowing, type Rights } from '../worker/policy.js';
import type { DirectAnswer, HookVerdict } from '../worker/server.js';
import { Rules, rightsOf } from './rules.js';
import { SERVED } from './served.js';
import { TunnelServer } from './tunnel_server.js';

const NOTHING = new Rules({});
/** On a PatternServer: what narrows an identity's rules. */
export const NARROWINGS = Symbol.for('sallyport.narrowings');
/** Interfaces come and go (a VPN, a container's bridge); asking the kernel costs a few microseconds. */
const INTERFACES_FRESH_MS = 5_000;

/** Override `rules` to say what each identity may open and bind. The hooks say true, or throw `Refused`: an override that adds a
 *  decision of its own asks `super`'s first, and cannot lose its no.
 *
 *  @example
 *  override checkForwardAddress(address: BindAddress, identity: Identity, signal: AbortSignal) {
 *    return super.checkForwardAddress(address, identity, signal) && identity.user !== 'mallory';
 *  }
 */
export class PatternServer<I extends Identity = Identity> extends TunnelServer<I> {
  #interfaces: readonly string[] = [];
  #interfacesAtMs = Number.NEGATIVE_INFINITY;

  /** What this identity may open and bind. Asked for each decision, so keep the `Rules` and do not make them here.
   *  Default: nothing */
  rules(identity: I): Rules;
  rules(): Rules {
    return NOTHING;
  }

  /** What the credentials of a login leave of the rules. Beside `rules` and not in it: an override of that may widen what the
   *  user may do, and not what the key, the certificate or the webhook said.
   *  @internal */
  [NARROWINGS](identity: I): readonly Narrowing[] {
    return grantOf(identity).narrowings;
  }

  #rights(identity: I): Rights {
    return { ...rightsOf(this.rules(identity)), narrowings: this[NARROWINGS](identity) };
  }

  override checkDirect(
    _origin: Origin,
    destination: Destination,
    identity: I,
    _signal: AbortSignal,
  ): DirectAnswer | Promise<DirectAnswer> {
    return orThrow(mayOpen(this.#rights(identity), destination));
  }

  override checkDial(destination: TcpDestination, address: Address, identity: I): HookVerdict {
    return orThrow(
      mayDial(this.#rights(identity), destination, address, this[SERVED].listeners(), this.#interfaceAddresses()),
    );
  }

  override checkDialPath(realPath: string, identity: I): HookVerdict {
    return orThrow(mayDialPath(this.#rights(identity), realPath, this[SERVED].listeners()));
  }

  override checkForwardAddress(
    address: BindAddress,
    identity: I,
    _signal: AbortSignal,
  ): HookVerdict | Promise<HookVerdict> {
    return orThrow(mayListen(this.#rights(identity), address));
  }

  override portRanges(host: string, identity: I): readonly PortRange[] {
    return bindRanges(this.#rights(identity), host);
  }

  #interfaceAddresses(): readonly string[] {
    const nowMs = performance.now();
    if (nowMs - this.#interfacesAtMs > INTERFACES_FRESH_MS) {
      this.#interfacesAtMs = nowMs;
      this.#interfaces = Object.values(networkInterfaces()).flatMap((list) =>
        (list ?? []).map(({ address }) => address),
      );
    }
    return this.#interfaces;
  }
}

function orThrow(verdict: Verdict): true {
  if (!verdict.allow) throw new Refused(verdict);
  return true;
}
