/** CONFIG CHECKS: what one text of a config must look like, per kind. Each answer completes the sentence "VALUE …".
 *  Owns the bounds of those texts. Pure; no positions, no files. */

import { formatHostPort, parseCidr, parseHostPort } from './address.js';
import type { AuthorizedKeyLine } from './config_keys.js';
import { parsePasswordHash, tooCheap, tooDear } from './password_hash.js';
import { hasControl } from './text.js';
import type { Parsed } from './units.js';

export function ok<T>(value: T): Parsed<T> {
  return { ok: true, value };
}

export function wrong(error: string): { readonly ok: false; readonly error: string } {
  return { ok: false, error };
}

/** For a parser of which only the verdict is wanted here: the text travels, and each worker parses it for itself. */
export function unchanged(
  text: string,
  parsed: { readonly ok: true } | { readonly ok: false; readonly error: string },
): Parsed<string> {
  return parsed.ok ? ok(text) : parsed;
}

export function oneOf(text: string, values: readonly string[]): Parsed<string> {
  return values.includes(text) ? ok(text) : wrong('is not known');
}

export function checkText(text: string, maxCharacters: number): Parsed<string> {
  if (text.length > maxCharacters) return wrong(`has ${text.length} characters`);
  return hasControl(text, '\n\t') ? wrong('has control characters') : ok(text);
}

export function pathOf(text: string, resolvePath: (path: string) => string): Parsed<string> {
  if (text === '') return wrong('is empty');
  if (hasControl(text)) return wrong('has control characters');
  if (text.startsWith('~')) return wrong('begins with ~, which only a shell understands');
  return ok(resolvePath(text));
}

export function checkListener(text: string): Parsed<string> {
  return parseHostPort(text) === null ? wrong('is not HOST:PORT') : ok(text);
}

/** An address or a CIDR block, as `parseCidr` reads it. */
export function checkBlock(text: string): Parsed<string> {
  if (parseCidr(text) !== null) return ok(text);
  return wrong('is no address and no CIDR block, or has bits beyond its prefix');
}

export function canonicalListener(text: string): string {
  const { host, port } = parseHostPort(text) ?? { host: text, port: 0 };
  return formatHostPort(host, port);
}

/** A hash that may stand in a config: whole, neither cheap to guess against nor dear to check. */
export function checkPasswordHash(text: string): Parsed<string> {
  const parsed = parsePasswordHash(text);
  if (!parsed.ok) return parsed;
  const bad = tooDear(parsed.value) ?? tooCheap(parsed.value);
  return bad === null ? ok(text) : wrong(bad);
}

/** One line; whether it is a key is judged where keys are parsed, as for the lines of a file. */
export function checkKeyLine(text: string): Parsed<string> {
  const line = trimmed(text);
  if (hasControl(line, '\t')) return wrong('has more than one line or control characters');
  return ok(line);
}

export function carriesKey(line: string): boolean {
  const bare = trimmed(line);
  return bare !== '' && !bare.startsWith('#');
}

/** Blanks as sshd has them: other spaces of Unicode are part of the first word, and make it none that is known. A regular
 *  expression would go back at each blank of a long row of them. */
export function trimmed(line: string): string {
  let [start, end] = [0, line.length];
  while (start < end && BLANKS.includes(line.charAt(start))) start++;
  while (end > start && BLANKS.includes(line.charAt(end - 1))) end--;
  return line.slice(start, end);
}

const BLANKS = ' \t\r\n';

/** The lines of an authorized_keys file that carry something, with their numbers. What they carry is judged where keys
 *  are parsed: one bad line hides no other. */
export function authorizedKeyLines(file: string, text: string): readonly AuthorizedKeyLine[] {
  return text
    .split(/\r?\n/)
    .map((line, index) => ({ text: trimmed(line), file, line: index + 1 }))
    .filter((line) => carriesKey(line.text));
}
