/** HOST KEY: private host keys from PEM or OpenSSH text to what the key exchange signs with.
 *  Owns the keys' KeyObjects. ssh2 would parse the PEM text again at each login (0.38 ms); a KeyObject signs in 0.03 ms. */
import { createPrivateKey, type KeyObject, sign } from 'node:crypto';
import { HOST_KEY_ALGORITHMS } from '../../shared/algorithms.js';
import { TunnelError } from '../../shared/errors.js';
import type { Ssh2, Ssh2HostKey } from './ssh2.js';

/** Signature algorithms that a key of each type can make (RFC 8332 for RSA; SHA-1 never). */
const SIGNATURES: ReadonlyMap<string, readonly string[]> = new Map([
  ['ssh-ed25519', ['ssh-ed25519']],
  ['ecdsa-sha2-nistp256', ['ecdsa-sha2-nistp256']],
  ['ecdsa-sha2-nistp384', ['ecdsa-sha2-nistp384']],
  ['ecdsa-sha2-nistp521', ['ecdsa-sha2-nistp521']],
  ['ssh-rsa', ['rsa-sha2-512', 'rsa-sha2-256']],
]);

/** node:crypto's digest for a key type; Ed25519 brings its own, RSA's is named by the key exchange. */
const DIGESTS: ReadonlyMap<string, string> = new Map([
  ['ecdsa-sha2-nistp256', 'sha256'],
  ['ecdsa-sha2-nistp384', 'sha384'],
  ['ecdsa-sha2-nistp521', 'sha512'],
]);

export interface HostKeys {
  /** Algorithm names in the order of those allowed, for the offer. */
  readonly algorithms: readonly string[];
  /** By algorithm name, as ssh2's key exchange looks them up. */
  readonly byAlgorithm: { readonly [algorithm: string]: Ssh2HostKey };
}

/** Parses every file; `path` is for the message only. `allowed`: what keys may sign with.
 *  @throws TunnelError HOST_KEY_INVALID that names the file and what is wrong with it. */
export function parseHostKeys(
  ssh2: Ssh2,
  files: ReadonlyArray<{ readonly path: string; readonly pem: string }>,
  allowed: readonly string[] = HOST_KEY_ALGORITHMS,
): HostKeys {
  const byAlgorithm: { [algorithm: string]: Ssh2HostKey } = {};
  for (const file of files) {
    const key = parseHostKey(ssh2, file);
    for (const algorithm of SIGNATURES.get(key.type) ?? []) byAlgorithm[algorithm] ??= key;
  }
  const known = Object.keys(byAlgorithm);
  if (known.length === 0) throw new TunnelError('HOST_KEY_INVALID', 'there is no host key to serve with');
  const algorithms = allowed.filter((algorithm) => known.includes(algorithm));
  if (algorithms.length === 0)
    throw new TunnelError(
      'HOST_KEY_INVALID',
      `algorithms.hostKeys allows ${allowed.join(', ')}, and the host keys at hand sign with ${known.join(', ')}`,
    );
  return { algorithms, byAlgorithm };
}

function parseHostKey(ssh2: Ssh2, file: { readonly path: string; readonly pem: string }): Ssh2HostKey {
  const parsed = ssh2.parseKey(file.pem);
  const first = Array.isArray(parsed) ? parsed[0] : parsed;
  if (first === undefined || first instanceof Error)
    throw invalid(
      file.path,
      `is no private key that can be read (${first?.message ?? 'empty'}); encrypted keys cannot be used`,
    );
  const pem = first.isPrivateKey() ? first.getPrivatePEM() : null;
  if (pem === null) throw invalid(file.path, 'is a public key; the private key is needed');
  if (!SIGNATURES.has(first.type))
    throw invalid(file.path, `is of type ${first.type}; allowed are ${[...SIGNATURES.keys()].join(', ')}`);
  let key: KeyObject;
  try {
    key = createPrivateKey(pem);
  } catch (cause) {
    throw invalid(file.path, 'is no key that this Node.js can use', cause);
  }
  const bits = key.asymmetricKeyDetails?.modulusLength;
  if (bits !== undefined && bits < 2048) throw invalid(file.path, `is RSA with ${bits} bits; at least 2048 are needed`);
  const blob = first.getPublicSSH();
  const digest = DIGESTS.get(first.type) ?? null;
  return {
    type: first.type,
    getPublicSSH: () => blob,
    sign: (data, hash) => sign(hash ?? digest, data, key),
  };
}

function invalid(path: string, what: string, cause?: unknown): TunnelError {
  return new TunnelError('HOST_KEY_INVALID', `host key ${path} ${what}`, { cause });
}
