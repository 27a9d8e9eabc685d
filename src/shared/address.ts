/** ADDRESS: one spelling for every host text, and what an address really leads to.
 *  Owns the list of protected ranges. Pure: no DNS, no sockets, never throws on a peer's text. */
import { isIPv4, isIPv6 } from 'node:net';
import { domainToASCII } from 'node:url';
import { TunnelError } from './errors.js';
import { ipv4Bytes, ipv6Bytes, ipv6Text } from './ip_text.js';
import type { ListenerAddress } from './ipc.js';
import { MAX_PORT } from './port.js';

/** An IP address in canonical form. A v4-mapped IPv6 address is family 4, as the kernel dials IPv4 for it. */
export interface Address {
  readonly family: 4 | 6;
  /** Dotted quad, or RFC 5952 text with no brackets and no zone. */
  readonly text: string;
  /** 4 or 16 bytes, in network order. */
  readonly bytes: readonly number[];
}

/** What a host text means. `name` is in lower case, in ASCII (IDN as `xn--`), with no trailing dot. */
export type ParsedHost =
  | { readonly kind: 'address'; readonly address: Address }
  | { readonly kind: 'name'; readonly name: string }
  | { readonly kind: 'invalid'; readonly why: string };

/** An address block; no bit of `base` is set beyond `prefixBits`. */
export interface Cidr {
  readonly base: Address;
  readonly prefixBits: number;
}

/** `metadata`: the addresses of cloud metadata services that lie outside the link-local ranges. */
export type ProtectedRange = 'loopback' | 'link-local' | 'unspecified' | 'multicast' | 'broadcast' | 'metadata';

const MAX_HOST_LENGTH = 255;
const MAX_NAME_LENGTH = 253; // RFC 1035 §2.3.4, without the trailing dot and the length bytes
const LABEL = /^[a-z0-9_-]{1,63}$/; // underscore is no host name by RFC 952, but is used by real names
const HOST_TEXT = /^[a-z0-9._\-\u{80}-\u{10ffff}]+$/iu;
const NUMERIC_LABEL = /^(?:\d+|0x[0-9a-f]*)$/;
const MAPPED_PREFIX = [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff];

/** Reads a host as a peer or a config may write it: a name, or an address in any spelling that getaddrinfo would take
 *  (`127.1`, `0x7f.1`, `2130706433`), with brackets or a trailing dot. A name that ends in a number is no name: it is an
 *  address or it is invalid, so that no resolver gets to interpret what we could not. */
export function parseHost(text: string): ParsedHost {
  if (text === '') return invalid('empty host');
  if (text.length > MAX_HOST_LENGTH) return invalid('host too long');
  // A zone (`fe80::1%lo`) picks an interface of this machine: nothing that a tenant should do, and the patterns cannot
  // speak of it. Price: link-local peers of the server cannot be reached by tunnels.
  if (text.includes('%')) return invalid('zone ids are not supported');
  const bare = text.startsWith('[') && text.endsWith(']') ? text.slice(1, -1) : text;
  if (bare.includes(':')) {
    return isIPv6(bare) ? { kind: 'address', address: addressOf(ipv6Bytes(bare)) } : invalid('not an IPv6 address');
  }
  if (bare !== text) return invalid('brackets are for IPv6 addresses');
  // Checked before domainToASCII, which cuts its input at the first `/`, `?` or `#`.
  if (!HOST_TEXT.test(text)) return invalid('character not allowed in a host name');
  const ascii = domainToLowerAscii(text);
  const name = ascii.endsWith('.') ? ascii.slice(0, -1) : ascii;
  if (name === '') return invalid('not a host name');
  if (name.length > MAX_NAME_LENGTH) return invalid('host name too long');
  const labels = name.split('.');
  if (!labels.every((label) => LABEL.test(label))) return invalid('empty or too long label in the host name');
  if (NUMERIC_LABEL.test(labels.at(-1) ?? '')) {
    const bytes = ipv4Bytes(labels);
    return bytes === null ? invalid('not an IPv4 address') : { kind: 'address', address: addressOf(bytes) };
  }
  return { kind: 'name', name };
}

