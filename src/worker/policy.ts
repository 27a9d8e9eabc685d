/** POLICY: may this login open, dial or bind what it asks for?
 *  Owns nothing. Pure: the resolved address, the server's own listeners and the machine's addresses are arguments. The
 *  order is mayOpen, then the look-up, then mayDial for every candidate; only an address that passed may be dialled.
 *  The user's patterns decide first, then every narrowing of the login (its key, its certificate, its webhook): all of
 *  them have to say yes. */
import { type Address, isOwnListener, type ProtectedRange, parseHost, protectedRange } from '../shared/address.js';
import { ALLOW, refuse, type Verdict } from '../shared/errors.js';
import type { BindAddress, Destination, TcpDestination } from '../shared/identity.js';
import type { ListenerAddress } from '../shared/ipc.js';
import { type KeyPermit, permitsListen, permitsOpen } from '../shared/key_permit.js';
import {
  commonRanges,
  coversListen,
  coversOpen,
  coversPath,
  type ListenPattern,
  listenPortRanges,
  mayOpenName,
  type OpenPattern,
  parseBindHost,
} from '../shared/patterns.js';
import { isPort, type PortRange } from '../shared/port.js';
import { isOwnSocketPath, socketPathError } from '../shared/socket_path.js';

/** What a login may do. Empty lists allow nothing. */
export interface Rights {
  readonly permitOpen: readonly OpenPattern[];
  readonly permitListen: readonly ListenPattern[];
  /** Each of them has to say yes too. */
  readonly narrowings?: readonly Narrowing[];
}

/** One more condition beside the user's patterns. `where` names what set it, for the log: `FILE:LINE`. */
export type Narrowing = KeyNarrowing | PatternNarrowing;

/** What a webhook leaves, in the patterns of the config. */
export interface PatternNarrowing {
  readonly kind: 'patterns';
  /** Null: not restricted. */
  readonly permitOpen: readonly OpenPattern[] | null;
  readonly permitListen: readonly ListenPattern[] | null;
  readonly where: string;
}

/** What the options of an authorized_keys line or a certificate leave, by sshd's own rules. */
export interface KeyNarrowing {
  readonly kind: 'key';
  readonly portForwarding: boolean;
  /** Null: not restricted. */
  readonly permitOpen: readonly KeyPermit[] | null;
  readonly permitListen: readonly KeyPermit[] | null;
  readonly where: string;
  /** By which the line is found again when its file has changed: its options hold as they are then. */
  readonly line?: KeyUse;
}

/** What one of the conditions says to a request. */
export interface Said {
  /** Null: the user's own patterns. */
  readonly by: Narrowing | null;
  readonly verdict: Verdict;
}
/** For who wants to know why: told what every condition says, also those that come after a no. The verdict is the same. */
export type Hear = (said: Said) => void;

/** A login by a key of the config, as far as it says which of several lines with that key held. */
export interface KeyUse {
  /** Whose key it is, by the name that the peer gave. */
  readonly username: string;
  readonly fingerprint: string;
  /** The peer's, for `from=`. */
  readonly address: string;
  /** Wall clock, for `expiry-time`. */
  readonly atMs: number;
  /** Where it was a certificate: the whole of it. Its line is that of its CA. */
  readonly certificate?: Buffer;
}

/** The check before any look-up. For a name, yes means "perhaps": mayDial decides on each address. For a path, yes is
 *  about the text, and mayDialPath decides on the real path.
 *  @returns codes BAD_ADDRESS, PROTECTED_DESTINATION, POLICY_DENIED */
export function mayOpen(rights: Rights, destination: Destination, hear?: Hear): Verdict {
  const ask = (narrowing: Narrowing): Verdict =>
    narrowing.kind === 'key' ? openByKey(narrowing, destination) : openByPatterns(narrowing, destination);
  return all(openByPatterns(rights, destination), rights, ask, hear);
}

/** What may be opened, by patterns alone. */
type OpenPatterns = { readonly permitOpen: readonly OpenPattern[] | null };
type ListenPatterns = { readonly permitListen: readonly ListenPattern[] | null };

function openByPatterns({ permitOpen }: OpenPatterns, destination: Destination): Verdict {
  if (destination.kind === 'unix') {
    if (socketPathError(destination.path) !== null) return refuse('BAD_ADDRESS');
    return permitOpen === null || coversPath(permitOpen, destination.path) ? ALLOW : refuse('POLICY_DENIED');
  }
  const host = parseHost(destination.host);
  if (host.kind === 'invalid' || !isPort(destination.port)) return refuse('BAD_ADDRESS');
  if (permitOpen === null || mayOpenName(permitOpen, destination.host, destination.port)) return ALLOW;
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
  hear?: Hear,
): Verdict {
  const { port } = destination;
  if (!isPort(port)) return refuse('BAD_ADDRESS');
  if (isOwnListener(candidate, port, ownListeners, interfaceAddresses)) return refuse('OWN_LISTENER');
  return dialBy(rights, destination, candidate, hear);
}

function dialBy(rights: Rights, destination: TcpDestination, candidate: Address, hear?: Hear): Verdict {
  const ask = (narrowing: Narrowing): Verdict =>
    narrowing.kind === 'key' ? openByKey(narrowing, destination) : dialByPatterns(narrowing, destination, candidate);
  return all(dialByPatterns(rights, destination, candidate), rights, ask, hear);
}

