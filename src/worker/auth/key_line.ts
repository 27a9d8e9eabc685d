/** KEY LINE: `TYPE BASE64 [comment]`, as `ssh-keygen` writes a public key: the end of a line of authorized_keys, and the whole line in
 *  a list of CAs or of revoked keys.
 *  Owns nothing. No options stand before the key here: a line that has some is no key, as for sshd. */
import { trimmed } from '../../shared/config_checks.js';
import { blobType } from './public_key.js';

export interface KeyLine {
  readonly type: string;
  readonly blob: Buffer;
  /** As it stands: pass it through safeText before it is shown. */
  readonly comment: string;
}

/** The key, or why there is none. The key itself is not looked into. */
export function readKeyLine(text: string): KeyLine | string {
  const parts = /^([^ \t]+)[ \t]+([^ \t]+)(?:[ \t]+(.*))?$/s.exec(trimmed(text));
  const [, type = '', base64 = '', comment = ''] = parts ?? [];
  if (base64 === '') return 'no key, expected TYPE BASE64 [comment]';
  const blob = Buffer.from(base64, 'base64');
  // Buffer skips what is not base64: only a text that comes out again as it went in was base64.
  if (blob.toString('base64') !== base64) return 'no key, expected TYPE BASE64 [comment]: the key is not valid base64';
  return blobType(blob) === type ? { type, blob, comment } : `the key inside is not of type ${type}`;
}