/** Names of the loopback, of which nobody is asked (RFC 6761 §6.3).
 *  @param name as parseHost leaves it */
export function isLocalhost(name: string): boolean {
  return name === 'localhost' || name.endsWith('.localhost');
}

/** The address that `text` spells, or null where it is a name or invalid. */
export function parseAddress(text: string): Address | null {
  const host = parseHost(text);
  return host.kind === 'address' ? host.address : null;
}

/** Reads `10.0.0.0/8`, `fd00::/8` or a single address (a block of one). Null where that fails, the prefix is out of
 *  range, or the base has bits beyond the prefix: `10.0.0.5/8` is more likely a slip than a wish. */
export function parseCidr(text: string): Cidr | null {
  const slash = text.indexOf('/');
  const head = slash === -1 ? text : text.slice(0, slash);
  const base = parseAddress(head);
  if (base === null) return null;
  const full = base.bytes.length * 8;
  if (slash === -1) return { base, prefixBits: full };
  const tail = text.slice(slash + 1);
  if (!/^\d{1,3}$/.test(tail)) return null;
  // `::ffff:10.0.0.0/104` was written as IPv6 and is 10.0.0.0/8 in canonical form.
  const prefixBits = Number(tail) - (head.includes(':') ? 128 - full : 0);
  if (prefixBits < 0 || prefixBits > full) return null;
  const cidr = { base, prefixBits };
  return hasHostBits(cidr) ? null : cidr;
}

/** True when `address` lies in the block; IPv4 blocks never contain IPv6 addresses (see `translatedIpv4`). */
export function inCidr(address: Address, cidr: Cidr): boolean {
  if (address.family !== cidr.base.family) return false;
  return samePrefix(address.bytes, cidr.base.bytes, cidr.prefixBits);
}

/** Which protected range an address leads to, or null. Looks through every way of writing an IPv4 address inside an
 *  IPv6 one, so that no gateway or tunnel of the network turns a harmless looking address into a protected one. */
export function protectedRange(address: Address): ProtectedRange | null {
  const own = plainRange({ base: address, prefixBits: address.bytes.length * 8 });
  if (own !== null) return own;
  for (const inner of embeddedIpv4(address)) {
    const range = plainRange({ base: inner, prefixBits: 32 });
    if (range !== null) return range;
  }
  return null;
}

/** The protected range in which the whole block lies, or null: 127.0.0.0/8 is `loopback`, 0.0.0.0/0 is null. */
export function protectedRangeOfBlock(cidr: Cidr): ProtectedRange | null {
  if (cidr.prefixBits === cidr.base.bytes.length * 8) return protectedRange(cidr.base);
  const plain = plainRange(cidr);
  if (plain !== null) return plain;
  for (const { prefix, at } of EMBEDDINGS) {
    const innerBits = cidr.prefixBits - 8 * at;
    if (innerBits < 0 || !inCidr(cidr.base, prefix)) continue;
    const base = addressOf(cidr.base.bytes.slice(at, at + 4));
    const range = plainRange({ base, prefixBits: Math.min(32, innerBits) });
    if (range !== null) return range;
  }
  return null;
}

/** True for 127.0.0.0/8 and ::1 themselves, in any spelling: the addresses that reach this machine and no other. */
export function isLoopback(address: Address): boolean {
  return plainRange({ base: address, prefixBits: address.bytes.length * 8 }) === 'loopback';
}

/** True for 0.0.0.0 and :: themselves, in any spelling. */
export function isUnspecified(address: Address): boolean {
  return address.bytes.every((byte) => byte === 0);
}

/** The IPv4 host behind an address of the well-known NAT64 prefix (RFC 6052 §2.1), or null. The only embedding where the
 *  IPv4 address is the very host that is reached and not a router on the way, so the only one that may grant. */
export function translatedIpv4(address: Address): Address | null {
  return inCidr(address, NAT64) ? addressOf(address.bytes.slice(12)) : null;
}

/** Would a dial of this address and port reach a listener of the server itself? `interfaceAddresses` are the
 *  machine's own. Errs to yes: a listener whose address is a name counts as being on every local address. */
