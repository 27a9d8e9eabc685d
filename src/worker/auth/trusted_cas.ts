/** TRUSTED CAS: the file of `auth.trustedUserCAKeys`: keys of CAs that may vouch for every user (sshd_config(5)
 *  TrustedUserCAKeys).
 *  Owns nothing. CAs of one user alone stand in his authorized_keys, behind `cert-authority`. */
import type { AuthorizedKeyLine } from '../../shared/config_keys.js';
import { readKeyLine } from './key_line.js';
import { fingerprint, type PublicKey, parsePublicKey } from './public_key.js';

/** A CA that an operator has written down. */
export interface TrustedCa {
  readonly key: PublicKey;
  readonly blob: Buffer;
  /** `SHA256:…` */
  readonly fingerprint: string;
  readonly file: string;
  readonly line: number;
}

export interface TrustedCas {
  /** By the blob as latin1 text, for `caOf`. */
  readonly cas: ReadonlyMap<string, TrustedCa>;
  /** Lines that are no CA: any of them refuses the config. */
  readonly problems: readonly { readonly file: string; readonly line: number; readonly why: string }[];
}

export function readTrustedCas(lines: readonly AuthorizedKeyLine[]): TrustedCas {
  const cas = new Map<string, TrustedCa>();
  const problems: { file: string; line: number; why: string }[] = [];
  for (const { text, file, line } of lines) {
    const read = readKeyLine(text);
    if (typeof read === 'string') {
      problems.push({ file, line, why: read });
      continue;
    }
    const parsed = parsePublicKey(read.blob);
    if (!parsed.ok) problems.push({ file, line, why: `the key of the CA is not accepted: ${parsed.why}` });
    else
      cas.set(read.blob.toString('latin1'), {
        ...{ key: parsed.key, blob: read.blob },
        ...{ fingerprint: fingerprint(read.blob), file, line },
      });
  }
  return { cas, problems };
}

/** The CA with exactly this blob, or null. */
export function caOf(cas: ReadonlyMap<string, TrustedCa>, blob: Buffer): TrustedCa | null {
  return cas.get(blob.toString('latin1')) ?? null;
}
