/** CERTIFICATE LOGIN: may a user come in by a certificate? Tries every way that leads from its CA to him: the CAs of all users
 *  first, then the `cert-authority` lines of his own, as sshd does; the first that lets him in holds.
 *  Owns nothing. Pure: that the CA has signed, and that nothing is revoked, has been found out before. */
import type { AuthFailure } from '../../shared/errors.js';
import type { KeyNarrowing } from '../policy.js';
import type { Asker } from './asking.js';
import { type StoredKey, whereIs } from './authorized_keys.js';
import { type Certificate, keyIdOf } from './certificate.js';
import { type CertificateRights, judgeCertificate } from './certificate_rights.js';
import { earlier } from './grant.js';
import { type KeyOptions, NO_OPTIONS, refusalBy } from './key_options.js';
import type { TrustedCa } from './trusted_cas.js';

/** What the certificate and the line of its CA leave together, the narrower of both. */
export interface CertificateLogin {
  /** `FILE:LINE` of the CA. */
  readonly where: string;
  /** The options of that line. */
  readonly options: KeyOptions;
  /** By the certificate itself, which is the same for ever. */
  readonly narrowing: KeyNarrowing;
  /** Wall clock; null: never. */
  readonly expiresAtMs: number | null;
  readonly verifyRequired: boolean;
  readonly touchRequired: boolean;
}

export type CertificateLoginVerdict =
  | ({ readonly kind: 'accepted' } & CertificateLogin & Closed)
  /** Its CA is one of this user's, or of all, and no way lets him in. `detail` is for the log alone. */
  | ({ readonly kind: 'refused'; readonly code: AuthFailure; readonly detail: string } & Closed)
  | { readonly kind: 'unknown' };

/** The ways that were tried and do not let him in. */
interface Closed {
  readonly closed: readonly ClosedWay[];
}
export interface ClosedWay {
  /** `FILE:LINE` of the CA. */
  readonly where: string;
  readonly code: AuthFailure;
  readonly why: string;
}

/** The ways from its CA to the user. */
export interface CertificateWays {
  /** Of `auth.trustedUserCAKeys`, if its CA is one of them. */
  readonly trusted: TrustedCa | null;
  /** The user's `cert-authority` lines with its CA, in their order. */
  readonly lines: readonly StoredKey[];
}

export function admitCertificate(
  certificate: Certificate,
  { trusted, lines }: CertificateWays,
  ask: Asker,
): CertificateLoginVerdict {
  const closed: ClosedWay[] = [];
  for (const way of trusted === null ? lines : [trusted, ...lines]) {
    const verdict = 'options' in way ? byLine(certificate, way, ask) : byTrustedCa(certificate, way, ask);
    if (verdict.kind === 'accepted') return { ...verdict, closed };
    closed.push({ where: whereIs(way), code: verdict.code, why: verdict.detail });
  }
  const [first] = closed;
  if (first === undefined) return { kind: 'unknown' };
  const detail = closed.map(({ where, why }) => `${where}: ${why}`).join('; ');
  return { kind: 'refused', code: first.code, detail, closed };
}

type ByWay =
  | ({ readonly kind: 'accepted' } & CertificateLogin)
  | { readonly kind: 'refused'; readonly code: AuthFailure; readonly detail: string };

function byTrustedCa(certificate: Certificate, ca: TrustedCa, ask: Asker): ByWay {
  const verdict = judgeCertificate(certificate, { ...ask, user: ask.username, principals: null });
  if (!verdict.ok) return { kind: 'refused', ...verdict };
  const { rights } = verdict;
  return {
    kind: 'accepted',
    where: whereIs(ca),
    options: NO_OPTIONS,
    narrowing: narrowingOf(certificate, rights),
    expiresAtMs: rights.expiresAtMs,
    verifyRequired: rights.verifyRequired,
    touchRequired: !rights.mayBeUntouched,
  };
}

/** sshd's auth_check_authkey_line and sshauthopt_merge. */
function byLine(certificate: Certificate, line: StoredKey, ask: Asker): ByWay {
  const { options } = line;
  const refusal = refusalBy(options, ask.address, ask.nowMs);
  if (refusal !== null) return { kind: 'refused', code: refusal.code, detail: refusal.why };
  const verdict = judgeCertificate(certificate, { ...ask, user: ask.username, principals: options.principals });
  if (!verdict.ok) return { kind: 'refused', ...verdict };
  const { rights } = verdict;
  if (options.command !== null && rights.forceCommand !== null && options.command !== rights.forceCommand)
    return { kind: 'refused', code: 'CERT_INVALID', detail: 'its force-command is not the command of the line' };
  return {
    kind: 'accepted',
    where: whereIs(line),
    options,
    narrowing: narrowingOf(certificate, rights),
    expiresAtMs: earlier(options.expiresAtMs, rights.expiresAtMs),
    verifyRequired: options.verifyRequired || rights.verifyRequired,
    touchRequired: options.touchRequired || !rights.mayBeUntouched,
  };
}

function narrowingOf(certificate: Certificate, { portForwarding }: CertificateRights): KeyNarrowing {
  const where = `certificate ${keyIdOf(certificate)} (serial ${certificate.serial})`;
  return { kind: 'key', portForwarding, permitOpen: null, permitListen: null, where };
}
