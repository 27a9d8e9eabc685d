/** PUBLIC KEY: from the key blob of RFC 4253 §6.6, or of a security key (OpenSSH's PROTOCOL.u2f), to a key that can verify, by
 *  node:crypto alone.
 *  Owns nothing. Strict and total: one spelling per key, no byte left over, never throws. Callers parse only blobs that
 *  somebody has accepted (the operator's file, or a hook), so that a stranger's bytes never reach the key parser. */
import { createHash, createPublicKey, type JsonWebKey, type KeyObject } from 'node:crypto';
import { WireReader } from '../../shared/protocol.js';

/** A key that is ready to verify. */
export interface PublicKey {
  /** As the blob says: `ssh-ed25519`, `ecdsa-sha2-nistp256`, `ssh-rsa`, `sk-ssh-ed25519@openssh.com`, … */
  readonly type: string;
  readonly key: KeyObject;
  /** Length of the modulus for RSA, of a field element for ECDSA, of the point for Ed25519; in bytes. */
  readonly sizeBytes: number;
  /** SHA-256 of the application that a security key was made for (`ssh:` mostly), which is part of whatever it signs; null for
   *  keys of any other kind. */
  readonly applicationHash: Buffer | null;
}

export type ParsedKey =
  | { readonly ok: true; readonly key: PublicKey }
  | { readonly ok: false; readonly code: 'MALFORMED' | 'UNSUPPORTED_KEY'; readonly why: string };

/** Below 2048 a modulus can be factored; above 16384 one verification holds the loop for milliseconds. */
const RSA_BITS = { min: 2048, max: 16384 } as const;
/** 32 bits hold every exponent in use (3, 35, 65537); a huge one makes verifying as dear as signing. */
const RSA_EXPONENT_BYTES = 4;

const SK_ED25519 = 'sk-ssh-ed25519@openssh.com';
const SK_ECDSA = 'sk-ecdsa-sha2-nistp256@openssh.com';

/** RFC 5656 §6.1 and §10.1: curve identifier inside the blob, name of the curve in a JWK, bytes of a coordinate. */
const CURVES: ReadonlyMap<string, { readonly curve: string; readonly crv: string; readonly sizeBytes: number }> =
  new Map([
    ['ecdsa-sha2-nistp256', { curve: 'nistp256', crv: 'P-256', sizeBytes: 32 }],
    ['ecdsa-sha2-nistp384', { curve: 'nistp384', crv: 'P-384', sizeBytes: 48 }],
    ['ecdsa-sha2-nistp521', { curve: 'nistp521', crv: 'P-521', sizeBytes: 66 }],
  ]);

/** The type that a blob claims, or null when not even that can be read. No key is parsed. */
export function blobType(blob: Buffer): string | null {
  const reader = new WireReader(blob);
  const type = reader.bytes();
  return reader.ok && type.length > 0 && type.length <= 64 ? type.toString('latin1') : null;
}

/** `SHA256:` and unpadded base64, as `ssh-keygen -l` prints it. */
export function fingerprint(blob: Uint8Array): string {
  return `SHA256:${createHash('sha256').update(blob).digest('base64').replace(/=+$/, '')}`;
}

/** `TYPE BASE64` without a comment, as a line of authorized_keys. For blobs whose type has been looked at. */
export function line(blob: Buffer): string {
  return `${blobType(blob) ?? ''} ${blob.toString('base64')}`;
}

/** Parses a key blob. `UNSUPPORTED_KEY` is a well-known shape that we do not take (DSA, a certificate, RSA outside 2048 to
 *  16384 bits); `MALFORMED` is no key at all. `why` is short and holds none of the blob's bytes. */
export function parsePublicKey(blob: Buffer): ParsedKey {
  const reader = new WireReader(blob);
  const type = reader.bytes().toString('latin1');
  if (!reader.ok) return malformed('the blob is cut short');
  const read = readFields(type, reader);
  return !read.ok || reader.atEnd ? read : malformed('the blob has bytes behind the key');
}

function readFields(type: string, reader: WireReader): ParsedKey {
  if (type === 'ssh-ed25519') return readEd25519(type, reader);
  if (type === 'ssh-rsa') return readRsa(reader);
  if (CURVES.has(type)) return readEcdsa(type, type, reader);
  if (type === SK_ED25519) return readApplication(readEd25519(type, reader), reader);
  if (type === SK_ECDSA) return readApplication(readEcdsa(type, 'ecdsa-sha2-nistp256', reader), reader);
  return unsupported('key type not supported');
}

