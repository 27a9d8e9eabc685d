/** EXPLAIN OPEN: what the server would say to `-L`, `-D`, `-W` and `-J`, and each condition's part in it.
 *  Owns nothing. Asks policy.ts what the server's hooks ask it, in the same order; nothing is dialled. */
import { formatHostPort, isLocalhost, parseAddress, parseHost, protectedRange } from '../shared/address.js';
import type { Refusal, Verdict } from '../shared/errors.js';
import type { Destination, TcpDestination } from '../shared/identity.js';
import type { ListenerAddress } from '../shared/ipc.js';
import { permitsOpen } from '../shared/key_permit.js';
import { goesByAddress, type OpenPattern, patternForName, patternForOpen, patternForPath } from '../shared/patterns.js';
import { findSocket } from '../worker/forward/direct.js';
import { Resolver } from '../worker/forward/resolve.js';
import { mayDial, mayDialPath, mayOpen, type Rights, type Said } from '../worker/policy.js';
import { whyMissed } from './explain_miss.js';
import { byKey, byPatterns, type PatternNames } from './explain_said.js';
import { type Condition, type Decision, no, yes } from './explained.js';

export interface OpenWorld {
  readonly rights: Rights;
  readonly names: PatternNames;
  /** The server's own. */
  readonly listeners: readonly ListenerAddress[];
  /** Of this machine. */
  readonly interfaces: readonly string[];
  /** Null: no name is looked up. */
  readonly lookup: ((name: string) => Promise<readonly string[]>) | null;
}

export async function explainOpen(destination: Destination, world: OpenWorld): Promise<Decision> {
  const heard: Said[] = [];
  const verdict = mayOpen(world.rights, destination, (said) => heard.push(said));
  const conditions = heard.map((said) => conditionOf(said, destination, null, world));
  if (!verdict.allow) return refusedBy(verdict, conditions);
  return destination.kind === 'unix'
    ? await explainSocket(destination.path, conditions, world)
    : await explainHost(destination, conditions, world);
}

/** Each address of the host is asked about for itself; one that passes is enough. */
async function explainHost(
  destination: TcpDestination,
  byName: readonly Condition[],
  world: OpenWorld,
): Promise<Decision> {
  const { rights, lookup, listeners, interfaces } = world;
  let isUnknown = false;
  const unknown = async (): Promise<never> => {
    isUnknown = true;
    throw new Error('names are not looked up');
  };
  const resolution = await new Resolver({ lookup: lookup ?? unknown }).resolve(destination.host);
  if (isUnknown) return { outcome: 'depends', code: null, conditions: [...byName, DEPENDS] };
  if (!resolution.ok)
    return refusedBy({ code: resolution.code }, [...byName, no(null, `${destination.host} has no address`)]);
  const conditions: Condition[] = [];
  const refusals: Refusal[] = [];
  for (const address of resolution.addresses) {
    const heard: Said[] = [];
    const verdict = mayDial(rights, destination, address, listeners, interfaces, (said) => heard.push(said));
    const own = heard.map((said) => conditionOf(said, destination, address.text, world));
    if (!verdict.allow && heard.length === 0)
      own.push(no('listen', `${formatHostPort(address.text, destination.port)} is the server itself`));
    const isNamed = address.text !== destination.host;
    conditions.push(...own.map((condition) => (isNamed ? { ...condition, address: address.text } : condition)));
    if (!verdict.allow) refusals.push(verdict);
  }
  const [first] = refusals;
  return first !== undefined && refusals.length === resolution.addresses.length
    ? refusedBy(first, conditions)
    : { outcome: 'allowed', code: null, conditions };
}

const DEPENDS: Condition = {
  outcome: 'depends',
  where: null,
  says: 'depends on the address: names are looked up with --resolve, and each address is asked about',
};

