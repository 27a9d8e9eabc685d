/** OTPAUTH: the otpauth:// URI by which an authenticator and this server share a secret (Key URI Format of the authenticator
 *  apps, RFC 6238, RFC 4226).
 *  Owns nothing. Pure. Strict: a parameter that was passed over could have meant other codes than those that the app shows. */
import { hasControl } from './text.js';
import type { Parsed } from './units.js';

/** What makes codes. Plain data, since it travels to the workers; never logged. */
export interface TotpKey {
  readonly algorithm: 'SHA1' | 'SHA256' | 'SHA512';
  readonly digits: 6 | 7 | 8;
  readonly periodSeconds: number;
  /** Base64. */
  readonly secret: string;
}

/** RFC 4226 §4, R6: 128 bits at least. */
const MIN_SECRET_BYTES = 16;
const MAX_SECRET_BYTES = 128;
/** Shorter than 10 s nobody can type it, longer than 5 min it is no code of the moment. */
const MIN_PERIOD_SECONDS = 10;
const MAX_PERIOD_SECONDS = 300;
const MAX_CHARACTERS = 2048;

const PARAMETERS = ['secret', 'issuer', 'algorithm', 'digits', 'period'];
const ALLOWED = 'otpauth://totp/NAME?secret=BASE32';

/** @returns `error` completes the sentence "VALUE …" and repeats none of the secret */
export function parseOtpauth(text: string): Parsed<TotpKey> {
  if (text.length > MAX_CHARACTERS) return wrong(`has more than ${MAX_CHARACTERS} characters`);
  if (hasControl(text) || / /.test(text)) return wrong('has blanks or control characters');
  if (/^otpauth:\/\/hotp\//.test(text)) return wrong('is of type hotp, which counts and has no time; totp is wanted');
  const match = /^otpauth:\/\/totp\/([^?#/]+)\?([^#?]+)$/.exec(text);
  if (match === null) return wrong(`is no ${ALLOWED}`);
  const parameters = parametersOf(match[2] ?? '');
  return typeof parameters === 'string' ? wrong(parameters) : keyOf(parameters);
}

/** The URI in a file that may have comments (`#`) and blank lines. */
export function otpauthIn(file: string): Parsed<TotpKey> {
  const lines = file.split(/\r?\n/).filter((line) => line !== '' && !line.startsWith('#'));
  const [line, ...more] = lines;
  if (line === undefined) return wrong(`has no line with an ${ALLOWED}`);
  if (more.length > 0) return wrong('has more than one line');
  return parseOtpauth(line);
}

/** By name; or what is wrong with them. */
function parametersOf(query: string): ReadonlyMap<string, string> | string {
  const found = new Map<string, string>();
  for (const pair of query.split('&')) {
    const at = pair.indexOf('=');
    const name = pair.slice(0, at);
    if (at < 1 || !PARAMETERS.includes(name)) return `has a parameter that is none of ${PARAMETERS.join(', ')}`;
    if (found.has(name)) return `has ${name} twice`;
    const value = decoded(pair.slice(at + 1));
    if (value === null) return `has a ${name} with a broken % in it`;
    found.set(name, value);
  }
  return found;
}

function keyOf(parameters: ReadonlyMap<string, string>): Parsed<TotpKey> {
  const secret = base32(parameters.get('secret') ?? '');
  if (typeof secret === 'string') return wrong(secret);
  if (secret.length < MIN_SECRET_BYTES)
    return wrong(`has a secret of ${secret.length * 8} bits, which is less than ${MIN_SECRET_BYTES * 8}`);
  if (secret.length > MAX_SECRET_BYTES) return wrong(`has a secret of more than ${MAX_SECRET_BYTES} bytes`);
  const algorithm = parameters.get('algorithm') ?? 'SHA1';
  if (algorithm !== 'SHA1' && algorithm !== 'SHA256' && algorithm !== 'SHA512')
    return wrong('has an algorithm that is none of SHA1, SHA256 and SHA512');
  const digits = Number(wholeNumber(parameters.get('digits') ?? '6'));
  if (digits !== 6 && digits !== 7 && digits !== 8) return wrong('has digits that are none of 6, 7 and 8');
  const periodSeconds = Number(wholeNumber(parameters.get('period') ?? '30'));
  if (!(periodSeconds >= MIN_PERIOD_SECONDS && periodSeconds <= MAX_PERIOD_SECONDS))
    return wrong(`has a period that is no number of seconds from ${MIN_PERIOD_SECONDS} to ${MAX_PERIOD_SECONDS}`);
  return { ok: true, value: { algorithm, digits, periodSeconds, secret: secret.toString('base64') } };
}

const BASE32 = 'ABCDEFGHIJKLMNOPQRSTUVWXYZ234567';

/** RFC 4648 §6 without padding; or what is wrong with it. */
function base32(text: string): Buffer | string {
  if (text === '') return 'has no secret';
  if (text.includes('=')) return 'has a secret with padding (=): leave it out';
  const bytes: number[] = [];
  let bits = 0;
  let value = 0;
  for (const character of text) {
    const five = BASE32.indexOf(character);
    if (five < 0) return 'has a secret with characters that are no base32 (A-Z, 2-7)';
    value = (value << 5) | five;
    bits += 5;
    if (bits < 8) continue;
    bits -= 8;
    bytes.push(value >> bits);
    value &= (1 << bits) - 1;
  }
  // Five bits left over, or ones among what is left, are no whole bytes: a character is missing or wrong.
  return bits >= 5 || value !== 0 ? 'has a secret that is cut short' : Buffer.from(bytes);
}

function wholeNumber(text: string): string {
  return /^[1-9]\d{0,3}$/.test(text) ? text : '';
}

function decoded(text: string): string | null {
  try {
    return decodeURIComponent(text);
  } catch {
    return null;
  }
}

function wrong(error: string): { readonly ok: false; readonly error: string } {
  return { ok: false, error };
}
