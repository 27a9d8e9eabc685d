/** X25519: our half of curve25519-sha256 (RFC 8731) with raw keys.
 *  Owns nothing. ssh2 writes our public key to DER twice a login and reads the peer's from DER, which in OpenSSL 3 costs more
 *  than the curve itself: 0.2 ms of 2. JSON Web Keys carry the same 32 bytes and take another way (DECISIONS 37). */
import { createPublicKey, diffieHellman } from 'node:crypto';
import { newX25519 } from '../../shared/new_key.js';
import { mpint } from '../../shared/protocol.js';
import type { Ssh2KeyExchange, Ssh2Protocol } from './ssh2.js';

const KEY_BYTES = 32;

/** From now on each Curve25519 exchange that `protocol` begins reckons with raw keys. */
export function useRawX25519(protocol: Ssh2Protocol): void {
  let current = protocol._kex;
  Object.defineProperty(protocol, '_kex', {
    configurable: true,
    enumerable: true,
    get: () => current,
    set(kex: Ssh2KeyExchange | undefined) {
      current = kex;
      if (kex?.type === '25519') withRawKeys(kex);
    },
  });
}

function withRawKeys(kex: Ssh2KeyExchange): void {
  let pair: ReturnType<typeof newX25519> | null = null;
  const own = (): ReturnType<typeof newX25519> => {
    pair ??= newX25519();
    return pair;
  };
  kex.getPublicKey = () => own().publicKey;
  // An Error is answered, not thrown: so ssh2 ends the exchange with KEY_EXCHANGE_FAILED.
  kex.computeSecret = (theirs) => {
    try {
      if (theirs.length !== KEY_BYTES) return new Error(`a public key of ${theirs.length} bytes`);
      const jwk = { kty: 'OKP', crv: 'X25519', x: theirs.toString('base64url') };
      const publicKey = createPublicKey({ key: jwk, format: 'jwk' });
      // RFC 8731 §3: a secret of zeros (a point of low order) must end the exchange. OpenSSL throws.
      return mpint(diffieHellman({ privateKey: own().privateKey, publicKey }));
    } catch (error) {
      return error instanceof Error ? error : new Error(String(error));
    }
  };
}
