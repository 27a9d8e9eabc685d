/** HYBRID CLIENT: the client's half of mlkem768x25519-sha256, for ssh2's client, which does not know it.
 *  Owns the keys of one exchange. The server must offer curve25519-sha256 too: ssh2 believes that it agrees on that, and sends and
 *  hashes what stands here. */
import { createHash } from 'node:crypto';
import { ml_kem768 } from '@noble/post-quantum/ml-kem.js';
import { HYBRID_KEX, HYBRID_STAND_IN } from '../../src/worker/transport/algorithms.js';
import type { Ssh2KexInit, Ssh2KeyExchange } from '../../src/worker/transport/ssh2.js';
import { X25519 } from '../../src/worker/transport/x25519.js';

const CIPHERTEXT_BYTES = 1088;

/** What is said instead of the right thing. */
export interface Spoilt {
  /** In the place of C_INIT. */
  readonly init?: (sound: Buffer) => Buffer;
}

export class HybridClient {
  readonly #mlKem = ml_kem768.keygen();
  readonly #x25519 = new X25519();

  /** draft-ietf-sshm-mlkem-hybrid-kex §2.1. */
  get init(): Buffer {
    return Buffer.concat([this.#mlKem.publicKey, this.#x25519.publicKey]);
  }

  /** @param reply S_REPLY. @returns K */
  secretFrom(reply: Buffer): Buffer {
    const quantum = ml_kem768.decapsulate(reply.subarray(0, CIPHERTEXT_BYTES), this.#mlKem.secretKey);
    const classical = this.#x25519.secretWith(reply.subarray(CIPHERTEXT_BYTES));
    return createHash('sha256').update(quantum).update(classical).digest();
  }
}

/** For an offer that names `HYBRID_KEX`. */
export function acceptStandIn(offer: Ssh2KexInit): void {
  offer.lists.kex.array = offer.lists.kex.array.map((name) => (name === HYBRID_KEX ? HYBRID_STAND_IN : name));
}

/** Each exchange that `client` begins from now on is a hybrid one. */
export function useHybridClient(client: { _kex: Ssh2KeyExchange | undefined }, { init }: Spoilt = {}): void {
  let current = client._kex; // it has the session identifier
  Object.defineProperty(client, '_kex', {
    get: () => current,
    set(made: Ssh2KeyExchange | undefined) {
      current = made;
      if (made === undefined) return;
      const hybrid = new HybridClient();
      const said = init?.(hybrid.init) ?? hybrid.init;
      made.getPublicKey = () => said;
      made.convertPublicKey = (theirs) => theirs;
      made.computeSecret = (theirs) => hybrid.secretFrom(theirs);
    },
  });
}
