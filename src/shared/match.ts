/** MATCH: OpenSSH's own rules for patterns, as authorized_keys and certificates use them (ssh_config(5), PATTERNS).
 *  Owns nothing. Pure, and total. Not the patterns of the config: those are patterns.ts. */
import { isIPv6 } from 'node:net';
import { matchesGlob } from './glob.js';
import { ipv4Bytes, ipv6Bytes } from './ip_text.js';

/** Does `text` match a pattern of `*` (any text, also none) and `?` (one character)? Compares as it stands, so the caller has
 *  both in one case. */
export function matchPattern(text: string, pattern: string): boolean {
  return matchesGlob(pattern, text, { questionMark: true });
}

/** A list of patterns with commas between them: `no` where one with a `!` before it matches, whatever else does. */
export type ListMatch = 'yes' | 'no' | 'none';

/** sshd's match_pattern_list. The patterns count in lower case where `lowerCase` says so; `text` is then given so. */
export function matchPatternList(text: string, list: string, lowerCase: boolean): ListMatch {
  let result: ListMatch = 'none';
  for (const entry of list.split(',')) {
    const negated = entry.startsWith('!');
    const pattern = negated ? entry.slice(1) : entry;
    if (pattern.length > MAX_ENTRY) return 'none';
    if (!matchPattern(text, lowerCase ? asciiLowerCase(pattern) : pattern)) continue;
    if (negated) return 'no';
    result = 'yes';
  }
  return result;
}

/** sshd holds an entry in 1024 bytes, with the zero at its end, and takes a longer one for no match at all. */
const MAX_ENTRY = 1022;

/** What is wrong with the addresses of such a list, or null. With any of it sshd lets nobody in. */
export function addressListError(list: string): string | null {
  for (const entry of list.split(',')) {
    const text = entry.startsWith('!') ? entry.slice(1) : entry;
    if (text === '') return 'an empty entry';
    const block = parseBlock(text);
    if (block === 'inconsistent') return `"${text}": bits beyond the prefix, or a prefix longer than the address`;
    if (block === null && text.includes('%')) return `"${text}": zone ids are not supported`;
  }
  return null;
}

/** sshd's addr_match_list: CIDR blocks and addresses, and patterns for whatever is neither.
 *  @param address IP literal in canonical form
 *  @returns `no` also for a list with something wrong in it */
export function matchAddressList(address: string, list: string): ListMatch {
  const bytes = bytesOf(address);
  if (bytes === null) return 'none';
  if (addressListError(list) !== null) return 'no';
  let result: ListMatch = 'none';
  for (const entry of list.split(',')) {
    const negated = entry.startsWith('!');
    const text = negated ? entry.slice(1) : entry;
    const block = parseBlock(text);
    const matches = block === null || block === 'inconsistent' ? matchPattern(address, text) : contains(block, bytes);
    if (!matches) continue;
    if (negated) return 'no';
    result = 'yes';
  }
  return result;
}

/** sshd's match_host_and_ip for a host whose name is its address, as with `UseDNS no`, the default: nobody is looked up. */
export function matchSource(address: string, list: string): boolean {
  const byAddress = matchAddressList(address, list);
  const byName = matchPatternList(asciiLowerCase(address), list, true);
  return byAddress !== 'no' && byName !== 'no' && (byAddress === 'yes' || byName === 'yes');
}

/** Is this entry of such a list an IPv4 address, or a block of them, as IPv6 maps it (`::ffff:10.8.0.1`), or a pattern of one? sshd
 *  writes its peer as IPv4 before it compares (ipv64_normalise_mapped), and its list as it stands: no peer is ever equal to it. */
export function isMapped(entry: string): boolean {
  const block = parseBlock(entry);
  if (block === null || block === 'inconsistent') return /^::ffff:[\d*?]+\./i.test(entry);
  return block.prefixBits >= 96 && block.bytes.length === 16 && contains(MAPPED, block.bytes);
}

/** sshd's addr_match_cidr_list, of the `source-address` of a certificate: nothing but addresses and blocks, no `!`.
 *  @returns null for a list that is none */
export function matchCidrList(address: string, list: string): boolean | null {
  const bytes = bytesOf(address);
  let found = false;
  for (const text of list.split(',')) {
    if (text === '' || text.length > MAX_CIDR || !/^[0-9A-Fa-f.:/]+$/.test(text)) return null;
    const block = parseBlock(text);
    if (block === null || block === 'inconsistent') return null;
    if (bytes !== null && contains(block, bytes)) found = true;
  }
  return found;
}

/** The longest IPv6 address with its prefix, as sshd counts it (INET6_ADDRSTRLEN + 3). */
const MAX_CIDR = 46 + 3;

/** In ASCII alone, as C has it: U+212A, the Kelvin sign, is no `k`. */
export function asciiLowerCase(text: string): string {
  return text.replace(/[A-Z]+/g, (letters) => letters.toLowerCase());
}

interface Block {
  readonly bytes: readonly number[];
  readonly prefixBits: number;
}

const MAPPED: Block = { bytes: [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 0, 0, 0, 0], prefixBits: 96 };

/** sshd reads a block in 64 bytes, with the zero at its end. */
const MAX_BLOCK = 64;

/** Null for what is no address at all, and may be a pattern. A v4-mapped address stays IPv6, as sshd has it. */
function parseBlock(text: string): Block | 'inconsistent' | null {
  if (text.length >= MAX_BLOCK) return null;
  const [head = '', tail, more] = text.split('/');
  const bytes = bytesOf(head);
  if (bytes === null || more !== undefined || (tail !== undefined && !/^\d+$/.test(tail))) return null;
  const full = bytes.length * 8;
  const prefixBits = tail === undefined ? full : Number(tail);
  if (prefixBits > 128) return null;
  if (prefixBits > full) return 'inconsistent';
  const block = { bytes, prefixBits };
  return bytes.every((byte, at) => (byte & ~maskAt(at, prefixBits) & 0xff) === 0) ? block : 'inconsistent';
}

function contains(block: Block, bytes: readonly number[]): boolean {
  if (bytes.length !== block.bytes.length) return false;
  return bytes.every((byte, at) => ((byte ^ (block.bytes[at] ?? 0)) & maskAt(at, block.prefixBits)) === 0);
}

/** The bits of byte `at` that a prefix covers. */
function maskAt(at: number, prefixBits: number): number {
  return (0xff00 >> Math.min(8, Math.max(0, prefixBits - 8 * at))) & 0xff;
}

/** Every spelling that getaddrinfo takes for a literal: `127.1` and `0x7f.0.0.1` too. */
function bytesOf(text: string): readonly number[] | null {
  if (text.includes(':')) return isIPv6(text) && !text.includes('%') ? ipv6Bytes(text) : null;
  return /^[0-9a-fx.]+$/i.test(text) ? ipv4Bytes(text.toLowerCase().split('.')) : null;
}