export function isOwnListener(
  address: Address,
  port: number,
  listeners: readonly ListenerAddress[],
  interfaceAddresses: readonly string[],
): boolean {
  const targets = [address, ...embeddedIpv4(address)];
  for (const listener of listeners) {
    if (listener.kind !== 'tcp' || listener.port !== port) continue;
    const bound = parseAddress(withoutZone(listener.address));
    for (const target of targets) {
      // Linux connects 0.0.0.0 and :: to the loopback; nobody has a good reason to try, so any listener will do.
      if (isUnspecified(target)) return true;
      if (bound?.text === target.text) return true;
      const everywhere = bound === null || (isUnspecified(bound) && (bound.family === 6 || target.family === 4));
      if (everywhere && (isLoopback(target) || isOneOf(target, interfaceAddresses))) return true;
    }
  }
  return false;
}

/** Writes `host:port`, an IPv6 address in brackets. */
export function formatHostPort(host: string, port: number): string {
  return host.includes(':') ? `[${host}]:${port}` : `${host}:${port}`;
}

/** Reads `[::1]:22`, `127.0.0.1:22` or `host:22`; the host comes back in canonical form, an IPv6 address without
 *  brackets. Port 0..65535. Null for anything else, also for an IPv6 address without brackets. */
export function parseHostPort(text: string): { readonly host: string; readonly port: number } | null {
  const parts = /^(\[[^\]]*\]|[^:[\]]*):(\d{1,5})$/.exec(text);
  const port = Number(parts?.[2]);
  const host = parseHost(parts?.[1] ?? '');
  if (parts === null || port > MAX_PORT || host.kind === 'invalid') return null;
  return { host: host.kind === 'address' ? host.address.text : host.name, port };
}

/** A socket's `remoteAddress` in canonical form: v4-mapped as IPv4, no zone. Text that is no address stays as it is. */
export function normalisePeerAddress(text: string): string {
  if (isIPv4(text)) return text; // Node takes no other spelling than the canonical one
  return parseAddress(withoutZone(text))?.text ?? text;
}

// ---- the protected ranges ----

const RANGES: ReadonlyArray<readonly [ProtectedRange, Cidr]> = [
  ['unspecified', block('0.0.0.0/8')], // "this network", RFC 1122 §3.2.1.3; 0.0.0.0 reaches the loopback on Linux
  ['loopback', block('127.0.0.0/8')],
  ['link-local', block('169.254.0.0/16')], // 169.254.169.254 and .170.2, the metadata of most clouds, among them
  ['metadata', block('100.100.100.200')], // Alibaba Cloud
  ['metadata', block('168.63.129.16')], // Azure's host agent: a public address that only its own guests reach
  ['metadata', block('192.0.0.192')], // Oracle's Cloud at Customer
  ['multicast', block('224.0.0.0/4')],
  ['broadcast', block('255.255.255.255')],
  ['unspecified', block('::')],
  ['loopback', block('::1')],
  ['link-local', block('fe80::/10')],
  ['metadata', block('fd00:ec2::254')], // AWS
  ['metadata', block('fd00:ec2::23')], // AWS, the credentials of pods (EKS Pod Identity)
  ['metadata', block('fd20:ce::254')], // Google Cloud
  ['metadata', block('fd00:a9fe:a9fe::1')], // Akamai (Linode)
  ['metadata', block('fd00:42::42')], // Scaleway
  ['metadata', block('fd00:c1::a9fe:a9fe')], // Oracle Cloud
  ['metadata', block('fd00:100::100:200')], // Alibaba Cloud
  ['multicast', block('ff00::/8')],
];

function plainRange(cidr: Cidr): ProtectedRange | null {
  for (const [range, whole] of RANGES) {
    if (cidr.prefixBits >= whole.prefixBits && inCidr(cidr.base, whole)) return range;
  }
  return null;
}

// ---- IPv4 inside IPv6 ----

