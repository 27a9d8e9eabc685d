/** PROXY HEADER: what a proxy says of whose connection it brings, in version 1 (a line of text) or 2 (binary) of HAProxy's PROXY
 *  protocol (doc/proxy-protocol.txt, "the specification" below).
 *  Owns nothing. Pure, and total: any bytes get an answer, and no more of them are asked for than a header may have. */
import { isIPv4, isIPv6 } from 'node:net';
import { normalisePeerAddress } from '../shared/address.js';
import type { Peer } from '../shared/identity.js';
import { ipv6Text } from '../shared/ip_text.js';

export type ProxyHeader =
  /** Good so far. */
  | { readonly kind: 'incomplete' }
  /** `bytes`: its length; what follows is the client's. `source` null: the proxy speaks for itself (LOCAL), or does not know
   *  for whom (UNKNOWN, or no internet address). */
  | { readonly kind: 'whole'; readonly bytes: number; readonly source: Peer | null }
  /** PROXY_MISSING: something else than a header. `why` has nothing of the peer's in it. */
  | { readonly kind: 'wrong'; readonly reason: 'PROXY_MISSING' | 'PROXY_INVALID'; readonly why: string };

const V1 = Buffer.from('PROXY ');
const V2 = Buffer.from('\r\n\r\n\0\r\nQUIT\n', 'latin1');
/** "107 chars at most" with CR LF: two IPv6 addresses and two ports. */
const V1_MAX_BYTES = 107;
/** The signature, version and command, family, and the length of what follows. */
const V2_HEAD_BYTES = 16;
/** Addresses take at most 216 bytes. The rest is for TLVs, which are passed over: what load balancers send of them without TLS
 *  is some ten bytes to some hundred. The specification's own buffer for both is 536. */
const V2_MAX_BODY_BYTES = 536;

/** Can these bytes be the beginning of a header, or its beginning and more? `whole`: they have a whole signature. For who wants
 *  to know what a peer tries that is to send none. */
export function looksProxied(received: Buffer): 'no' | 'maybe' | 'yes' {
  for (const signature of [V1, V2]) {
    const bytes = Math.min(signature.length, received.length);
    if (!received.subarray(0, bytes).equals(signature.subarray(0, bytes))) continue;
    return bytes === signature.length ? 'yes' : 'maybe';
  }
  return 'no';
}

/** @param received all that has come of the connection */
export function readProxyHeader(received: Buffer): ProxyHeader {
  const looks = looksProxied(received);
  if (looks === 'maybe') return INCOMPLETE;
  if (looks === 'no') return { kind: 'wrong', reason: 'PROXY_MISSING', why: 'there is no PROXY header' };
  return received[0] === V2[0] ? readV2(received) : readV1(received);
}

const INCOMPLETE: ProxyHeader = { kind: 'incomplete' };

function invalid(why: string): ProxyHeader {
  return { kind: 'wrong', reason: 'PROXY_INVALID', why };
}

/** `PROXY TCP4 SOURCE DESTINATION SOURCEPORT DESTINATIONPORT CR LF`, each behind exactly one space (§2.1). */
function readV1(received: Buffer): ProxyHeader {
  const end = received.subarray(0, V1_MAX_BYTES).indexOf('\r\n');
  if (end === -1)
    return received.length < V1_MAX_BYTES ? INCOMPLETE : invalid(`its line is longer than ${V1_MAX_BYTES} bytes`);
  const bytes = end + 2;
  const [, family, ...rest] = received.toString('latin1', 0, end).split(' ');
  // "the receiver must ignore anything presented before the CRLF"
  if (family === 'UNKNOWN') return { kind: 'whole', bytes, source: null };
  const isAddress = family === 'TCP4' ? isIPv4 : family === 'TCP6' ? isPlainIpv6 : null;
  if (isAddress === null) return invalid('its family is none of TCP4, TCP6 and UNKNOWN');
  const [source = '', destination = '', sourcePort = '', destinationPort = ''] = rest;
  if (rest.length !== 4) return invalid('it has not two addresses and two ports');
  if (!isAddress(source) || !isAddress(destination)) return invalid('an address is none of its family');
  if (!isPort(sourcePort) || !isPort(destinationPort)) return invalid('a port is none');
  return { kind: 'whole', bytes, source: { address: normalisePeerAddress(source), port: Number(sourcePort) } };
}

/** Zones are of one machine, and mean nothing on another. */
function isPlainIpv6(text: string): boolean {
  return isIPv6(text) && !text.includes('%');
}

function isPort(text: string): boolean {
  return /^(0|[1-9]\d{0,4})$/.test(text) && Number(text) <= 65_535;
}

/** §2.2. */
function readV2(received: Buffer): ProxyHeader {
  if (received.length < V2_HEAD_BYTES) return INCOMPLETE;
  const [version, command] = [received.readUInt8(12) >> 4, received.readUInt8(12) & 0x0f];
  const [family, protocol] = [received.readUInt8(13) >> 4, received.readUInt8(13) & 0x0f];
  const bodyBytes = received.readUInt16BE(14);
  if (version !== 2) return invalid('its version is not 2');
  if (command !== LOCAL && command !== PROXY) return invalid('its command is neither LOCAL nor PROXY');
  if (bodyBytes > V2_MAX_BODY_BYTES) return invalid(`it has more than ${V2_MAX_BODY_BYTES} bytes behind its head`);
  const bytes = V2_HEAD_BYTES + bodyBytes;
  if (received.length < bytes) return INCOMPLETE;
  // "the receiver must accept this connection as valid and must use the real connection endpoints and discard the protocol block"
  if (command === LOCAL) return { kind: 'whole', bytes, source: null };
  const body = received.subarray(V2_HEAD_BYTES, bytes);
  if (family === UNSPEC) return { kind: 'whole', bytes, source: null };
  if (protocol !== STREAM) return invalid('it is of no stream');
  const addressBytes = ADDRESS_BYTES.get(family);
  if (addressBytes === undefined) return invalid('its address family is not known');
  const portBytes = family === UNIX ? 0 : 2;
  if (body.length < 2 * (addressBytes + portBytes)) return invalid('it is too short for its addresses');
  if (family === UNIX) return { kind: 'whole', bytes, source: null };
  const address = [...body.subarray(0, addressBytes)];
  const text = family === INET ? address.join('.') : ipv6Text(address);
  const port = body.readUInt16BE(2 * addressBytes);
  return { kind: 'whole', bytes, source: { address: normalisePeerAddress(text), port } };
}

const LOCAL = 0;
const PROXY = 1;
const UNSPEC = 0;
const INET = 1;
const INET6 = 2;
const UNIX = 3;
const STREAM = 1;
const ADDRESS_BYTES: ReadonlyMap<number, number> = new Map([
  [INET, 4],
  [INET6, 16],
  [UNIX, 108],
]);
