/** PATTERNS: the rights of a user, `HOST:PORTS` or a socket path, and what each of them covers (pattern_text.ts reads them).
 *  Owns nothing. Pure, and total: every host gets an answer. Opens are matched on the address that will be dialled. */
import {
  type Address,
  type Cidr,
  inCidr,
  isLocalhost,
  isLoopback,
  isUnspecified,
  type ParsedHost,
  type ProtectedRange,
  parseHost,
  protectedRange,
  protectedRangeOfBlock,
  translatedIpv4,
} from './address.js';
import { matchesGlob } from './glob.js';
import type { PortRange } from './port.js';
import { socketPathError, splitPath } from './socket_path.js';

/** A path whose last part may hold `*`, which stands for any text without a `/`. */
export interface PathPattern {
  readonly kind: 'path';
  readonly folder: string;
  readonly file: string;
}

/** Hosts of a TCP pattern: `any` is `*`, `name` is a name or a glob in lower case, `block` an address or a CIDR. */
export type HostPattern =
  | { readonly kind: 'any' }
  | { readonly kind: 'localhost' }
  | { readonly kind: 'name'; readonly glob: string }
  | { readonly kind: 'block'; readonly block: Cidr };

/** `ports` are sorted and do not touch. */
type TcpPattern = HostPattern & { readonly ports: readonly PortRange[] };

/** One entry of permitOpen. */
export type OpenPattern = TcpPattern | PathPattern;
/** One entry of permitListen; a `block` in it is always a single address. */
export type ListenPattern = TcpPattern | PathPattern;

/** Could anything that the pattern covers ever be bound? Not for a name: names are not resolved to bind. */
export function isBindable(pattern: ListenPattern): boolean {
  return pattern.kind !== 'name';
}

/** Could any pattern match, whatever the name resolves to? Asked before the look-up, so that a name which can never be
 *  allowed costs no DNS query and tells nobody outside that it was asked for. For an address the answer is final. */
export function mayOpenName(patterns: readonly OpenPattern[], host: string, port: number): boolean {
  return patternForName(patterns, host, port) !== undefined;
}

/** The first pattern that says so; of a name first those that go by it, and then those to whose addresses it might lead. */
export function patternForName(patterns: readonly OpenPattern[], host: string, port: number): OpenPattern | undefined {
  const parsed = parseHost(host);
  if (parsed.kind === 'invalid') return undefined;
  if (parsed.kind === 'address') return patternForOpen(patterns, host, parsed.address, port);
  let perhaps: OpenPattern | undefined;
  for (const pattern of patterns) {
    if (pattern.kind === 'path' || !hasPort(pattern.ports, port)) continue;
    const isSure = pattern.kind === 'localhost' ? isLocalhost(parsed.name) : !goesByAddress(pattern);
    if (!isSure) perhaps ??= pattern;
    else if (pattern.kind !== 'name' || matchesGlob(pattern.glob, parsed.name)) return pattern;
  }
  return perhaps;
}

/** Does it depend on where a name leads whether the pattern covers it? */
export function goesByAddress({ kind }: OpenPattern): boolean {
  return kind === 'block' || kind === 'localhost';
}

/** May `address`, which `host` led to, be dialled on `port`? A protected address needs a pattern that names it. */
export function coversOpen(patterns: readonly OpenPattern[], host: string, address: Address, port: number): boolean {
  return patternForOpen(patterns, host, address, port) !== undefined;
}

/** The first pattern that says so. */
export function patternForOpen(
  patterns: readonly OpenPattern[],
  host: string,
  address: Address,
  port: number,
): OpenPattern | undefined {
  const asked = parseHost(host);
  if (asked.kind === 'invalid') return undefined;
  const range = protectedRange(address);
  return patterns.find(
    (pattern) =>
      pattern.kind !== 'path' && hasPort(pattern.ports, port) && coversAddress(pattern, asked, address, range),
  );
}

function coversAddress(
  pattern: HostPattern,
  asked: ParsedHost,
  address: Address,
  range: ProtectedRange | null,
): boolean {
  switch (pattern.kind) {
    case 'any':
      return range === null;
    case 'localhost':
      return isLoopback(address);
    case 'name':
      return range === null && asked.kind === 'name' && matchesGlob(pattern.glob, asked.name);
    case 'block': {
      if (inCidr(address, pattern.block)) return range === null || protectedRangeOfBlock(pattern.block) === range;
      // On a network with NAT64 an IPv4 host is reached by its translated address. Never for a protected one: 127.0.0.1
      // behind a translator is the translator's loopback, not the one that the pattern speaks of.
      const inner = range === null ? translatedIpv4(address) : null;
      return inner !== null && inCidr(inner, pattern.block);
    }
  }
}