function dialByPatterns({ permitOpen }: OpenPatterns, { host, port }: TcpDestination, candidate: Address): Verdict {
  if (permitOpen === null || coversOpen(permitOpen, host, candidate, port)) return ALLOW;
  return refuse(denialFor(candidate));
}

/** The check of a socket's real path, with every symbolic link resolved: a tenant may own the folder and put a link to
 *  another socket there. Price: patterns have to name real paths too (/run/…, not /var/run/…).
 *  @returns codes BAD_ADDRESS, OWN_LISTENER, POLICY_DENIED */
export function mayDialPath(
  rights: Rights,
  realPath: string,
  ownListeners: readonly ListenerAddress[],
  hear?: Hear,
): Verdict {
  if (socketPathError(realPath) !== null) return refuse('BAD_ADDRESS');
  const own = ownListeners.some((listener) => listener.kind === 'unix' && isOwnSocketPath(listener.path, realPath));
  return own ? refuse('OWN_LISTENER') : mayOpen(rights, { kind: 'unix', path: realPath }, hear);
}

/** Would these rights still let it be opened? `address`: the one that was dialled; null where there is none, and then the
 *  text decides. Listeners of ours are no matter here: nothing that leads to one was ever opened. */
export function mayStayOpen(rights: Rights, destination: Destination, address: Address | null): boolean {
  if (!mayOpen(rights, destination).allow) return false;
  if (destination.kind === 'unix' || address === null) return true;
  return dialBy(rights, destination, address).allow;
}

/** May this be bound? Port 0 asks for a free one of `bindRanges` (RFC 4254 §7.1).
 *  @returns codes BAD_ADDRESS, POLICY_DENIED */
export function mayListen(rights: Rights, bind: BindAddress, hear?: Hear): Verdict {
  const ask = (narrowing: Narrowing): Verdict =>
    narrowing.kind === 'key' ? listenByKey(narrowing, bind) : listenByPatterns(narrowing, bind);
  const verdict = all(listenByPatterns(rights, bind), rights, ask, hear);
  if (!verdict.allow || bind.kind === 'unix' || bind.port !== 0) return verdict;
  return bindRanges(rights, bind.host).length > 0
    ? verdict
    : refuse('POLICY_DENIED', 'no port that all of them permit');
}

/** The ports among which port 0 is chosen for a bind on `host`, sorted. */
export function bindRanges(rights: Rights, host: string): readonly PortRange[] {
  let ranges: readonly PortRange[] = listenPortRanges(rights.permitListen, host);
  // A permitlisten that names a port does not cover port 0, so that those of keys have nothing to say here.
  for (const narrowing of rights.narrowings ?? [])
    if (narrowing.kind === 'patterns' && narrowing.permitListen !== null)
      ranges = commonRanges(ranges, listenPortRanges(narrowing.permitListen, host));
  return ranges;
}

function listenByPatterns({ permitListen }: ListenPatterns, bind: BindAddress): Verdict {
  if (bind.kind === 'unix') {
    if (socketPathError(bind.path) !== null) return refuse('BAD_ADDRESS');
    return permitListen === null || coversPath(permitListen, bind.path) ? ALLOW : refuse('POLICY_DENIED');
  }
  const host = parseBindHost(bind.host);
  if (host.kind === 'invalid' || !(bind.port === 0 || isPort(bind.port))) return refuse('BAD_ADDRESS');
  // The kernel lets a stream socket bind a multicast address, where nobody can reach it.
  if (host.kind === 'address' && NOT_BINDABLE.has(protectedRange(host.address))) return refuse('BAD_ADDRESS');
  const covered = permitListen === null || coversListen(permitListen, bind.host, bind.port);
  return covered ? ALLOW : refuse('POLICY_DENIED');
}

/** The verdict of the patterns, where it is no; else that of the first narrowing that says no. */
function all(
  byPatterns: Verdict,
  { narrowings }: Rights,
  ask: (narrowing: Narrowing) => Verdict,
  hear: Hear | undefined,
): Verdict {
  hear?.({ by: null, verdict: byPatterns });
  let verdict = byPatterns;
  for (const narrowing of narrowings ?? []) {
    if (!verdict.allow && hear === undefined) return verdict;
    const said = ask(narrowing);
    hear?.({ by: narrowing, verdict: said });
    if (verdict.allow && !said.allow) verdict = refuse(said.code, said.detail ?? narrowing.where);
  }
  return verdict;
}

/** sshd leaves sockets open to a key with `permitopen`. Here they are closed to it: whoever lists what a key may open does not
 *  mean every socket beside it. */
function openByKey({ portForwarding, permitOpen, where }: KeyNarrowing, destination: Destination): Verdict {
  if (!portForwarding) return refuse('POLICY_DENIED', `${where}: no port forwarding`);
  if (permitOpen === null) return ALLOW;
  const covered =
    destination.kind === 'tcp' && permitOpen.some((permit) => permitsOpen(permit, destination.host, destination.port));
  return covered ? ALLOW : refuse('POLICY_DENIED', `${where}: permitopen`);
}

/** The same for sockets. */
function listenByKey({ portForwarding, permitListen, where }: KeyNarrowing, bind: BindAddress): Verdict {
  if (!portForwarding) return refuse('POLICY_DENIED', `${where}: no port forwarding`);
  if (permitListen === null) return ALLOW;
  const covered = bind.kind === 'tcp' && permitListen.some((permit) => permitsListen(permit, bind.host, bind.port));
  return covered ? ALLOW : refuse('POLICY_DENIED', `${where}: permitlisten`);
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
