/** PATTERN TEXT: reads the rights of a user as they are written: `HOST:PORTS` or the path of a socket.
 *  Owns nothing. Pure, and total: every text gets a pattern, or what is wrong with it and what would be right. */
import { parseCidr, parseHost } from './address.js';
import { type HostPattern, type ListenPattern, mergeRanges, type OpenPattern, type PathPattern } from './patterns.js';
import { MAX_PORT, type PortRange } from './port.js';
import { socketPathError, splitPath } from './socket_path.js';

/** `error` says what is wrong and what is allowed. */
export type ParsedPattern<Pattern> =
  | { readonly ok: true; readonly pattern: Pattern }
  | { readonly ok: false; readonly error: string };

const FORM = 'write HOST:PORTS, such as "10.0.0.0/8:*", "*.internal:443,8000-8999" or "[::1]:22", or an absolute path';

/** Reads an entry of permitOpen. HOST is `*`, `localhost`, a name, a glob, an address, `[v6]` or a CIDR. */
export function parseOpenPattern(text: string): ParsedPattern<OpenPattern> {
  return parsePattern(text, true);
}

/** Reads an entry of permitListen. HOST is the bind address that a client may ask for: `*` for every one, `localhost`, an
 *  address, a name or a glob; a CIDR is refused, since 0.0.0.0/0 would mean something else than 0.0.0.0. */
export function parseListenPattern(text: string): ParsedPattern<ListenPattern> {
  return parsePattern(text, false);
}

function parsePattern(text: string, open: boolean): ParsedPattern<OpenPattern> {
  if (text.startsWith('/')) return parsePath(text);
  if (/^[a-z][a-z0-9+.-]*:\/\//i.test(text)) return wrong(text, `a URL is no pattern; ${FORM}`);
  if (/^[.~]|\.sock$/.test(text) && !text.includes(':')) return wrong(text, 'the path of a socket begins with /');
  if (/^\d[\d,-]*$/.test(text)) return wrong(text, `no host: write "${open ? '*' : 'localhost'}:${text}"`);
  if (text !== '' && !text.includes(':')) return wrong(text, `no ports: write "${text}:*" or "${text}:443"`);
  const parts = /^(\[[^\]]*\]|[^[\]]*):([^:]*)$/s.exec(text);
  const hostText = parts?.[1];
  const portsText = parts?.[2];
  if (hostText === undefined || portsText === undefined) return wrong(text, `no host and ports; ${FORM}`);
  const ports = parsePorts(portsText);
  if (ports === null) {
    if (portsText === '0' && !open) return wrong(text, ZERO);
    return wrong(text, `bad ports "${portsText}"; allowed are *, N, N-M and comma lists of them, 1 to ${MAX_PORT}`);
  }
  const host = parseHostPattern(hostText, open);
  return typeof host === 'string' ? wrong(text, host) : { ok: true, pattern: { ...host, ports } };
}

/** @returns the pattern, or what is wrong. */
function parseHostPattern(text: string, open: boolean): HostPattern | string {
  if (text === '*') return { kind: 'any' };
  const bracketed = text.startsWith('[');
  const bare = bracketed ? text.slice(1, -1) : text;
  if (bracketed !== bare.includes(':')) return `an IPv6 address, and only that, stands in brackets; ${FORM}`;
  if (bracketed || text.includes('/')) {
    const block = parseCidr(bare);
    if (block === null) return `"${bare}" is no address or CIDR, or has bits beyond its prefix; ${FORM}`;
    return open || !bare.includes('/') ? { kind: 'block', block } : 'a CIDR; name each bind address, or write *';
  }
  return text.includes('*') ? parseGlob(text) : parseName(text);
}

function parseName(text: string): HostPattern | string {
  const host = parseHost(text);
  switch (host.kind) {
    case 'invalid':
      return `${host.why}; ${FORM}`;
    case 'address':
      return { kind: 'block', block: { base: host.address, prefixBits: host.address.bytes.length * 8 } };
    case 'name':
      if (host.name === 'localhost') return { kind: 'localhost' };
      return underLocalhost(host.name) ? LOCALHOST_ONLY : { kind: 'name', glob: host.name };
  }
}

function parseGlob(text: string): HostPattern | string {
  // Somebody who writes 10.0.* means addresses; a glob matches names only and would silently deny them.
  if (/^[\d.*]+$/.test(text)) return `"${text}" matches no name; write a CIDR such as 10.0.0.0/8 for addresses`;
  const labels = text.split('.').map((label) => {
    if (!label.includes('*')) return label;
    return /^[a-z0-9_*-]+$/i.test(label) ? label.toLowerCase() : null;
  });
  // The stars become letters for the check, so that the rest of the glob is held to the rules of names (and IDN).
  const probe = parseHost(labels.map((label) => label?.replaceAll('*', 'x') ?? '').join('.'));
  if (probe.kind !== 'name') return `bad characters or labels in "${text}"; ${FORM}`;
  const ascii = probe.name.split('.');
  const glob = labels.map((label, at) => (label?.includes('*') ? label : ascii[at])).join('.');
  // An IDN label may hold a dot of another script, and then the labels no longer pair up.
  if (ascii.length !== labels.length) return `write "${text}" with plain dots, and none at its end`;
  return underLocalhost(glob) ? LOCALHOST_ONLY : { kind: 'name', glob };
}

const LOCALHOST_ONLY = 'names under localhost are the loopback, which no name or glob covers; write localhost';

/** RFC 6761 §6.3: these resolve to the loopback, so that such a pattern could never match. */
function underLocalhost(name: string): boolean {
  return name.endsWith('.localhost');
}

function parsePath(text: string): ParsedPattern<PathPattern> {
  const error = socketPathError(text);
  if (error !== null) return wrong(text, `${error}; an absolute path of a socket is allowed, * in its last part`);
  const { folder, file } = splitPath(text);
  if (folder.includes('*')) return wrong(text, '* is allowed in the last part of a path only');
  return { ok: true, pattern: { kind: 'path', folder, file } };
}

/** RFC 4254 §7.1: a client that asks for port 0 leaves the choice to the server. */
const ZERO = 'bad ports "0"; allowed are 1 to 65535, and who asks for port 0 gets one of those that stand here';

function parsePorts(text: string): PortRange[] | null {
  if (text === '*') return [[1, MAX_PORT]];
  const ranges: PortRange[] = [];
  for (const item of text.split(',')) {
    const parts = /^(\d{1,5})(?:-(\d{1,5}))?$/.exec(item);
    if (parts === null) return null;
    const from = Number(parts[1]);
    const to = Number(parts[2] ?? parts[1]);
    if (from < 1 || to > MAX_PORT || from > to) return null;
    ranges.push([from, to]);
  }
  return mergeRanges(ranges);
}

function wrong(text: string, what: string): { readonly ok: false; readonly error: string } {
  return { ok: false, error: `"${text}": ${what}` };
}
