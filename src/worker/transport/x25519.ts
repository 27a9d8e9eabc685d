/** X25519: our half of an exchange over Curve25519 (RFC 8731) with raw keys.
 *  Owns the key pair of one exchange. ssh2 writes our public key to DER twice a login and reads the peer's from DER, which in
 *  OpenSSL 3 costs more than the curve itself: 0.2 ms of 2. JSON Web Keys carry the same 32 bytes and take another way
 *  (DECISIONS 37). */
import { createPublicKey, diffieHellman } from 'node:crypto';
import { newX25519 } from '../../shared/new_key.js';

export const X25519_BYTES = 32;

export class X25519 {
  #pair: ReturnType<typeof newX25519> | null = null;

  get publicKey(): Buffer {
    return this.#own.publicKey;
  }

  /** The 32 bytes that both sides have.
   *  @throws Error for a key of another length, and for a secret of zeros (a point of low order), which must end the exchange
   *  (RFC 8731 §3): OpenSSL refuses it. */
  secretWith(theirs: Buffer): Buffer {
    if (theirs.length !== X25519_BYTES) throw new Error(`a public key of ${theirs.length} bytes`);
    const jwk = { kty: 'OKP', crv: 'X25519', x: theirs.toString('base64url') };
    const publicKey = createPublicKey({ key: jwk, format: 'jwk' });
    return diffieHellman({ privateKey: this.#own.privateKey, publicKey });
  }

  get #own(): ReturnType<typeof newX25519> {
    this.#pair ??= newX25519();
    return this.#pair;
  }
}
