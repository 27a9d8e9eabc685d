/** AUTHORIZED KEYS: from the lines of an authorized_keys file to keys that may log in (sshd(8), AUTHORIZED_KEYS FILE FORMAT).
 *  Owns nothing; the primary has read the files. A line that we cannot honour to the letter opens nothing and is
 *  reported by its number; the lines around it count as if it were not there. */
import type { AuthorizedKeyLine } from '../../shared/config_keys.js';
import { safeText } from '../../shared/log.js';
import { fingerprint, type PublicKey, parsePublicKey } from './public_key.js';

/** A key that an operator has written down for a user. */
export interface StoredKey extends PublicKey {
  readonly blob: Buffer;
  /** `SHA256:…` */
  readonly fingerprint: string;
  readonly comment: string;
  readonly file: string;
  readonly line: number;
}

/** A line that was not accepted. `why` is safe to log. */
export interface KeyProblem {
  readonly file: string;
  readonly line: number;
  readonly why: string;
}

export interface AuthorizedKeys {
  readonly keys: readonly StoredKey[];
  readonly problems: readonly KeyProblem[];
}

/** Names that open a key in this file format, taken or not: they tell a key from the options before it. */
const KEY_TYPE =
  /^(?:sk-)?(?:ssh-(?:ed25519|rsa|dss)|ecdsa-sha2-nistp(?:256|384|521))(?:-cert-v0[01])?(?:@openssh\.com)?$/;
const FIRST_WORD = /^[^ \t]+/;
/** An option list ends at the first blank outside quotes; a quote inside quotes is written `\"`. */
const OPTIONS = /^(?:"(?:\\"|\\(?!")|[^"\\])*"|[^ \t"])+(?=[ \t])/;

/** Parses lines that may stem from several files. Blank lines and comments are passed over. */
export function parseAuthorizedKeys(lines: readonly AuthorizedKeyLine[]): AuthorizedKeys {
  const keys: StoredKey[] = [];
  const problems: KeyProblem[] = [];
  for (const { text, file, line } of lines) {
    const trimmed = text.trim();
    if (trimmed === '' || trimmed.startsWith('#')) continue;
    const parsed = parseLine(trimmed);
    if (typeof parsed === 'string') problems.push({ file, line, why: parsed });
    else keys.push({ ...parsed, file, line });
  }
  return { keys, problems };
}

/** The key, or why there is none. */
function parseLine(text: string): Omit<StoredKey, 'file' | 'line'> | string {
  const type = FIRST_WORD.exec(text)?.[0] ?? '';
  if (!KEY_TYPE.test(type)) return whyNoKeyFirst(text);
  const [, base64 = '', comment = ''] = /^[^ \t]+[ \t]+([^ \t]+)(?:[ \t]+(.*))?$/.exec(text) ?? [];
  if (base64 === '') return `no key after ${type}`;
  const blob = Buffer.from(base64, 'base64');
  // Buffer skips what is not base64: only a text that comes out again as it went in was base64.
  if (blob.toString('base64') !== base64) return 'the key is not valid base64';
  const inner = Buffer.concat([Buffer.from([0, 0, 0, type.length]), Buffer.from(type, 'latin1')]);
  if (!blob.subarray(0, inner.length).equals(inner)) return `the key inside is not of type ${type}`;
  const parsed = parsePublicKey(blob);
  if (!parsed.ok) return `${type}: ${parsed.why}: the key is not accepted`;
  return { ...parsed.key, blob, fingerprint: fingerprint(blob), comment: safeText(comment) };
}

/** Options restrict a key (`from=`, `permitopen=`, `restrict`) or make it a certificate authority: to pass over one
 *  would grant more than the operator wrote, so the whole line is refused until options are understood. */
function whyNoKeyFirst(text: string): string {
  const options = OPTIONS.exec(text)?.[0] ?? '';
  const next = FIRST_WORD.exec(text.slice(options.length).trimStart())?.[0] ?? '';
  return options !== '' && KEY_TYPE.test(next)
    ? 'options are not supported in this version yet: the key is not accepted'
    : 'no known key type, expected TYPE BASE64 [comment]';
}
