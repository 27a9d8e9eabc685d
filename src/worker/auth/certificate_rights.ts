/** CERTIFICATE RIGHTS: may this user come in by this certificate, from here and now, and what does it leave of his rights?
 *  Owns what each critical option and extension means (PROTOCOL.certkeys, and sshd's auth-options.c where that is silent).
 *  Pure: the clock and the peer are arguments. That the CA is trusted and has signed is asked elsewhere, and before. */
import { safeText } from '../../shared/log.js';
import { matchCidrList } from '../../shared/match.js';
import { WireReader } from '../../shared/protocol.js';
import type { Certificate } from './certificate.js';

export interface CertificateUse {
  /** The name that the peer wants to log in under. */
  readonly user: string;
  /** `principals=` of the CA's line: one of them in place of the user's name. Null where the line has none. */
  readonly principals: readonly string[] | null;
  /** IP literal of the peer. */
  readonly address: string;
  readonly nowMs: number;
}

/** What it allows. */
export interface CertificateRights {
  readonly portForwarding: boolean;
  /** For a security key: the PIN or finger must have been checked. */
  readonly verifyRequired: boolean;
  /** For a security key: it need not have been touched, as far as the certificate is concerned. */
  readonly mayBeUntouched: boolean;
  /** In place of any command; of sessions alone, as in sshd. */
  readonly forceCommand: string | null;
  /** Wall clock; null where it is valid for ever. */
  readonly expiresAtMs: number | null;
}

export type CertificateVerdict =
  | { readonly ok: true; readonly rights: CertificateRights }
  | { readonly ok: false; readonly code: 'CERT_INVALID' | 'KEY_SOURCE'; readonly detail: string };

const USER_CERTIFICATE = 1;
const FOR_EVER = 0xffff_ffff_ffff_ffffn;
/** Extensions that sshd knows: their data must be empty. Others are passed over, as they are meant to be. */
const EXTENSIONS = [
  'no-touch-required',
  'permit-X11-forwarding',
  'permit-agent-forwarding',
  'permit-port-forwarding',
  'permit-pty',
  'permit-user-rc',
];

export function judgeCertificate(certificate: Certificate, use: CertificateUse): CertificateVerdict {
  const { kind, validAfterS, validBeforeS, extensions } = certificate;
  if (kind !== USER_CERTIFICATE) return invalid('is no user certificate');
  const nowS = BigInt(Math.floor(Math.max(use.nowMs, 0) / 1000));
  if (nowS < validAfterS) return invalid(`not valid before ${timeOf(validAfterS)}`);
  if (nowS >= validBeforeS) return invalid(`expired at ${timeOf(validBeforeS)}`);
  if (!isFor(certificate, use)) {
    const names = certificate.principals.join(', ');
    const whom = names === '' ? 'it names nobody' : `it is for ${safeText(names, 128)}`;
    return invalid(`none of its principals may log in as ${safeText(use.user, 64)}: ${whom}`);
  }
  const options = readCriticalOptions(certificate);
  if (typeof options === 'string') return invalid(options);
  const corrupt = EXTENSIONS.find((name) => (extensions.get(name)?.length ?? 0) > 0);
  if (corrupt !== undefined) return invalid(`the extension ${corrupt} has data`);
  if (options.sourceAddress !== null) {
    const from = matchCidrList(use.address, options.sourceAddress);
    if (from === null) return invalid('source-address is no list of CIDR blocks');
    if (!from) return { ok: false, code: 'KEY_SOURCE', detail: `source-address has not ${use.address}` };
  }
  return {
    ok: true,
    rights: {
      portForwarding: extensions.has('permit-port-forwarding'),
      verifyRequired: options.verifyRequired,
      mayBeUntouched: extensions.has('no-touch-required'),
      forceCommand: options.forceCommand,
      expiresAtMs: expiryMs(validBeforeS),
    },
  };
}

/** No list of principals fits nobody: PROTOCOL.certkeys takes it for everybody, sshd no longer does. Names are compared as a
 *  whole: a principal `a,root` is not `root` (CVE-2026-35414). */
function isFor({ principals }: Certificate, use: CertificateUse): boolean {
  const wanted = use.principals ?? [use.user];
  return principals.some((principal) => principal !== '' && wanted.includes(principal));
}

interface CriticalOptions {
  readonly forceCommand: string | null;
  readonly sourceAddress: string | null;
  readonly verifyRequired: boolean;
}

/** Or what is wrong with them. One that is not known refuses: that is what "critical" means. */
function readCriticalOptions({ criticalOptions }: Certificate): CriticalOptions | string {
  let forceCommand: string | null = null;
  let sourceAddress: string | null = null;
  let verifyRequired = false;
  for (const [name, data] of criticalOptions) {
    switch (name) {
      case 'force-command':
        forceCommand = textIn(data);
        if (forceCommand === null) return 'force-command cannot be read';
        break;
      case 'source-address':
        sourceAddress = textIn(data);
        if (sourceAddress === null) return 'source-address cannot be read';
        break;
      case 'verify-required':
        if (data.length > 0) return 'verify-required has data';
        verifyRequired = true;
        break;
      default:
        return `critical option ${safeText(name, 64)} is not supported`;
    }
  }
  return { forceCommand, sourceAddress, verifyRequired };
}

/** The one string that the data of an option holds. */
function textIn(data: Buffer): string | null {
  const reader = new WireReader(data);
  const text = reader.bytes();
  return reader.atEnd && !text.includes(0) ? text.toString('utf8') : null;
}

function expiryMs(validBeforeS: bigint): number | null {
  const ms = validBeforeS * 1000n;
  return validBeforeS === FOR_EVER || ms > BigInt(Number.MAX_SAFE_INTEGER) ? null : Number(ms);
}

function timeOf(seconds: bigint): string {
  const ms = seconds * 1000n;
  return ms > 8_640_000_000_000_000n ? `second ${seconds}` : new Date(Number(ms)).toISOString();
}

function invalid(detail: string): CertificateVerdict {
  return { ok: false, code: 'CERT_INVALID', detail };
}