/** Where the path's links lead counts too. */
async function explainSocket(path: string, byText: readonly Condition[], world: OpenWorld): Promise<Decision> {
  const found = await findSocket(path);
  if (!found.ok) {
    // What is not there yet is no matter of rights; a link that leads nowhere is.
    if (found.code === 'POLICY_DENIED') return refusedBy(found, [...byText, no(null, found.detail ?? path)]);
    return { outcome: 'allowed', code: null, conditions: [...byText, yes(null, `no such socket now: ${found.code}`)] };
  }
  const { realPath, close } = found.pinned;
  close();
  const heard: Said[] = [];
  const verdict = mayDialPath(world.rights, realPath, world.listeners, (said) => heard.push(said));
  const destination: Destination = { kind: 'unix', path: realPath };
  const conditions = heard.map((said) => conditionOf(said, destination, null, world));
  if (!verdict.allow && heard.length === 0) conditions.push(no('stateDir', `${realPath} is the server's own`));
  const led = realPath === path ? [] : [yes(null, `leads to ${realPath}`)];
  return verdict.allow
    ? { outcome: 'allowed', code: null, conditions: [...led, ...conditions] }
    : refusedBy(verdict, [...led, ...conditions]);
}

/** @param address null before the look-up */
function conditionOf(said: Said, destination: Destination, address: string | null, world: OpenWorld): Condition {
  const { by, verdict } = said;
  if (by === null || by.kind === 'patterns') {
    const patterns = (by ?? world.rights).permitOpen ?? [];
    const covering = patternOver(patterns, destination, address);
    const why = whyProtected(verdict, destination, address) ?? nearMiss(said, patterns, destination, world.names);
    const condition = byPatterns('permitOpen', said, covering, patterns, why, world.names);
    const isPerhaps = covering !== undefined && isLookedUp(destination) && address === null && goesByAddress(covering);
    return isPerhaps
      ? { ...condition, outcome: 'depends', says: `${condition.says}, if the name leads there` }
      : condition;
  }
  const permit =
    destination.kind === 'tcp'
      ? by.permitOpen?.find((candidate) => permitsOpen(candidate, destination.host, destination.port))
      : undefined;
  return byKey('permitopen', by, verdict, by.permitOpen, permit);
}

/** Is it looked up where it leads? */
function isLookedUp(destination: Destination): boolean {
  const host = destination.kind === 'tcp' ? parseHost(destination.host) : null;
  return host?.kind === 'name' && !isLocalhost(host.name);
}

function patternOver(
  patterns: readonly OpenPattern[],
  destination: Destination,
  address: string | null,
): OpenPattern | undefined {
  if (destination.kind === 'unix') return patternForPath(patterns, destination.path);
  const { host, port } = destination;
  const literal = address === null ? null : parseAddress(address);
  return literal === null ? patternForName(patterns, host, port) : patternForOpen(patterns, host, literal, port);
}

/** A pattern such as `*:*` may cover all but that. */
function whyProtected(verdict: Verdict, destination: Destination, address: string | null): string | null {
  if (verdict.allow || verdict.code !== 'PROTECTED_DESTINATION' || destination.kind === 'unix') return null;
  const literal = parseAddress(address ?? destination.host);
  const range = literal === null ? null : protectedRange(literal);
  return range === null ? null : `${literal?.text ?? ''} is protected (${range}), and none of them names it`;
}

/** Of the user's own patterns alone: what another condition leaves has no text here. */
function nearMiss(
  { by, verdict }: Said,
  patterns: readonly OpenPattern[],
  destination: Destination,
  names: PatternNames,
): string | null {
  if (by !== null || verdict.allow || verdict.code !== 'POLICY_DENIED' || destination.kind === 'unix') return null;
  const miss = whyMissed(patterns, destination);
  if (miss === null) return null;
  const { text } = names.pattern('permitOpen', patterns.indexOf(miss.pattern));
  return `none of them covers it (${text} ${miss.why})`;
}

function refusedBy({ code }: Refusal, conditions: readonly Condition[]): Decision {
  return { outcome: 'refused', code, conditions };
}
