/** SIGNATURE: did the holder of this key sign these bytes? (RFC 4253 §6.6, RFC 5656 §3.1.2, RFC 8332 §3, RFC 8709 §6, and for
 *  security keys and certificates OpenSSH's PROTOCOL.u2f and PROTOCOL.certkeys)
 *  Owns the table of algorithms that a login may use: SHA-1 and DSA are not in it.
 *  Answers with values and never throws, so that no caller can take an error for a yes. */
import { createHash, verify as cryptoVerify } from 'node:crypto';
import type { Presence } from '../../shared/identity.js';
import { concatFields, WireReader } from '../../shared/protocol.js';
import { certificateTypeOf } from './certificate_type.js';
import { type PublicKey, positiveMpint } from './public_key.js';

interface Scheme {
  readonly keyType: string;
  /** Null where the scheme hashes for itself (Ed25519). */
  readonly hash: 'sha256' | 'sha384' | 'sha512' | null;
}

/** By the name that stands in the signature blob. */
const SCHEMES: ReadonlyMap<string, Scheme> = new Map<string, Scheme>([
  ['ssh-ed25519', { keyType: 'ssh-ed25519', hash: null }],
  ['sk-ssh-ed25519@openssh.com', { keyType: 'sk-ssh-ed25519@openssh.com', hash: null }],
  ['ecdsa-sha2-nistp256', { keyType: 'ecdsa-sha2-nistp256', hash: 'sha256' }],
  ['ecdsa-sha2-nistp384', { keyType: 'ecdsa-sha2-nistp384', hash: 'sha384' }],
  ['ecdsa-sha2-nistp521', { keyType: 'ecdsa-sha2-nistp521', hash: 'sha512' }],
  ['sk-ecdsa-sha2-nistp256@openssh.com', { keyType: 'sk-ecdsa-sha2-nistp256@openssh.com', hash: 'sha256' }],
  ['rsa-sha2-512', { keyType: 'ssh-rsa', hash: 'sha512' }],
  ['rsa-sha2-256', { keyType: 'ssh-rsa', hash: 'sha256' }],
]);

/** What a request may name as its algorithm (RFC 4252 §7): `scheme` makes the signature, `blobType` is the key's. */
export interface Algorithm {
  readonly scheme: string;
  readonly blobType: string;
}

/** Each scheme with a plain key and with a certificate. A certificate's signature is that of the key in it, so
 *  `rsa-sha2-512-cert-v01@openssh.com` signs by `rsa-sha2-512` and its blob is of type `ssh-rsa-cert-v01@openssh.com`.
 *  That type is no algorithm here: it would sign with SHA-1. */
const ALGORITHMS: ReadonlyMap<string, Algorithm> = new Map<string, Algorithm>([
  ...[...SCHEMES].map(([scheme, { keyType }]) => [scheme, { scheme, blobType: keyType }] as const),
  ...[...SCHEMES].map(
    ([scheme, { keyType }]) => [certificateTypeOf(scheme), { scheme, blobType: certificateTypeOf(keyType) }] as const,
  ),
]);

/** The algorithms that a request may name, for `server-sig-algs` (RFC 8308 §3.1), the preferred ones first. */
export const SIGNATURE_ALGORITHMS: readonly string[] = [...ALGORITHMS.keys()];

/** Null for an algorithm that we do not accept. */
export function algorithmOf(name: string): Algorithm | null {
  return ALGORITHMS.get(name) ?? null;
}

/** `presence` is null for a key that is no security key. */
export type Checked = { readonly ok: false } | { readonly ok: true; readonly presence: Presence | null };

const NO: Checked = { ok: false };
const TOUCHED = 0x01;
const VERIFIED = 0x04;

/** Yes only when `signatureBlob` (the scheme's name, then the signature) is `key`'s signature of `signedData` by exactly this
 *  scheme: the blob must repeat its name, and it must fit the key's type. What a yes of a security key is worth without a
 *  touch is the caller's to say. */
export function checkSignature(key: PublicKey, scheme: string, signedData: Buffer, signatureBlob: Buffer): Checked {
  const known = SCHEMES.get(scheme);
  if (known === undefined || known.keyType !== key.type) return NO;
  const reader = new WireReader(signatureBlob);
  const name = reader.bytes().toString('latin1');
  const encoded = reader.bytes();
  let presence: Presence | null = null;
  let data = signedData;
  if (key.applicationHash !== null) {
    const flags = reader.byte();
    const counter = reader.uint32();
    presence = { touched: (flags & TOUCHED) !== 0, verified: (flags & VERIFIED) !== 0, counter };
    data = signedByToken(key.applicationHash, flags, counter, signedData);
  }
  if (!reader.atEnd || name !== scheme) return NO;
  const signature = rawSignature(key, known.hash === null, encoded);
  if (signature === null) return NO;
  try {
    const verifier = { key: key.key, dsaEncoding: 'ieee-p1363' } as const;
    return cryptoVerify(known.hash, data, verifier, signature) === true ? { ok: true, presence } : NO;
  } catch {
    return NO;
  }
}

/** Signed by whatever scheme the blob itself names, out of those that fit the key: for signatures that nobody has asked for,
 *  such as a CA's over a certificate. */
export function isSignedBy(key: PublicKey, signedData: Buffer, signatureBlob: Buffer): boolean {
  const scheme = new WireReader(signatureBlob).bytes().toString('latin1');
  return checkSignature(key, scheme, signedData, signatureBlob).ok;
}

/** What a security key signs in place of the message. Extensions would stand before its hash: OpenSSH knows none. */
function signedByToken(applicationHash: Buffer, flags: number, counter: number, message: Buffer): Buffer {
  const hash = createHash('sha256').update(message).digest();
  return concatFields([{ raw: applicationHash }, { byte: flags }, counter, { raw: hash }]);
}

/** The signature as node wants it, or null where the length or the spelling is wrong. */
function rawSignature(key: PublicKey, isEd25519: boolean, encoded: Buffer): Buffer | null {
  if (isEd25519) return encoded.length === 64 ? encoded : null;
  if (key.type === 'ssh-rsa') {
    // Some signers drop leading zero bytes; like OpenSSH we put them back, and take nothing longer than the modulus.
    return encoded.length === 0 ? null : leftPad(encoded, key.sizeBytes);
  }
  const reader = new WireReader(encoded);
  const r = positiveMpint(reader.bytes());
  const s = positiveMpint(reader.bytes());
  if (!reader.atEnd || r === null || s === null) return null;
  const left = leftPad(r, key.sizeBytes);
  const right = leftPad(s, key.sizeBytes);
  return left === null || right === null ? null : Buffer.concat([left, right]);
}

function leftPad(bytes: Buffer, length: number): Buffer | null {
  if (bytes.length > length) return null;
  return bytes.length === length ? bytes : Buffer.concat([Buffer.alloc(length - bytes.length), bytes]);
}
