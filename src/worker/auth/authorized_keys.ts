/** AUTHORIZED KEYS: from the lines of an authorized_keys file to keys that may log in (sshd(8), AUTHORIZED_KEYS FILE FORMAT).
 *  Owns nothing; the primary has read the files. A line that we cannot honour to the letter opens nothing and is
 *  reported by its number; the lines around it count as if it were not there. */
import { carriesKey, trimmed } from '../../shared/config_checks.js';
import type { AuthorizedKeyLine } from '../../shared/config_keys.js';
import type { LineMemory } from '../../shared/line_memory.js';
import { safeText } from '../../shared/log.js';
import { readKeyLine } from './key_line.js';
import { type KeyOptions, NO_OPTIONS, parseKeyOptions } from './key_options.js';
import { fingerprint, type PublicKey, parsePublicKey } from './public_key.js';

/** A key that an operator has written down for a user: one that may log in, or, with `options.certAuthority`, one whose
 *  certificates may. */
export interface StoredKey extends PublicKey {
  readonly blob: Buffer;
  /** `SHA256:…` */
  readonly fingerprint: string;
  readonly comment: string;
  readonly options: KeyOptions;
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
  /** In the order of the lines, which is that in which sshd tries them. A key may stand in several. */
  readonly keys: readonly StoredKey[];
  readonly problems: readonly KeyProblem[];
}

/** Names that open a key in this file format, taken or not: they tell a key from the options before it. */
const KEY_TYPE =
  /^(?:sk-)?(?:ssh-(?:ed25519|rsa|dss)|ecdsa-sha2-nistp(?:256|384|521))(?:-cert-v0[01])?(?:@openssh\.com)?$/;
const FIRST_WORD = /^[^ \t]+/;
const NO_KEY = 'no known key type, expected [OPTIONS] TYPE BASE64 [comment]';
/** `authorizedKeys: [./alice.pub]`: lines and a path are told apart by the list. */
const PATH = /^[.~/][^ \t]*$|^[^ \t]+\.pub$/;
const A_PATH = 'a path, where a key is expected; one path may stand in place of the list, without brackets';

/** What a line of keys came to, wherever it stands: the key, or why there is none. */
export type KeyLineFound = Omit<StoredKey, 'file' | 'line'> | string;

/** Parses lines that may stem from several files. Blank lines and comments are passed over.
 *  @param memory of earlier readings */
export function parseAuthorizedKeys(
  lines: readonly AuthorizedKeyLine[],
  memory?: LineMemory<KeyLineFound>,
): AuthorizedKeys {
  const keys: StoredKey[] = [];
  const problems: KeyProblem[] = [];
  for (const { text, file, line } of lines) {
    if (!carriesKey(text)) continue;
    const parsed = memory?.recall(trimmed(text), parseLine) ?? parseLine(trimmed(text));
    if (typeof parsed === 'string') problems.push({ file, line, why: parsed });
    else keys.push({ ...parsed, file, line });
  }
  return { keys, problems };
}

/** `FILE:LINE` of a key, as logs and refusals name it. */
export function whereIs({ file, line }: { readonly file: string; readonly line: number }): string {
  return `${file}:${line}`;
}

function parseLine(text: string): KeyLineFound {
  // To sshd the line ends there, and what looks like a key behind it is none.
  if (text.includes('\0')) return 'a NUL byte: the key is not accepted';
  if (KEY_TYPE.test(firstWord(text))) return parseKey(text, NO_OPTIONS);
  if (PATH.test(text)) return A_PATH;
  const read = parseKeyOptions(text);
  // A line without any known key type is no line of keys at all: that says more than what is wrong with its first word.
  if (!read.ok) return hasKeyType(text) ? `${read.why}: the key is not accepted` : NO_KEY;
  const rest = read.rest.replace(/^[ \t]+/, '');
  return KEY_TYPE.test(firstWord(rest)) ? parseKey(rest, read.options) : NO_KEY;
}

/** `TYPE BASE64 [comment]` */
function parseKey(text: string, options: KeyOptions): KeyLineFound {
  const read = readKeyLine(text);
  if (typeof read === 'string') return read;
  const { type, blob, comment } = read;
  const parsed = parsePublicKey(blob);
  if (!parsed.ok) return `${type}: ${parsed.why}: the key is not accepted`;
  return { ...parsed.key, blob, fingerprint: fingerprint(blob), comment: safeText(comment), options };
}

function firstWord(text: string): string {
  return FIRST_WORD.exec(text)?.[0] ?? '';
}

function hasKeyType(text: string): boolean {
  return text.split(/[ \t]+/).some((word) => KEY_TYPE.test(word));
}
