/** EXCHANGES: the key exchanges that we reckon ourselves in the place of ssh2's: Curve25519 with raw keys (x25519.ts), and
 *  mlkem768x25519-sha256 (draft-ietf-sshm-mlkem-hybrid-kex), which ssh2 does not know.
 *  Owns, of one connection, what was agreed while a KEXINIT is being read. ssh2 negotiates and makes an exchange in one call, and
 *  throws for a name that it does not know. So it reads a KEXINIT of the peer's that names the agreed exchange alone, a stand-in for
 *  the hybrid one; the exchange that it makes is given the real KEXINIT for its hash, and functions of ours (DECISIONS 73). */
import { createHash } from 'node:crypto';
import { withoutCertificate } from '../../shared/algorithms.js';
import { MSG, mpint, WireReader } from '../../shared/protocol.js';
import { HYBRID_KEX, HYBRID_STAND_IN } from './algorithms.js';
import type { HostKeys, RsaAlgorithm } from './host_key.js';
import { ML_KEM_PUBLIC_KEY_BYTES, type MlKem } from './ml_kem.js';
import type { Ssh2KeyExchange, Ssh2Protocol } from './ssh2.js';
import { X25519, X25519_BYTES } from './x25519.js';

/** `byte SSH_MSG_KEXINIT`, `byte[16] cookie`: the names of key exchanges come next (RFC 4253 §7.1). */
const NAMES_AT = 17;
/** Names of the list that are no key exchange: RFC 8308 §2.1, and OpenSSH PROTOCOL §1.10. */
const MARKERS: readonly string[] = ['ext-info-c', 'kex-strict-c-v00@openssh.com'];

interface Agreement {
  /** The KEXINIT as it came. */
  readonly kexInit: Buffer;
  readonly kex: string;
  /** What the peer takes of host keys. */
  readonly hostKeys: readonly string[];
}

export class Exchanges {
  readonly #protocol: Ssh2Protocol;
  readonly #hostKeys: Pick<HostKeys, 'byAlgorithm' | 'certified'>;
  readonly #offered: readonly string[];
  readonly #mlKem: MlKem | null;
  /** Of the KEXINIT that ssh2 is about to read. */
  #agreement: Agreement | null = null;
  #rsaAlgorithm: RsaAlgorithm = 'rsa-sha2-512';

  /** @param offered names of key exchanges, as they stand in our KEXINIT
   *  @param mlKem null only where there is no hybrid among them */
  constructor(
    protocol: Ssh2Protocol,
    offered: readonly string[],
    hostKeys: Pick<HostKeys, 'byAlgorithm' | 'certified'>,
    mlKem: MlKem | null,
  ) {
    this.#protocol = protocol;
    this.#hostKeys = hostKeys;
    this.#offered = offered;
    this.#mlKem = mlKem;
    protocol.onExchange = (exchange) => this.#take(exchange);
  }

  /** From now on the KEXINIT with which the connection begins is read here too; later ones pass through the transport. To be called
   *  when ssh2 has read the peer's ident. */
  readFirstOf({ _decipher: decipher }: Ssh2Protocol): void {
    if (decipher === undefined) return; // the ident was none, and has ended the connection
    const onPayload = decipher._onPayload;
    decipher._onPayload = (payload) => onPayload(payload[0] === MSG.KEXINIT ? this.read(payload) : payload);
  }

  /** What an RSA key of the server signs with for this peer, beside a key exchange: as in the exchange, where that was with RSA, or
   *  else what it takes there. One that knows RSA with SHA-1 alone gets SHA-2 all the same. */
  get rsaAlgorithm(): RsaAlgorithm {
    return this.#rsaAlgorithm;
  }

