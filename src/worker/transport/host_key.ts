/** HOST KEY: private host keys from PEM or OpenSSH text to what the key exchange signs with, and what proofs are signed with.
 *  Owns the keys' KeyObjects. ssh2 would parse the PEM text again at each login (0.38 ms); a KeyObject signs in 0.03 ms. */
import { createPrivateKey, type KeyObject, sign } from 'node:crypto';
import { HOST_KEY_ALGORITHMS, withCertificate } from '../../shared/algorithms.js';
import { TunnelError } from '../../shared/errors.js';
import { concatFields, mpint } from '../../shared/protocol.js';
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

/** RFC 4253 §6.1: nobody has to take more than 32,768 bytes in one message. */
const MAX_ANNOUNCED_BYTES = 32_000;

const RSA_DIGESTS = { 'rsa-sha2-512': 'sha512', 'rsa-sha2-256': 'sha256' } as const;

/** How an RSA key signs (RFC 8332 §3). The other types have one algorithm each. */
export type RsaAlgorithm = 'rsa-sha2-512' | 'rsa-sha2-256';

export interface HostKey extends Ssh2HostKey {
  readonly blob: Buffer;
  /** The signature as it goes over the wire: RFC 4253 §6.6, RFC 5656 §3.1.2, RFC 8332 §3, RFC 8709 §6. */
  signature(data: Buffer, rsa: RsaAlgorithm): Buffer;
}

export interface HostKeys {
  /** Algorithm names in the order of those allowed, for the offer. */
  readonly algorithms: readonly string[];
  /** By algorithm name, as ssh2's key exchange looks them up: the first key of each type. */
  readonly byAlgorithm: { readonly [algorithm: string]: HostKey };
  /** The same for keys with a certificate, which they show in the place of the key: the first of each type that has one, by the order of
   *  the keys. A certificate behind it may wait there for the day on which its key moves up: a change of keys wants both. By the
   *  name of what signs. */
  readonly certified: { readonly [algorithm: string]: Ssh2HostKey };
  /** Every key that may sign, once: what is announced and proven (connection/host_key_proofs.ts). */
  readonly all: readonly HostKey[];
}

/** A certificate that is sound in itself. */
export interface CertifiedKey {
  readonly file: string;
  readonly blob: Buffer;
  /** Of the key that it is for. */
  readonly keyBlob: Buffer;
}

export interface HostKeyRules {
  /** What keys may sign with. Default: all. */
  readonly allowed?: readonly string[];
  /** Each for one of the keys. Default: none. */
  readonly certificates?: readonly CertifiedKey[];
}

/** Parses every file; `path` is for the message only.
 *  @throws TunnelError HOST_KEY_INVALID that names the file and what is wrong with it. */
export function parseHostKeys(
  ssh2: Ssh2,
  files: ReadonlyArray<{ readonly path: string; readonly pem: string }>,
  { allowed = HOST_KEY_ALGORITHMS, certificates = [] }: HostKeyRules = {},
): HostKeys {
  const byAlgorithm: { [algorithm: string]: HostKey } = {};
  const certified: { [algorithm: string]: Ssh2HostKey } = {};
  const all: HostKey[] = [];
  const keys = files.map((file) => parseHostKey(ssh2, file));
  for (const key of keys) {
    const signs = SIGNATURES.get(key.type) ?? [];
    for (const algorithm of signs) byAlgorithm[algorithm] ??= key;
    const certificate = certificates.find(({ keyBlob }) => keyBlob.equals(key.blob));
    if (certificate !== undefined)
      for (const algorithm of signs) certified[algorithm] ??= { ...key, getPublicSSH: () => certificate.blob };
    const isNew = !all.some(({ blob }) => blob.equals(key.blob));
    if (isNew && signs.some((algorithm) => allowed.includes(algorithm))) all.push(key);
  }
  const bytes = all.reduce((sum, { blob }) => sum + 4 + blob.length, 0);
  if (bytes > MAX_ANNOUNCED_BYTES)
    throw new TunnelError('HOST_KEY_INVALID', 'there are more host keys than fit into the message that tells of them');
  const known = [...Object.keys(certified).map(withCertificate), ...Object.keys(byAlgorithm)];
  if (known.length === 0) throw new TunnelError('HOST_KEY_INVALID', 'there is no host key to serve with');
  const algorithms = allowed.filter((algorithm) => known.includes(algorithm));
  if (algorithms.length === 0)
    throw new TunnelError(
      'HOST_KEY_INVALID',
      `algorithms.hostKeys allows ${allowed.join(', ')}, and the host keys at hand sign with ${known.join(', ')}`,
    );
  for (const [index, certificate] of certificates.entries()) {
    const wrong = whatIsWrong(certificate, { before: certificates.slice(0, index), keys, algorithms });
    if (wrong !== null) throw new TunnelError('HOST_KEY_INVALID', `host certificate ${certificate.file} ${wrong}`);
  }
  return { algorithms, byAlgorithm, certified, all };
}

interface Surroundings {
  readonly before: readonly CertifiedKey[];
  readonly keys: readonly HostKey[];
  readonly algorithms: readonly string[];
}

/** Of a certificate among the others; null where all is well. One that could never be shown is a mistake too. */
function whatIsWrong(certificate: CertifiedKey, { before, keys, algorithms }: Surroundings): string | null {
  const key = keys.find(({ blob }) => blob.equals(certificate.keyBlob));
  if (key === undefined) return 'is for none of the host keys';
  const other = before.find(({ keyBlob }) => keyBlob.equals(certificate.keyBlob));
  if (other !== undefined) return `is for the same key as ${other.file}`;
  const names = (SIGNATURES.get(key.type) ?? []).map(withCertificate);
  if (names.some((name) => algorithms.includes(name))) return null;
  return `needs ${names.join(' or ')} in algorithms.hostKeys`;
}

function parseHostKey(ssh2: Ssh2, file: { readonly path: string; readonly pem: string }): HostKey {
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
  const isRsa = first.type === 'ssh-rsa';
  const bits = key.asymmetricKeyDetails?.modulusLength ?? 0;
  if (isRsa && bits < 2048) throw invalid(file.path, `is RSA with ${bits} bits; at least 2048 are needed`);
  const blob = first.getPublicSSH();
  const digest = DIGESTS.get(first.type) ?? null;
  return {
    type: first.type,
    blob,
    getPublicSSH: () => blob,
    sign: (data, hash) => sign(hash ?? digest, data, key),
    signature(data, rsa) {
      if (isRsa) return concatFields([rsa, sign(RSA_DIGESTS[rsa], data, key)]);
      const raw = sign(digest, data, { key, dsaEncoding: 'ieee-p1363' });
      return concatFields([first.type, digest === null ? raw : twoNumbers(raw)]);
    },
  };
}

/** RFC 5656 §3.1.2: r and s, each an mpint. */
function twoNumbers(raw: Buffer): Buffer {
  const half = raw.length / 2;
  return concatFields([mpint(raw.subarray(0, half)), mpint(raw.subarray(half))]);
}

function invalid(path: string, what: string, cause?: unknown): TunnelError {
  return new TunnelError('HOST_KEY_INVALID', `host key ${path} ${what}`, { cause });
}
