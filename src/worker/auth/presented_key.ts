/** PRESENTED KEY: what a peer shows to log in by: a plain key, or a certificate with a key in it.
 *  Owns nothing. Cuts a stranger's bytes up and parses no key. */
import { type Certificate, keyIdOf, readCertificate } from './certificate.js';
import { isCertificateType } from './certificate_type.js';
import type { RevocationList } from './krl.js';
import { blobType, fingerprint } from './public_key.js';

export interface PresentedKey {
  /** As it was sent. */
  readonly blob: Buffer;
  /** The key that signs: `blob` itself, or the key in the certificate. */
  readonly keyBlob: Buffer;
  /** `SHA256:…` of that key, as `ssh-keygen -l` prints it for a certificate too. */
  readonly fingerprint: string;
  readonly certificate: Certificate | null;
}

export type ReadPresentedKey =
  | { readonly ok: true; readonly key: PresentedKey }
  | { readonly ok: false; readonly code: 'MALFORMED' | 'UNSUPPORTED_KEY'; readonly why: string };

export function readPresentedKey(blob: Buffer): ReadPresentedKey {
  if (!isCertificateType(blobType(blob) ?? ''))
    return { ok: true, key: { blob, keyBlob: blob, fingerprint: fingerprint(blob), certificate: null } };
  const read = readCertificate(blob);
  if (!read.ok) return read;
  const { certificate } = read;
  return {
    ok: true,
    key: { blob, keyBlob: certificate.keyBlob, fingerprint: fingerprint(certificate.keyBlob), certificate },
  };
}

/** Why it is revoked, in words for the log; null where it is not. */
export function revocationOf(key: PresentedKey, revoked: RevocationList): string | null {
  if (key.certificate === null) return revoked.hasKey(key.keyBlob) ? 'the key is revoked' : null;
  const by = revoked.revokes(key.certificate);
  return by === null ? null : `the certificate is revoked by its ${by}`;
}

/** What an auditor wants to know of a certificate; all of it is the certificate's own word until its CA's signature has been
 *  checked. */
export interface CertificateFacts {
  /** Fit for a log. */
  readonly keyId: string;
  /** A uint64 in decimal. */
  readonly serial: string;
  /** `SHA256:…` of the CA's key. */
  readonly ca: string;
}

/** Nothing for a plain key. */
export function factsOf({ certificate }: PresentedKey): CertificateFacts | undefined {
  if (certificate === null) return undefined;
  return { keyId: keyIdOf(certificate), serial: String(certificate.serial), ca: fingerprint(certificate.caBlob) };
}