  /** RFC 4253 §7.1: the first name of the client's list that is in ours too.
   *  @returns the peer's KEXINIT as ssh2 is to have it; it shares no memory with `payload` unless that cannot be read */
  read(payload: Buffer): Buffer {
    this.#agreement = null;
    const reader = new WireReader(payload, NAMES_AT);
    const names = reader.text().split(',');
    if (!reader.ok) return payload; // ssh2 says what is wrong with it
    const restAt = reader.offset;
    const kex = names.find((name) => this.#offered.includes(name));
    const shown = names.filter((name) => MARKERS.includes(name));
    if (kex !== undefined) {
      this.#agreement = { kexInit: Buffer.from(payload), kex, hostKeys: reader.text().split(',') };
      shown.unshift(kex === HYBRID_KEX ? HYBRID_STAND_IN : kex);
    }
    const list = Buffer.from(shown.join(','));
    const length = Buffer.alloc(4);
    length.writeUInt32BE(list.length);
    return Buffer.concat([payload.subarray(0, NAMES_AT), length, list, payload.subarray(restAt)]);
  }

  #take(kex: Ssh2KeyExchange): void {
    const agreement = this.#agreement;
    this.#agreement = null;
    if (agreement === null || kex.negotiated === undefined || !Buffer.isBuffer(kex._remoteKexinit))
      throw new Error('ssh2 has begun a key exchange that was not agreed');
    kex._remoteKexinit = agreement.kexInit;
    kex.negotiated.kex = agreement.kex;
    this.#useHostKey(kex.negotiated);
    this.#rsaAlgorithm = rsaAlgorithmOf(kex.negotiated.serverHostKey, agreement.hostKeys.map(withoutCertificate));
    if (agreement.kex === HYBRID_KEX) useHybrid(kex, this.#mlKem ?? noMlKem());
    else if (kex.type === '25519') useRawX25519(kex);
  }

  /** OpenSSH PROTOCOL.certkeys: with a certificate K_S is the certificate, and what signs is the key in it, by its own name: ssh2 would
   *  write that of the certificate into the signature. */
  #useHostKey(negotiated: { serverHostKey: string }): void {
    const plain = withoutCertificate(negotiated.serverHostKey);
    const { byAlgorithm, certified } = this.#hostKeys;
    this.#protocol._hostKeys = plain === negotiated.serverHostKey ? byAlgorithm : certified;
    negotiated.serverHostKey = plain;
  }
}

/** As sshd chooses it (serverloop.c, server_input_hostkeys_prove). */
function rsaAlgorithmOf(agreed: string, taken: readonly string[]): RsaAlgorithm {
  if (agreed === 'rsa-sha2-512' || agreed === 'rsa-sha2-256') return agreed;
  return taken.includes('rsa-sha2-256') && !taken.includes('rsa-sha2-512') ? 'rsa-sha2-256' : 'rsa-sha2-512';
}

function noMlKem(): never {
  throw new Error('a hybrid exchange was offered without ML-KEM');
}

/** RFC 8731 §3.1: the secret is an mpint. */
function useRawX25519(kex: Ssh2KeyExchange): void {
  const own = new X25519();
  kex.getPublicKey = () => own.publicKey;
  kex.computeSecret = (theirs) => orError(() => mpint(own.secretWith(theirs)));
}

/** draft-ietf-sshm-mlkem-hybrid-kex §2: C_INIT is the client's ML-KEM-768 public key and its X25519 one, S_REPLY our ciphertext and
 *  our X25519 public key, and the secret the hash of both secrets: a string of 32 bytes everywhere, and no mpint (§2.4). */
function useHybrid(kex: Ssh2KeyExchange, mlKem: MlKem): void {
  const own = new X25519();
  let ciphertext: Uint8Array | null = null;
  kex.convertPublicKey = (theirs) => theirs; // ssh2 would strip zeros from its front
  kex.computeSecret = (theirs) =>
    orError(() => {
      if (theirs.length !== ML_KEM_PUBLIC_KEY_BYTES + X25519_BYTES)
        throw new Error(`a C_INIT of ${theirs.length} bytes`);
      // The cheaper one first: whoever spoils it does not get the other.
      const classical = own.secretWith(theirs.subarray(ML_KEM_PUBLIC_KEY_BYTES));
      const quantum = mlKem.encapsulate(theirs.subarray(0, ML_KEM_PUBLIC_KEY_BYTES));
      ciphertext = quantum.ciphertext;
      return createHash('sha256').update(quantum.sharedKey).update(classical).digest();
    });
  // ssh2 asks for it behind the secret.
  kex.getPublicKey = () => {
    if (ciphertext === null) throw new Error('S_REPLY before C_INIT');
    return Buffer.concat([ciphertext, own.publicKey]);
  };
}

/** An Error is answered, not thrown: so ssh2 ends the exchange with KEY_EXCHANGE_FAILED. */
function orError(secret: () => Buffer): Buffer | Error {
  try {
    return secret();
  } catch (error) {
    return error instanceof Error ? error : new Error(String(error));
  }
}
