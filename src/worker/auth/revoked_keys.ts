/** REVOKED KEYS: the file of `auth.revokedKeys`: a KRL, or public keys one a line (sshd_config(5) RevokedKeys).
 *  Owns nothing. A file with anything in it that is not understood revokes nothing that could be trusted, so it is an error and never an
 *  empty list: the config is refused. */
import { isUtf8 } from 'node:buffer';
import { authorizedKeyLines } from '../../shared/config_checks.js';
import type { RevokedKeysFile } from '../../shared/config_keys.js';
import { TunnelError } from '../../shared/errors.js';
import { type Certificate, readCertificate } from './certificate.js';
import { isCertificateType } from './certificate_type.js';
import { readKeyLine } from './key_line.js';
import { isKrl, parseKrl, type RevocationList, type RevokedBy } from './krl.js';
import { parsePublicKey } from './public_key.js';

export type ReadRevokedKeys =
  | { readonly ok: true; readonly revoked: RevocationList }
  /** `why` completes the sentence "FILE …". `line` counts from 1. */
  | { readonly ok: false; readonly line: number; readonly why: string };

export const NOTHING_REVOKED: RevocationList = { hasKey: () => false, revokes: () => null };

/** Of a config that has been read without an error.
 *  @throws TunnelError CONFIG_INVALID where it was not */
export function revokedBy(file: RevokedKeysFile | null): RevocationList {
  if (file === null) return NOTHING_REVOKED;
  const read = readRevokedKeys(Buffer.from(file.base64, 'base64'));
  if (read.ok) return read.revoked;
  throw new TunnelError('CONFIG_INVALID', `${file.file}:${read.line}:1: auth.revokedKeys: ${read.why}`);
}

export function readRevokedKeys(bytes: Buffer): ReadRevokedKeys {
  if (isKrl(bytes)) {
    const parsed = parseKrl(bytes);
    return parsed.ok ? { ok: true, revoked: parsed.krl } : { ok: false, line: 1, why: parsed.why };
  }
  if (bytes.length === 0)
    return { ok: false, line: 1, why: 'is an empty file; leave the key out where nothing is revoked' };
  if (!isUtf8(bytes)) return { ok: false, line: 1, why: 'is neither an OpenSSH KRL nor a list of public keys' };
  const keys = new Set<string>();
  for (const { text, line } of authorizedKeyLines('', bytes.toString('utf8'))) {
    const key = revokedKey(text);
    if (typeof key === 'string') return { ok: false, line, why: `has a line that is no public key: ${key}` };
    keys.add(key.toString('latin1'));
  }
  return { ok: true, revoked: new KeyList(keys) };
}

/** The blob that is compared, or why there is none. A certificate stands for the key in it, as in sshd. */
function revokedKey(text: string): Buffer | string {
  const read = readKeyLine(text);
  if (typeof read === 'string') return read;
  if (isCertificateType(read.type)) {
    const certificate = readCertificate(read.blob);
    return certificate.ok ? certificate.certificate.keyBlob : certificate.why;
  }
  // One that is spelled as nobody spells it would never be met. Kinds that we do not take cannot log in anyway.
  const parsed = parsePublicKey(read.blob);
  return parsed.ok || parsed.code === 'UNSUPPORTED_KEY' ? read.blob : parsed.why;
}

class KeyList implements RevocationList {
  /** Blobs as latin1 text. */
  readonly #keys: ReadonlySet<string>;

  constructor(keys: ReadonlySet<string>) {
    this.#keys = keys;
  }

  hasKey(keyBlob: Buffer): boolean {
    return this.#keys.has(keyBlob.toString('latin1'));
  }

  revokes({ keyBlob, caBlob }: Certificate): RevokedBy | null {
    if (this.hasKey(keyBlob)) return 'key';
    return this.hasKey(caBlob) ? 'CA' : null;
  }
}
