/** PRESENTED KEY: what a peer shows to log in by: a plain key, or a certificate with a key in it.
 *  Owns nothing. Cuts a stranger's bytes up and parses no key. */
import type { OfCertificate } from '../../shared/events.js';
import { type Certificate, keyIdOf, readCertificate } from './certificate.js';
import { isCertificateType } from './certificate_type.js';
import type { LoginStep } from './hooks.js';
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

/** What a step of a login says of a key, known or not. */
export function shownKey(blob: Buffer): { readonly fingerprint: string; readonly key: Buffer } {
  const read = readPresentedKey(blob);
  return { fingerprint: read.ok ? read.key.fingerprint : fingerprint(blob), key: blob };
}

/** What an auditor wants to know of the steps of a login; the last key counts. */
export function auditOf(steps: readonly LoginStep[]): Partial<OfCertificate> & { readonly counter?: number } {
  const { key, counter } = steps.findLast((step) => step.key !== undefined) ?? {};
  const read = key === undefined ? null : readPresentedKey(key);
  return { ...(read?.ok === true ? factsOf(read.key) : {}), ...(counter === undefined ? {} : { counter }) };
}

/** Has the key of this step been revoked? */
export function isRevoked({ key }: LoginStep, revoked: RevocationList): boolean {
  const read = key === undefined ? null : readPresentedKey(key);
  return read?.ok === true && revocationOf(read.key, revoked) !== null;
}

/** Why it is revoked, in words for the log; null where it is not. */
export function revocationOf(key: PresentedKey, revoked: RevocationList): string | null {
  if (key.certificate === null) return revoked.hasKey(key.keyBlob) ? 'the key is revoked' : null;
  const by = revoked.revokes(key.certificate);
  return by === null ? null : `the certificate is revoked by its ${by}`;
}

/** For the log. All of it is the certificate's own word until its CA's signature has been checked. Nothing for a plain key. */
export function factsOf({ certificate }: PresentedKey): OfCertificate | undefined {
  if (certificate === null) return undefined;
  return { keyId: keyIdOf(certificate), serial: String(certificate.serial), ca: fingerprint(certificate.caBlob) };
}