/** RFC 8709 §4: one string of 32 bytes. */
function readEd25519(type: string, reader: WireReader): ParsedKey {
  const point = reader.bytes();
  if (point.length !== 32) return malformed('an Ed25519 key has exactly 32 bytes');
  return fromJwk(type, { kty: 'OKP', crv: 'Ed25519', x: point.toString('base64url') }, 32);
}

/** RFC 5656 §3.1. Only the uncompressed point, as every client writes it; node refuses a point off the curve. */
function readEcdsa(type: string, curveOf: string, reader: WireReader): ParsedKey {
  const parameters = CURVES.get(curveOf);
  const curve = reader.bytes().toString('latin1');
  const point = reader.bytes();
  if (parameters === undefined || !reader.ok) return malformed('the blob is cut short');
  const { crv, sizeBytes } = parameters;
  if (curve !== parameters.curve) return malformed('the curve is not the one of the key type');
  if (point.length !== 1 + 2 * sizeBytes || point[0] !== 4) return malformed('not an uncompressed point of this curve');
  const x = point.subarray(1, 1 + sizeBytes).toString('base64url');
  const y = point.subarray(1 + sizeBytes).toString('base64url');
  return fromJwk(type, { kty: 'EC', crv, x, y }, sizeBytes);
}

/** RFC 4253 §6.6: e, then n. */
function readRsa(reader: WireReader): ParsedKey {
  const e = positiveMpint(reader.bytes());
  const n = positiveMpint(reader.bytes());
  if (!reader.ok || e === null || n === null) return malformed('e and n are not two positive integers');
  const bits = n.length * 8 - Math.clz32(n[0] ?? 0) + 24;
  if (bits < RSA_BITS.min) return unsupported(`RSA of ${bits} bits is too weak, ${RSA_BITS.min} are the least`);
  if (bits > RSA_BITS.max) return unsupported(`RSA of ${bits} bits is too large, ${RSA_BITS.max} are the most`);
  const odd = ((e.at(-1) ?? 0) & (n.at(-1) ?? 0) & 1) === 1;
  const exponentFits = e.length <= RSA_EXPONENT_BYTES && !(e.length === 1 && (e[0] ?? 0) < 3);
  if (!odd || !exponentFits) return unsupported('RSA with an exponent or modulus that no tool makes');
  return fromJwk('ssh-rsa', { kty: 'RSA', n: n.toString('base64url'), e: e.toString('base64url') }, n.length);
}

/** PROTOCOL.u2f: the application stands behind the fields of the plain key. Any text is one: the operator has written the key
 *  down with it. OpenSSH reads it as a C string, so a NUL is none. */
function readApplication(read: ParsedKey, reader: WireReader): ParsedKey {
  if (!read.ok) return read;
  const application = reader.bytes();
  if (!reader.ok || application.includes(0)) return malformed('the application of the security key cannot be read');
  const applicationHash = createHash('sha256').update(application).digest();
  return { ok: true, key: { ...read.key, applicationHash } };
}

/** The magnitude of a canonical positive `mpint` without its sign byte, or null (RFC 4251 §5: no needless leading zero). */
export function positiveMpint(bytes: Buffer): Buffer | null {
  const first = bytes[0];
  if (first === undefined || first >= 0x80) return null;
  if (first !== 0) return bytes;
  return (bytes[1] ?? 0) >= 0x80 ? bytes.subarray(1) : null;
}

function fromJwk(type: string, jwk: JsonWebKey, sizeBytes: number): ParsedKey {
  try {
    const key = createPublicKey({ key: jwk, format: 'jwk' });
    return { ok: true, key: { type, key, sizeBytes, applicationHash: null } };
  } catch {
    return malformed('not a valid point or number of its kind'); // OpenSSL's own text would say no more to an operator
  }
}

function malformed(why: string): ParsedKey {
  return { ok: false, code: 'MALFORMED', why };
}
function unsupported(why: string): ParsedKey {
  return { ok: false, code: 'UNSUPPORTED_KEY', why };
}
