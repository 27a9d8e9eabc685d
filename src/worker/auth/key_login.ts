/** KEY LOGIN: what a directory says to a key or a certificate, made into what the login is given.
 *  Owns nothing. */
import type { PublicKeyInfo } from '../../shared/identity.js';
import type { Asker } from './asking.js';
import { whereIs } from './authorized_keys.js';
import type { Directory } from './directory.js';
import type { Grant } from './grant.js';
import { LoginRefused } from './hooks.js';
import { narrowingBy } from './key_options.js';

export type KeyLogin =
  | { readonly kind: 'yes'; readonly fingerprint: string; readonly grant: Grant }
  /** The user's lines know it, and it may not log in now. */
  | { readonly kind: 'no'; readonly refusal: LoginRefused }
  | { readonly kind: 'unknown' };

export function keyLogin(directory: Directory, key: PublicKeyInfo, asker: Asker): KeyLogin {
  return key.certificate === undefined
    ? plainLogin(directory, key, asker)
    : certificateLogin(directory, key, key.certificate, asker);
}

function plainLogin(directory: Directory, key: PublicKeyInfo, { username, ...asking }: Asker): KeyLogin {
  const verdict = directory.checkKey(username, key.blob, asking);
  if (verdict.kind === 'unknown') return verdict;
  if (verdict.kind === 'refused') return no(new LoginRefused(verdict.code, verdict.detail));
  const { fingerprint, options } = verdict.key;
  const where = whereIs(verdict.key);
  const use = { username, fingerprint, address: asking.address, atMs: asking.nowMs };
  const grant = { narrowings: [narrowingBy(options, where, use)], expiresAtMs: options.expiresAtMs };
  return withPresence({ fingerprint, grant }, options, key, where);
}

/** As sshd has it, a certificate is never taken for the key in it: that stands in the lines for itself, or it does not. */
function certificateLogin(
  directory: Directory,
  key: PublicKeyInfo,
  certificate: Buffer,
  { username, ...asking }: Asker,
): KeyLogin {
  const verdict = directory.checkCertificate(username, certificate, asking);
  if (verdict.kind === 'unknown') return verdict;
  if (verdict.kind === 'refused') return no(new LoginRefused(verdict.code, verdict.detail));
  const { where, options, narrowing, expiresAtMs } = verdict;
  const { fingerprint } = key;
  const use = { username, fingerprint, address: asking.address, atMs: asking.nowMs, certificate };
  const grant = { narrowings: [narrowingBy(options, where, use), narrowing], expiresAtMs };
  return withPresence({ fingerprint, grant }, verdict, key, where);
}

/** What a security key has to show is looked at when it has signed; for keys of other kinds these options say nothing. */
function withPresence(
  { fingerprint, grant }: { readonly fingerprint: string; readonly grant: Grant },
  { verifyRequired, touchRequired }: { readonly verifyRequired: boolean; readonly touchRequired: boolean },
  { presence }: PublicKeyInfo,
  where: string,
): KeyLogin {
  if (presence !== undefined && verifyRequired && !presence.verified) {
    const detail = `${where}: verify-required: the security key has checked no PIN and no finger`;
    return no(new LoginRefused('KEY_OPTION', detail));
  }
  return { kind: 'yes', fingerprint, grant: touchRequired ? grant : { ...grant, mayBeUntouched: true } };
}

function no(refusal: LoginRefused): KeyLogin {
  return { kind: 'no', refusal };
}