/** A bind address as a client asks for it (RFC 4254 §7.1): `all` is `''` or `*`, `all4` is 0.0.0.0, `all6` is ::.
 *  OpenSSH sends `localhost` where `-R` names no bind address, and `''` for `-R :PORT:…` and `-R '*:PORT:…'`
 *  (ssh(1), "-R"; channel_rfwd_bind_host in its channels.c). */
export type BindHost =
  | { readonly kind: 'all' | 'all4' | 'all6' | 'localhost' }
  | { readonly kind: 'address'; readonly address: Address }
  | { readonly kind: 'name'; readonly name: string }
  | { readonly kind: 'invalid'; readonly why: string };

/** Never throws; `localhost` in any case, 0.0.0.0 and :: in any spelling. */
export function parseBindHost(text: string): BindHost {
  if (text === '' || text === '*') return { kind: 'all' };
  const host = parseHost(text);
  if (host.kind === 'name' && host.name === 'localhost') return { kind: 'localhost' };
  if (host.kind === 'address' && isUnspecified(host.address)) {
    return { kind: host.address.family === 4 ? 'all4' : 'all6' };
  }
  return host;
}

/** Is the bind address covered exactly as it was asked for? Nothing is narrowed silently: who may have `localhost` and
 *  asks for all addresses is refused. Port 0 asks for any port of the range (RFC 4254 §7.1). */
export function coversListen(patterns: readonly ListenPattern[], host: string, port: number): boolean {
  return patternForListen(patterns, host, port) !== undefined;
}

/** The first pattern that says so. */
export function patternForListen(
  patterns: readonly ListenPattern[],
  host: string,
  port: number,
): ListenPattern | undefined {
  const asked = parseBindHost(host);
  return patterns.find(
    (pattern) => pattern.kind !== 'path' && (port === 0 || hasPort(pattern.ports, port)) && coversBind(pattern, asked),
  );
}

/** The ports that may be had on this bind address: sorted, merged, empty where there are none. */
export function listenPortRanges(patterns: readonly ListenPattern[], host: string): PortRange[] {
  const asked = parseBindHost(host);
  return mergeRanges(
    patterns.flatMap((pattern) => (pattern.kind !== 'path' && coversBind(pattern, asked) ? pattern.ports : [])),
  );
}

/** What lies in both lists, each sorted and not touching. */
export function commonRanges(one: readonly PortRange[], other: readonly PortRange[]): PortRange[] {
  return one.flatMap(([from, to]) =>
    other.flatMap(([low, high]): PortRange[] => {
      const [start, end] = [Math.max(from, low), Math.min(to, high)];
      return start <= end ? [[start, end]] : [];
    }),
  );
}

function coversBind(pattern: HostPattern, asked: BindHost): boolean {
  if (asked.kind === 'invalid') return false;
  switch (pattern.kind) {
    case 'any':
      return true;
    case 'localhost':
      return asked.kind === 'localhost' || (asked.kind === 'address' && LOCALHOST.includes(asked.address.text));
    case 'name':
      return asked.kind === 'name' && matchesGlob(pattern.glob, asked.name);
    case 'block': {
      const { base } = pattern.block;
      if (asked.kind === 'address') return asked.address.text === base.text;
      return (asked.kind === 'all4' && base.text === '0.0.0.0') || (asked.kind === 'all6' && base.text === '::');
    }
  }
}

/** What binding `localhost` means; 127.0.0.2 has to be named. */
const LOCALHOST: readonly string[] = ['127.0.0.1', '::1'];

/** Is the socket path covered? A path that `socketPathError` refuses never is. */
export function coversPath(patterns: ReadonlyArray<OpenPattern | ListenPattern>, path: string): boolean {
  return patternForPath(patterns, path) !== undefined;
}

/** The first pattern that says so. */
export function patternForPath<P extends OpenPattern | ListenPattern>(
  patterns: readonly P[],
  path: string,
): P | undefined {
  if (socketPathError(path) !== null) return undefined;
  const { folder, file } = splitPath(path);
  return patterns.find(
    (pattern) => pattern.kind === 'path' && pattern.folder === folder && matchesGlob(pattern.file, file),
  );
}

/** Sorted, and none of them touches the next. */
export function mergeRanges(ranges: readonly PortRange[]): PortRange[] {
  const merged: PortRange[] = [];
  for (const [from, to] of ranges.toSorted((a, b) => a[0] - b[0])) {
    const last = merged.at(-1);
    if (last !== undefined && from <= last[1] + 1) merged[merged.length - 1] = [last[0], Math.max(last[1], to)];
    else merged.push([from, to]);
  }
  return merged;
}

function hasPort(ranges: readonly PortRange[], port: number): boolean {
  return ranges.some(([from, to]) => port >= from && port <= to);
}
