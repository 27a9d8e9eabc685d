/** SIGNATURE: did the holder of this key sign these bytes? (RFC 4253 §6.6, RFC 5656 §3.1.2, RFC 8332 §3, RFC 8709 §6)
 *  Owns the table of algorithms that a login may use: SHA-1, DSA, security keys and certificates are not in it.
 *  Answers true or false and never throws, so that no caller can take an error for a yes. */
import { verify as cryptoVerify } from 'node:crypto';
import { WireReader } from '../../shared/protocol.js';
import { type PublicKey, positiveMpint } from './public_key.js';

interface Algorithm {
  readonly keyType: string;
  /** Null where the scheme hashes for itself (Ed25519). */
  readonly hash: 'sha256' | 'sha384' | 'sha512' | null;
}

const ALGORITHMS: ReadonlyMap<string, Algorithm> = new Map<string, Algorithm>([
  ['ssh-ed25519', { keyType: 'ssh-ed25519', hash: null }],
  ['ecdsa-sha2-nistp256', { keyType: 'ecdsa-sha2-nistp256', hash: 'sha256' }],
  ['ecdsa-sha2-nistp384', { keyType: 'ecdsa-sha2-nistp384', hash: 'sha384' }],
  ['ecdsa-sha2-nistp521', { keyType: 'ecdsa-sha2-nistp521', hash: 'sha512' }],
  ['rsa-sha2-512', { keyType: 'ssh-rsa', hash: 'sha512' }],
  ['rsa-sha2-256', { keyType: 'ssh-rsa', hash: 'sha256' }],
]);

/** The algorithms that `verify` knows, the preferred ones first. */
export const SIGNATURE_ALGORITHMS: readonly string[] = [...ALGORITHMS.keys()];

/** The key type that an algorithm signs with, or null for an algorithm that we do not accept. */
export function keyTypeOf(algorithm: string): string | null {
  return ALGORITHMS.get(algorithm)?.keyType ?? null;
}

/** True only when `signatureBlob` (format name, then the signature) is `key`'s signature of `signedData` by exactly the
 *  algorithm that the request named: the format must repeat that name and the algorithm must fit the key's type. */
export function verify(key: PublicKey, algorithm: string, signedData: Buffer, signatureBlob: Buffer): boolean {
  const scheme = ALGORITHMS.get(algorithm);
  if (scheme === undefined || scheme.keyType !== key.type) return false;
  const reader = new WireReader(signatureBlob);
  const format = reader.bytes().toString('latin1');
  const encoded = reader.bytes();
  if (!reader.atEnd || format !== algorithm) return false;
  const signature = rawSignature(key, encoded);
  if (signature === null) return false;
  try {
    const verifier = { key: key.key, dsaEncoding: 'ieee-p1363' } as const;
    return cryptoVerify(scheme.hash, signedData, verifier, signature) === true;
  } catch {
    return false;
  }
}

/** The signature as node wants it, or null where the length or the spelling is wrong. */
function rawSignature(key: PublicKey, encoded: Buffer): Buffer | null {
  if (key.type === 'ssh-ed25519') return encoded.length === 64 ? encoded : null;
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
