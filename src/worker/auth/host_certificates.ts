/** HOST CERTIFICATES: the files of `hostCertificates`: what a CA says of the server's own keys (sshd_config(5) HostCertificate).
 *  Owns nothing. What clients would refuse for good is a mistake of the config; sshd looks at none of it, and leaves it to them. The time
 *  is theirs to judge: this machine's clock may be the wrong one, so there is a warning and no more. */
import type { AuthorizedKeyLine } from '../../shared/config_keys.js';
import { isIssuedBy, readCertificate } from './certificate.js';
import { readKeyLine } from './key_line.js';
import { parsePublicKey } from './public_key.js';

export interface HostCertificate {
  readonly file: string;
  readonly blob: Buffer;
  /** Of the key that it is for. */
  readonly keyBlob: Buffer;
  /** Names of the hosts that it is for. */
  readonly principals: readonly string[];
  /** Seconds since 1970; valid from the first until just before the second. */
  readonly validAfterS: bigint;
  readonly validBeforeS: bigint;
}

export interface HostCertificates {
  readonly certificates: readonly HostCertificate[];
  /** Any of them refuses the config. */
  readonly problems: readonly CertificateProblem[];
}

export interface CertificateProblem {
  readonly file: string;
  readonly line: number;
  readonly why: string;
}

/** PROTOCOL.certkeys: 2 is for hosts. */
const FOR_HOSTS = 2;

export function readHostCertificates(lines: readonly AuthorizedKeyLine[]): HostCertificates {
  const certificates: HostCertificate[] = [];
  const problems: CertificateProblem[] = [];
  for (const { text, file, line } of lines) {
    const read = readHostCertificate(text, file);
    if (typeof read === 'string') problems.push({ file, line, why: read });
    else certificates.push(read);
  }
  return { certificates, problems };
}

/** The certificate, or what is wrong with it. */
function readHostCertificate(text: string, file: string): HostCertificate | string {
  const line = readKeyLine(text);
  if (typeof line === 'string') return line;
  const read = readCertificate(line.blob);
  if (!read.ok)
    return read.code === 'UNSUPPORTED_KEY' ? `a key of type ${line.type} and no certificate that is taken` : read.why;
  const { kind, criticalOptions, caBlob, keyBlob, principals, validAfterS, validBeforeS } = read.certificate;
  if (kind !== FOR_HOSTS) return 'a certificate for users and not for hosts: ssh-keygen -h makes those';
  if (criticalOptions.size > 0) return 'it has critical options, and clients refuse a host certificate with any';
  if (validAfterS >= validBeforeS) return 'it is never valid: its time is over before it begins';
  const ca = parsePublicKey(caBlob);
  if (!ca.ok) return `the key of its CA is not accepted: ${ca.why}`;
  if (!isIssuedBy(read.certificate, ca.key))
    return 'it is damaged, or signed with SHA-1: its signature is not one of its CA';
  return { file, blob: line.blob, keyBlob, principals, validAfterS, validBeforeS };
}

/** What an operator should know of a certificate that is in order.
 *  @param nowMs Unix time */
export function certificateRemarks(certificate: HostCertificate, nowMs: number): readonly string[] {
  const remarks: string[] = [];
  if (certificate.principals.length === 0)
    remarks.push('it names no host (ssh-keygen -n): a client refuses it, or takes it for any host');
  const time = remarkOnTime(certificate, nowMs);
  return time === null ? remarks : [...remarks, time];
}

function remarkOnTime({ validAfterS, validBeforeS }: HostCertificate, nowMs: number): string | null {
  const nowS = BigInt(Math.floor(nowMs / 1000));
  if (nowS >= validBeforeS) return `it expired at ${timeOf(validBeforeS)}: clients refuse it`;
  if (nowS < validAfterS) return `it is not valid before ${timeOf(validAfterS)}: clients refuse it until then`;
  return null;
}

/** Only of times that are compared with a clock: beyond what a Date holds there is none. */
function timeOf(seconds: bigint): string {
  const date = new Date(Number(seconds) * 1000);
  return Number.isNaN(date.getTime()) ? `second ${seconds}` : date.toISOString();
}
