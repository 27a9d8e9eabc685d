/** POLICY: may this login open, dial or bind what it asks for?
 *  Owns nothing. Pure: the resolved address, the server's own listeners and the machine's addresses are arguments. The
 *  order is mayOpen, then the look-up, then mayDial for every candidate; only an address that passed may be dialled. */
import { type Address, isOwnListener, type ProtectedRange, parseHost, protectedRange } from '../shared/address.js';
import { ALLOW, refuse, type Verdict } from '../shared/errors.js';
import type { BindAddress, Destination, TcpDestination } from '../shared/identity.js';
import type { ListenerAddress } from '../shared/ipc.js';
import {
  coversListen,
  coversOpen,
  coversPath,
  type ListenPattern,
  mayOpenName,
  type OpenPattern,
  parseBindHost,
} from '../shared/patterns.js';
import { isPort } from '../shared/port.js';
import { socketPathError } from '../shared/socket_path.js';

/** What a login may do. Empty lists allow nothing. */
export interface Rights {
  readonly permitOpen: readonly OpenPattern[];
  readonly permitListen: readonly ListenPattern[];
}

/** The check before any look-up. For a name, yes means "perhaps": mayDial decides on each address. For a path, yes is
 *  about the text, and mayDialPath decides on the real path.
 *  @returns codes BAD_ADDRESS, PROTECTED_DESTINATION, POLICY_DENIED */
export function mayOpen(rights: Rights, destination: Destination): Verdict {
  if (destination.kind === 'unix') {
    if (socketPathError(destination.path) !== null) return refuse('BAD_ADDRESS');
    return coversPath(rights.permitOpen, destination.path) ? ALLOW : refuse('POLICY_DENIED');
  }
  const host = parseHost(destination.host);
  if (host.kind === 'invalid' || !isPort(destination.port)) return refuse('BAD_ADDRESS');
  if (mayOpenName(rights.permitOpen, destination.host, destination.port)) return ALLOW;
  return host.kind === 'address' ? refuse(denialFor(host.address)) : refuse('POLICY_DENIED');
}

/** The check of one candidate address that the destination's host led to. Made on the address and not on the name: a
 *  name can change between the check and the connect.
 *  @param interfaceAddresses all addresses of this machine's interfaces
 *  @returns codes BAD_ADDRESS, OWN_LISTENER (whatever the rights say), PROTECTED_DESTINATION, POLICY_DENIED */
export function mayDial(
  rights: Rights,
  destination: TcpDestination,
  candidate: Address,
  ownListeners: readonly ListenerAddress[],
  interfaceAddresses: readonly string[],
): Verdict {
  const { host, port } = destination;
  if (!isPort(port)) return refuse('BAD_ADDRESS');
  if (isOwnListener(candidate, port, ownListeners, interfaceAddresses)) return refuse('OWN_LISTENER');
  return coversOpen(rights.permitOpen, host, candidate, port) ? ALLOW : refuse(denialFor(candidate));
}

/** The check of a socket's real path, with every symbolic link resolved: a tenant may own the folder and put a link to
 *  another socket there. Price: patterns have to name real paths too (/run/…, not /var/run/…).
 *  @returns codes BAD_ADDRESS, OWN_LISTENER, POLICY_DENIED */
export function mayDialPath(rights: Rights, realPath: string, ownListeners: readonly ListenerAddress[]): Verdict {
  if (socketPathError(realPath) !== null) return refuse('BAD_ADDRESS');
  const own = ownListeners.some((listener) => listener.kind === 'unix' && listener.path === realPath);
  if (own) return refuse('OWN_LISTENER');
  return coversPath(rights.permitOpen, realPath) ? ALLOW : refuse('POLICY_DENIED');
}

/** Would these rights still let it be opened? `address`: the one that was dialled; null where there is none, and then the
 *  text decides. Listeners of ours are no matter here: nothing that leads to one was ever opened. */
export function mayStayOpen(rights: Rights, destination: Destination, address: Address | null): boolean {
  if (!mayOpen(rights, destination).allow) return false;
  if (destination.kind === 'unix' || address === null) return true;
  return coversOpen(rights.permitOpen, destination.host, address, destination.port);
}

/** May this be bound? Port 0 asks for a free one of `listenPortRanges` (RFC 4254 §7.1).
 *  @returns codes BAD_ADDRESS, POLICY_DENIED */
export function mayListen(rights: Rights, bind: BindAddress): Verdict {
  if (bind.kind === 'unix') {
    if (socketPathError(bind.path) !== null) return refuse('BAD_ADDRESS');
    return coversPath(rights.permitListen, bind.path) ? ALLOW : refuse('POLICY_DENIED');
  }
  const host = parseBindHost(bind.host);
  if (host.kind === 'invalid' || !(bind.port === 0 || isPort(bind.port))) return refuse('BAD_ADDRESS');
  // The kernel lets a stream socket bind a multicast address, where nobody can reach it.
  if (host.kind === 'address' && NOT_BINDABLE.has(protectedRange(host.address))) return refuse('BAD_ADDRESS');
  return coversListen(rights.permitListen, bind.host, bind.port) ? ALLOW : refuse('POLICY_DENIED');
}

const NOT_BINDABLE: ReadonlySet<ProtectedRange | null> = new Set<ProtectedRange>([
  'multicast',
  'broadcast',
  'unspecified', // 0.0.0.1 and the like; 0.0.0.0 and :: are bind hosts of their own kind
]);

/** Told apart for our log only: the peer reads the same text for both. */
function denialFor(address: Address): 'PROTECTED_DESTINATION' | 'POLICY_DENIED' {
  return protectedRange(address) === null ? 'POLICY_DENIED' : 'PROTECTED_DESTINATION';
}
