/** EXPLAIN LINES: what each line that a key or a certificate could come in by says to it: the one that holds, and why the others
 *  do not.
 *  Owns nothing. */
import type { AuthorizedKeyLine } from '../shared/config_keys.js';
import type { Asking } from '../worker/auth/asking.js';
import { parseAuthorizedKeys, whereIs } from '../worker/auth/authorized_keys.js';
import { type Certificate, keyIdOf } from '../worker/auth/certificate.js';
import type { Directory } from '../worker/auth/directory.js';
import type { KeyOptions } from '../worker/auth/key_options.js';
import type { PresentedKey } from '../worker/auth/presented_key.js';
import { fingerprint } from '../worker/auth/public_key.js';
import { type Condition, ignored, no, yes } from './explained.js';

/** A no of every line, or a yes and what did not count beside it. Empty where no line has anything to do with it. */
export function explainLines(
  directory: Directory,
  username: string,
  shown: PresentedKey,
  asking: Asking,
): readonly Condition[] {
  const { certificate } = shown;
  const said =
    certificate === null
      ? keyLines(directory, username, shown, asking)
      : certificateLines(directory, username, shown.blob, certificate, asking);
  const holds = said.some(({ outcome }) => outcome === 'allowed');
  const lines = directory.user(username)?.authorizedKeys ?? [];
  return [...said, ...unreadLines(lines, certificate?.caBlob ?? shown.blob, holds ? ignored : no)];
}

/** As logs name it. */
export function nameOf({ certificate, fingerprint: own }: PresentedKey): string {
  if (certificate === null) return `the key ${own}`;
  const { serial, caBlob } = certificate;
  return `the certificate ${keyIdOf(certificate)} (serial ${serial}) by the CA ${fingerprint(caBlob)}`;
}

function keyLines(directory: Directory, username: string, shown: PresentedKey, asking: Asking): readonly Condition[] {
  const words = directory.keyLines(username, shown.blob, asking);
  const holds = words.findIndex(({ refusal }) => refusal === null);
  return words.map(({ key, refusal }, index) => {
    const where = whereIs(key);
    if (refusal !== null) return (holds < 0 ? no : ignored)(where, refusal.why);
    if (index !== holds) return ignored(where, 'the same key: a line above holds');
    return yes(where, accepted(shown, key.options, key.options));
  });
}

function certificateLines(
  directory: Directory,
  username: string,
  blob: Buffer,
  certificate: Certificate,
  asking: Asking,
): readonly Condition[] {
  const shown = { blob, keyBlob: certificate.keyBlob, fingerprint: '', certificate };
  const verdict = directory.checkCertificate(username, blob, asking);
  switch (verdict.kind) {
    case 'unknown':
      return [];
    case 'refused':
      if (verdict.closed.length === 0) return [no(null, verdict.detail)];
      return verdict.closed.map(({ where, why }) => no(where, why));
    case 'accepted':
      return [
        ...verdict.closed.map(({ where, why }) => ignored(where, why)),
        yes(verdict.where, accepted(shown, verdict.options, verdict)),
      ];
  }
}

function accepted(
  shown: PresentedKey,
  { from }: KeyOptions,
  { expiresAtMs, verifyRequired }: { readonly expiresAtMs: number | null; readonly verifyRequired: boolean },
): string {
  return [
    nameOf(shown),
    ...(from === null ? [] : [`from="${from}" has the peer`]),
    ...(expiresAtMs === null ? [] : [`until ${new Date(expiresAtMs).toISOString()}`]),
    ...(verifyRequired ? ['a security key has to check PIN or finger'] : []),
  ].join(', ');
}

/** Lines that have the key and open nothing, since something in them is not understood. */
function unreadLines(lines: readonly AuthorizedKeyLine[], blob: Buffer, as: typeof no): readonly Condition[] {
  const base64 = blob.toString('base64');
  const having = lines.filter(({ text }) => text.includes(base64));
  return parseAuthorizedKeys(having).problems.map((problem) => as(whereIs(problem), problem.why));
}