const NAT64 = block('64:ff9b::/96');
const NAT64_LOCAL = block('64:ff9b:1::/48'); // RFC 8215
const TEREDO = block('2001::/32');
/** Prefixes whose IPv4 address stands in one place, `at` bytes from the start. */
const EMBEDDINGS: ReadonlyArray<{ readonly prefix: Cidr; readonly at: number }> = [
  { prefix: block('::/96'), at: 12 }, // v4-compatible, RFC 4291 §2.5.5.1
  { prefix: block('::ffff:0:0:0/96'), at: 12 }, // v4-translated, RFC 2765 §2.1
  { prefix: NAT64, at: 12 },
  { prefix: block('2002::/16'), at: 2 }, // 6to4, RFC 3056 §2
  { prefix: TEREDO, at: 4 }, // the Teredo server, RFC 4380 §4
];
/** Where a local NAT64 prefix may put the four bytes (RFC 6052 §2.2); which one is the operator's choice. */
const NAT64_LOCAL_PLACES: ReadonlyArray<readonly [number, number, number, number]> = [
  [6, 7, 9, 10],
  [7, 9, 10, 11],
  [9, 10, 11, 12],
  [12, 13, 14, 15],
];

/** Every IPv4 address that the IPv6 address may stand for; empty for IPv4. */
function embeddedIpv4(address: Address): Address[] {
  // :: and ::1 lie in the v4-compatible block and are no such address.
  if (address.family === 4 || plainRange({ base: address, prefixBits: 128 }) !== null) return [];
  const { bytes } = address;
  const found: number[][] = [];
  for (const { prefix, at } of EMBEDDINGS) {
    if (inCidr(address, prefix)) found.push(bytes.slice(at, at + 4));
  }
  // Teredo stores the client's address with its bits inverted (RFC 4380 §4).
  if (inCidr(address, TEREDO)) found.push(bytes.slice(12).map((byte) => byte ^ 0xff));
  // ISATAP under any prefix: interface id 0000:5efe or 0200:5efe and the IPv4 address (RFC 5214 §6.1).
  if (((bytes[8] ?? 0) & 0xfd) === 0 && bytes[9] === 0 && bytes[10] === 0x5e && bytes[11] === 0xfe) {
    found.push(bytes.slice(12));
  }
  if (inCidr(address, NAT64_LOCAL)) {
    for (const places of NAT64_LOCAL_PLACES) {
      const inner = places.map((place) => bytes[place] ?? 0);
      // Read at the wrong prefix length, most are 0.x: without this every address of the block would be `unspecified`.
      if (inner[0] !== 0) found.push(inner);
    }
  }
  return found.map(addressOf);
}

// ---- bytes and text ----

function addressOf(bytes: readonly number[]): Address {
  const mapped = bytes.length === 16 && samePrefix(bytes, MAPPED_PREFIX, 96); // RFC 4291 §2.5.5.2
  const own = mapped ? bytes.slice(12) : bytes;
  return own.length === 4
    ? { family: 4, text: own.join('.'), bytes: own }
    : { family: 6, text: ipv6Text(own), bytes: own };
}

function samePrefix(a: readonly number[], b: readonly number[], bits: number): boolean {
  const whole = bits >> 3;
  for (let at = 0; at < whole; at++) if (a[at] !== b[at]) return false;
  const mask = 0xff00 >> (bits & 7);
  return (((a[whole] ?? 0) ^ (b[whole] ?? 0)) & mask & 0xff) === 0;
}

function hasHostBits({ base, prefixBits }: Cidr): boolean {
  const first = base.bytes.map((byte, at) => byte & (0xff00 >> Math.min(8, Math.max(0, prefixBits - 8 * at))) & 0xff);
  return first.some((byte, at) => byte !== base.bytes[at]);
}

function isOneOf(address: Address, texts: readonly string[]): boolean {
  return texts.some((text) => parseAddress(withoutZone(text))?.text === address.text);
}

function withoutZone(text: string): string {
  return text.replace(/%.*$/s, '');
}

function domainToLowerAscii(text: string): string {
  for (let at = 0; at < text.length; at++) if (text.charCodeAt(at) > 0x7f) return domainToASCII(text).toLowerCase();
  return text.toLowerCase();
}

function invalid(why: string): ParsedHost {
  return { kind: 'invalid', why };
}

/** For the tables of this file, where a block that does not parse is a bug. */
function block(text: string): Cidr {
  const cidr = parseCidr(text);
  if (cidr === null) throw new TunnelError('INTERNAL', `bad address block ${text}`);
  return cidr;
}
