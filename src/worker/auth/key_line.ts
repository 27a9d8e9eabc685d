/** KEY LINE: `TYPE BASE64 [comment]`, as `ssh-keygen` writes a public key: the lines of a list of CAs or of revoked keys.
 *  Owns nothing. No options stand before the key here: a line that has some is no key, as for sshd. */
import type { AuthorizedKeyLine } from '../../shared/config_keys.js';
import { blobType } from './public_key.js';

export interface KeyLine {
  readonly type: string;
  readonly blob: Buffer;
}

/** The key, or why there is none. The key itself is not looked into. */
export function readKeyLine(text: string): KeyLine | string {
  const [, type = '', base64 = ''] = /^([^ \t]+)[ \t]+([^ \t]+)(?:[ \t].*)?$/.exec(text.trim()) ?? [];
  if (base64 === '') return 'no key, expected TYPE BASE64 [comment]';
  const blob = Buffer.from(base64, 'base64');
  // Buffer skips what is not base64: only a text that comes out again as it went in was base64.
  if (blob.toString('base64') !== base64) return 'no key, expected TYPE BASE64 [comment]: the key is not valid base64';
  return blobType(blob) === type ? { type, blob } : `the key inside is not of the type before it`;
}

/** The lines of a file that carry something, with their numbers. */
export function* keyLinesOf(file: string, text: string): Generator<AuthorizedKeyLine> {
  for (const [index, line] of text.split(/\r?\n/).entries()) {
    const trimmed = line.trim();
    if (trimmed !== '' && !trimmed.startsWith('#')) yield { text: trimmed, file, line: index + 1 };
  }
}
