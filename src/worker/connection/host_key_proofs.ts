/** HOST KEY PROOFS: tells a client which host keys the server has, and proves that it has them (OpenSSH PROTOCOL §2.5). So
 *  UpdateHostKeys learns the next key while the old one still serves, and forgets the old one when it is gone.
 *  Owns how often one connection has asked. Signs nothing before every key of a request is known to be ours. */
import { concatFields, MSG, message, type WireField, WireReader } from '../../shared/protocol.js';
import type { HostKey, RsaAlgorithm } from '../transport/host_key.js';
import { softwareOf } from '../transport/ident.js';

const HOST_KEYS = 'hostkeys-00@openssh.com';
export const HOST_KEYS_PROVE = 'hostkeys-prove-00@openssh.com';

/** Requests of one connection that are signed for. OpenSSH asks once, for all keys that are new to it. Each may name every key, and a
 *  signature costs 0.03 ms (Ed25519) to 4 ms (RSA, 4096 bits; DECISIONS 78). sshd signs for ever. */
const MAX_PROOFS = 4;

/** Clients that end the connection when they hear of host keys: SSH_BUG_HOSTKEYS in OpenSSH's compat.c. */
const DEAF = /^(?:Cisco-1\.|TeraTerm SSH|TTSSH\/(?:1\.5\.|2\.[1-6]|2\.7[0-2]))/;

/** What a connection needs of it. */
export interface HostKeyProver {
  /** @param asked the keys of a request, a `string` each
   *  @returns a `string` with the signature of each, in their order, or null where the answer is no */
  prove(asked: Buffer): Buffer | null;
}

/** Sent once, behind the login. A reload tells nothing to those who are there: they keep the keys that they came by.
 *  @param ident the peer's whole ident line
 *  @returns null for a client that cannot hear it, and where certificates alone may sign */
export function announcementFor(ident: string, keys: readonly Pick<HostKey, 'blob'>[]): Buffer | null {
  if (keys.length === 0 || DEAF.test(softwareOf(ident))) return null;
  return message(MSG.GLOBAL_REQUEST, HOST_KEYS, false, ...keys.map(({ blob }) => blob));
}

export interface HostKeyProofsOptions {
  readonly keys: readonly Pick<HostKey, 'blob' | 'signature'>[];
  readonly sessionId: Buffer;
  readonly rsaAlgorithm: RsaAlgorithm;
}

export class HostKeyProofs implements HostKeyProver {
  readonly #options: HostKeyProofsOptions;
  #left = MAX_PROOFS;

  constructor(options: HostKeyProofsOptions) {
    this.#options = options;
  }

  prove(asked: Buffer): Buffer | null {
    const { sessionId, rsaAlgorithm } = this.#options;
    const wanted = this.#wanted(asked);
    if (wanted === null || this.#left === 0) return null;
    this.#left--;
    const signatures: WireField[] = [];
    for (const { blob, signature } of wanted)
      signatures.push(signature(concatFields([HOST_KEYS_PROVE, sessionId, blob]), rsaAlgorithm));
    return concatFields(signatures);
  }

  /** Null where there is none, or one cannot be read, is not ours or is asked for twice: so we never sign more than we have told. */
  #wanted(asked: Buffer): ReadonlySet<Pick<HostKey, 'blob' | 'signature'>> | null {
    const reader = new WireReader(asked);
    const wanted = new Set<Pick<HostKey, 'blob' | 'signature'>>();
    while (reader.left > 0) {
      const blob = reader.bytes();
      const key = reader.ok ? this.#options.keys.find((own) => own.blob.equals(blob)) : undefined;
      if (key === undefined || wanted.has(key)) return null;
      wanted.add(key);
    }
    return reader.ok && wanted.size > 0 ? wanted : null;
  }
}
