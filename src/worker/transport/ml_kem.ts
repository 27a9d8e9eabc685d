/** ML-KEM: the server's half of ML-KEM-768 (FIPS 203): a secret for whoever has the private half of a public key.
 *  Owns the choice of who reckons: node:crypto where it can (Node 24.7 and later: 0.1 ms), else @noble/post-quantum, which is
 *  JavaScript (0.7 ms), and is loaded only then, and only where the hybrid is offered: it weighs 2 MB of a worker (DECISIONS 73). */
import * as crypto from 'node:crypto';
import { HYBRID_KEX } from './algorithms.js';

export const ML_KEM_PUBLIC_KEY_BYTES = 1184;

export interface Encapsulated {
  /** 1088 bytes, for the peer. */
  readonly ciphertext: Uint8Array;
  /** 32 bytes, for us. */
  readonly sharedKey: Uint8Array;
}

export interface MlKem {
  readonly by: 'node' | 'noble';
  /** @throws Error when the key has another length, or numbers beyond the modulus (FIPS 203 §7.2) */
  encapsulate(publicKey: Uint8Array): Encapsulated;
}

/** To be awaited before the first connection that is offered what needs it.
 *  @returns null where these key exchanges do not, and Node has it not at hand */
export async function mlKemFor(kex: readonly string[]): Promise<MlKem | null> {
  return nodeMlKem() ?? (kex.includes(HYBRID_KEX) ? await nobleMlKem() : null);
}

export async function loadMlKem(): Promise<MlKem> {
  return nodeMlKem() ?? (await nobleMlKem());
}

/** SubjectPublicKeyInfo of id-alg-ml-kem-768 (2.16.840.1.101.3.4.4.2) up to the key itself. */
const SPKI_HEAD = Buffer.from('308204b2300b0609608648016503040402038204a100', 'hex');

/** @returns null where this Node has no ML-KEM, or its OpenSSL none */
export function nodeMlKem(): MlKem | null {
  const encapsulate: unknown = Reflect.get(crypto, 'encapsulate'); // @types/node is that of Node 20
  if (typeof encapsulate !== 'function') return null;
  const byNode: MlKem = {
    by: 'node',
    encapsulate(publicKey) {
      checkLength(publicKey);
      const key = { key: Buffer.concat([SPKI_HEAD, publicKey]), format: 'der', type: 'spki' };
      const made: unknown = encapsulate(key);
      if (!isEncapsulated(made)) throw new Error('node:crypto answered no encapsulated key');
      return made;
    },
  };
  try {
    byNode.encapsulate(Buffer.alloc(ML_KEM_PUBLIC_KEY_BYTES)); // zeros are below the modulus
    return byNode;
  } catch {
    return null;
  }
}

export async function nobleMlKem(): Promise<MlKem> {
  const { ml_kem768: noble } = await import('@noble/post-quantum/ml-kem.js');
  return {
    by: 'noble',
    encapsulate(publicKey) {
      checkLength(publicKey);
      const { cipherText, sharedSecret } = noble.encapsulate(publicKey);
      return { ciphertext: cipherText, sharedKey: sharedSecret };
    },
  };
}

function checkLength({ length }: Uint8Array): void {
  if (length !== ML_KEM_PUBLIC_KEY_BYTES) throw new Error(`an ML-KEM-768 public key of ${length} bytes`);
}

function isEncapsulated(value: unknown): value is Encapsulated {
  if (typeof value !== 'object' || value === null || !('ciphertext' in value && 'sharedKey' in value)) return false;
  return value.ciphertext instanceof Uint8Array && value.sharedKey instanceof Uint8Array;
}
