/** AUTHORITIES: the CAs of a config, and the ways from each of them to a user.
 *  Owns the CAs of all users; those of one user stand in his lines, which the directory has.
 *  A CA's signature is checked for every CA that stands anywhere in the config, whomever the peer asks for: how long that takes
 *  tells nobody whose line it is. */
import type { AuthorizedKeyLine } from '../../shared/config_keys.js';
import type { Asker } from './asking.js';
import type { StoredKey } from './authorized_keys.js';
import { type Certificate, isIssuedBy, readCertificate } from './certificate.js';
import { admitCertificate, type CertificateLoginVerdict, type CertificateWays } from './certificate_login.js';
import type { PublicKey } from './public_key.js';
import { caOf, readTrustedCas, type TrustedCa } from './trusted_cas.js';

export class Authorities {
  /** Those of all users, by blob as latin1 text. */
  readonly #trusted: ReadonlyMap<string, TrustedCa>;
  /** Those of anybody. */
  readonly #known = new Map<string, PublicKey>();

  /** @param trusted lines of `auth.trustedUserCAKeys`, which have been found to be sound
   *  @param lines the `cert-authority` lines of every user */
  constructor(trusted: readonly AuthorizedKeyLine[], lines: readonly StoredKey[]) {
    this.#trusted = readTrustedCas(trusted).cas;
    for (const ca of this.#trusted.values()) this.#known.set(ca.blob.toString('latin1'), ca.key);
    for (const line of lines) this.#known.set(line.blob.toString('latin1'), line);
  }

  /** May he come in by it?
   *  @param lines the user's own `cert-authority` lines
   *  @param isUser the config knows him: all that comes before is done for whoever asks */
  check(blob: Buffer, lines: readonly StoredKey[], isUser: boolean, ask: Asker): CertificateLoginVerdict {
    const certificate = readOrNull(blob);
    const ca = certificate === null ? undefined : this.#known.get(certificate.caBlob.toString('latin1'));
    if (certificate === null || ca === undefined) return UNKNOWN;
    if (!isIssuedBy(certificate, ca)) return FORGED;
    const verdict = admitCertificate(certificate, this.#ways(certificate, lines), ask);
    return isUser ? verdict : UNKNOWN;
  }

  /** The same for a certificate that has been found to be signed before. */
  checkAgain(blob: Buffer, lines: readonly StoredKey[], ask: Asker): CertificateLoginVerdict {
    const certificate = readOrNull(blob);
    return certificate === null ? UNKNOWN : admitCertificate(certificate, this.#ways(certificate, lines), ask);
  }

  /** Is there any way from its CA to the user with these lines? */
  leads(blob: Buffer, lines: readonly StoredKey[]): boolean {
    const certificate = readOrNull(blob);
    if (certificate === null) return false;
    const ways = this.#ways(certificate, lines);
    return ways.trusted !== null || ways.lines.length > 0;
  }

  #ways({ caBlob }: Certificate, lines: readonly StoredKey[]): CertificateWays {
    return { trusted: caOf(this.#trusted, caBlob), lines: lines.filter((line) => line.blob.equals(caBlob)) };
  }
}

const UNKNOWN: CertificateLoginVerdict = { kind: 'unknown' };
const FORGED: CertificateLoginVerdict = {
  kind: 'refused',
  code: 'CERT_INVALID',
  detail: 'not signed by its CA',
  closed: [],
};

function readOrNull(blob: Buffer): Certificate | null {
  const read = readCertificate(blob);
  return read.ok ? read.certificate : null;
}
