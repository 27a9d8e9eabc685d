/** OPENSSH KEY: writes a new host key pair in the form that ssh-keygen reads (openssh-key-v1: OpenSSH's PROTOCOL.key).
 *  Owns nothing; the numbers come from new_key.ts. */
import { randomBytes } from 'node:crypto';
import { newSignatureKey } from '../shared/new_key.js';
import { concatFields, mpint, type WireField } from '../shared/protocol.js';

export type HostKeyType = 'ed25519' | 'ecdsa';

export interface KeyPairText {
  /** PEM of type OPENSSH PRIVATE KEY, unencrypted. */
  readonly privateKey: string;
  /** One line: `TYPE BASE64 COMMENT`. */
  readonly publicKey: string;
}

const MAGIC = Buffer.from('openssh-key-v1\0', 'latin1');
const BLOCK_BYTES = 8; // of the cipher "none"

/** @param comment ends up in the .pub line, as ssh-keygen's `user@host` does */
export function newKeyPair(type: HostKeyType, comment: string): KeyPairText {
  const { name, publicFields, privateFields } = type === 'ed25519' ? ed25519() : ecdsa();
  const publicBlob = concatFields([name, ...publicFields]);
  const check = randomBytes(4).readUInt32BE();
  const secret = concatFields([check, check, name, ...privateFields, comment]);
  const padding = Buffer.from(Array.from({ length: -secret.length & (BLOCK_BYTES - 1) }, (_, index) => index + 1));
  const none = 'none';
  const body = concatFields([{ raw: MAGIC }, none, none, '', 1, publicBlob, Buffer.concat([secret, padding])]);
  return { privateKey: pem(body), publicKey: `${name} ${publicBlob.toString('base64')} ${comment}\n` };
}

interface KeyFields {
  readonly name: string;
  readonly publicFields: readonly WireField[];
  readonly privateFields: readonly WireField[];
}

function ed25519(): KeyFields {
  const { x, d } = newSignatureKey('ed25519');
  return { name: 'ssh-ed25519', publicFields: [x], privateFields: [x, Buffer.concat([d, x])] };
}

function ecdsa(): KeyFields {
  const { x, y, d } = newSignatureKey('P-256');
  const point = Buffer.concat([Buffer.of(4), x, y]); // uncompressed, RFC 5656 §3.1
  const curve = 'nistp256';
  return {
    name: 'ecdsa-sha2-nistp256',
    publicFields: [curve, point],
    privateFields: [curve, point, mpint(d)],
  };
}

function pem(body: Buffer): string {
  const lines = body.toString('base64').match(/.{1,70}/g) ?? [];
  return ['-----BEGIN OPENSSH PRIVATE KEY-----', ...lines, '-----END OPENSSH PRIVATE KEY-----', ''].join('\n');
}
