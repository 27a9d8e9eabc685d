/** NEW KEY: where our code generates key pairs, with their numbers read out as JSON Web Keys (RFC 7517, RFC 8037).
 *  Owns nothing. `generateKeyPairSync(…).publicKey.export({ format: 'jwk' })` may hang the process for ever: the export holds
 *  the key's lock while it makes JavaScript strings, and a garbage collection in that moment frees the job that has
 *  generated the key, whose destructor takes the same lock. Seen on Node 20, once in 18,000 logins. Asked for together with
 *  the key, the numbers are read while the job is alive (DECISIONS 45). */
import { generateKeyPairSync, type KeyObject } from 'node:crypto';
import { TunnelError } from './errors.js';

const JWK = { format: 'jwk' } as const;

/** @returns a key for one exchange, and the 32 bytes of its public half */
export function newX25519(): { readonly privateKey: KeyObject; readonly publicKey: Buffer } {
  const { privateKey, publicKey } = generateKeyPairSync('x25519', { publicKeyEncoding: JWK });
  return { privateKey, publicKey: readNumber('x', publicKey) };
}

/** @returns the numbers of a new signature key: `d` is the private one; of P-256 `y` too */
export function newSignatureKey(type: 'ed25519'): { readonly x: Buffer; readonly d: Buffer };
export function newSignatureKey(type: 'P-256'): { readonly x: Buffer; readonly y: Buffer; readonly d: Buffer };
export function newSignatureKey(type: 'ed25519' | 'P-256'): { x: Buffer; y?: Buffer; d: Buffer } {
  if (type === 'ed25519') {
    const { privateKey } = generateKeyPairSync('ed25519', { privateKeyEncoding: JWK });
    return { x: readNumber('x', privateKey), d: readNumber('d', privateKey) };
  }
  const options = { namedCurve: type, privateKeyEncoding: JWK }; // written in the call, @types/node would refuse the encoding
  const { privateKey } = generateKeyPairSync('ec', options);
  return { x: readNumber('x', privateKey), y: readNumber('y', privateKey), d: readNumber('d', privateKey) };
}

/** @param jwk by its type a KeyObject: @types/node does not know that `format: 'jwk'` gives a JSON Web Key */
function readNumber(name: 'x' | 'y' | 'd', jwk: object): Buffer {
  const text: unknown = Reflect.get(jwk, name);
  if (typeof text !== 'string') throw new TunnelError('INTERNAL', `a new key has no ${name}`);
  return Buffer.from(text, 'base64url');
}
