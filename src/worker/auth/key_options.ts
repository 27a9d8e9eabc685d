/** KEY OPTIONS: the options before a key in an authorized_keys line, as sshd reads them (sshd(8), AUTHORIZED_KEYS FILE FORMAT;
 *  OpenSSH 9.2's auth-options.c), and whether they let a peer in.
 *  Owns nothing. Pure, and total. An option that is unknown or broken spoils its line: to pass over it would grant more than
 *  was written. */
import type { AuthFailure } from '../../shared/errors.js';
import { type KeyPermit, parseKeyPermit } from '../../shared/key_permit.js';
import { safeText } from '../../shared/log.js';
import { addressListError, isMapped, matchSource } from '../../shared/match.js';
import { nearest } from '../../shared/nearest.js';
import type { KeyNarrowing, KeyUse } from '../policy.js';
import { hasExpired, parseExpiryTime } from './expiry_time.js';

/** What of a line's options bears on a server of tunnels. */
export interface KeyOptions {
  readonly portForwarding: boolean;
  /** Null: not restricted. */
  readonly permitOpen: readonly KeyPermit[] | null;
  readonly permitListen: readonly KeyPermit[] | null;
  /** A list for `matchSource`; null: from anywhere. */
  readonly from: string | null;
  /** Wall clock; null: never. */
  readonly expiresAtMs: number | null;
  /** The key signs certificates and does not log in itself. */
  readonly certAuthority: boolean;
  /** Of certificates that it has signed: one of these instead of the user's name. Null: the user's name. */
  readonly principals: readonly string[] | null;
  /** Runs nowhere: kept because a certificate's must be the same. */
  readonly command: string | null;
  /** Of FIDO keys: somebody has to touch them. */
  readonly touchRequired: boolean;
  /** Of FIDO keys: somebody has to prove to them who it is. */
  readonly verifyRequired: boolean;
}

export const NO_OPTIONS: KeyOptions = {
  portForwarding: true,
  permitOpen: null,
  permitListen: null,
  from: null,
  expiresAtMs: null,
  certAuthority: false,
  principals: null,
  command: null,
  touchRequired: true,
  verifyRequired: false,
};

/** `rest` begins with the blank after the options. */
export type ParsedOptions =
  | { readonly ok: true; readonly options: KeyOptions; readonly rest: string }
  | { readonly ok: false; readonly why: string };

type Draft = { -readonly [K in keyof KeyOptions]: KeyOptions[K] };

/** Written without a value: what it sets. Nothing: accepted, and of no matter here, where there is no session to restrict. */
const FLAGS: ReadonlyMap<string, Partial<KeyOptions>> = new Map<string, Partial<KeyOptions>>([
  ['restrict', { portForwarding: false }],
  ['port-forwarding', { portForwarding: true }],
  ['no-port-forwarding', { portForwarding: false }],
  ['cert-authority', { certAuthority: true }],
  ['touch-required', { touchRequired: true }],
  ['no-touch-required', { touchRequired: false }],
  ['verify-required', { verifyRequired: true }],
  ['no-verify-required', { verifyRequired: false }],
  ['agent-forwarding', {}],
  ['no-agent-forwarding', {}],
  ['x11-forwarding', {}],
  ['no-x11-forwarding', {}],
  ['pty', {}],
  ['no-pty', {}],
  ['user-rc', {}],
  ['no-user-rc', {}],
]);

/** Written with a value in quotes. @returns what is wrong with it, or null */
const VALUES: ReadonlyMap<string, (options: Draft, value: string) => string | null> = new Map<
  string,
  (options: Draft, value: string) => string | null
>([
  ['permitopen', (options: Draft, value: string) => addPermit(options, 'permitOpen', value)],
  ['permitlisten', (options: Draft, value: string) => addPermit(options, 'permitListen', value)],
  ['from', readFrom],
  ['expiry-time', readExpiry],
  ['principals', (options: Draft, value: string) => once(options, 'principals', principalsIn(value))],
  ['command', (options: Draft, value: string) => once(options, 'command', value)],
  ['environment', (_: Draft, value: string) => (/^\w+=/.test(value) ? null : 'no NAME=value')],
  ['tunnel', (_: Draft, value: string) => (isTunnel(value) ? null : 'no number of a tun device, and not "any"')],
]);

const NAMES = [...FLAGS.keys(), ...VALUES.keys()];
/** As many as sshd takes of one kind. */
const MAX_PERMITS = 4_097;
/** sshd's SSH_TUNID_MAX. */
const MAX_TUNNEL = 0x7fff_fffd;

/** Reads the options at the start of a line. They end at the first blank outside quotes, and hold in the order in which they are
 *  written: `restrict,port-forwarding` may forward. */
export function parseKeyOptions(text: string): ParsedOptions {
  const options: Draft = { ...NO_OPTIONS };
  let at = 0;
  for (;;) {
    const name = /^[^,="\t ]*/.exec(text.slice(at, at + LONGEST_NAME))?.[0] ?? '';
    at += name.length;
    const lower = name.toLowerCase();
    const value = text[at] === '=' ? readQuoted(text, at + 1) : null;
    if (typeof value === 'string') return { ok: false, why: `${show(name)}: ${value}` };
    if (value !== null) at = value.end;
    const wrong = value === null ? setFlag(options, lower) : setValue(options, lower, value.text);
    if (wrong !== null) return { ok: false, why: `${show(name)}: ${wrong}` };
    const next = text[at];
    if (next === undefined) return { ok: false, why: 'options and no key after them' };
    if (next === ' ' || next === '\t') break;
    if (next !== ',') return { ok: false, why: `${show(name)}: ${show(next)} where a comma or a blank is expected` };
    at++;
    if (text[at] === ' ' || text[at] === '\t') break; // a comma at the end is no matter to sshd
  }
  if (options.principals !== null && !options.certAuthority)
    return { ok: false, why: 'principals: only a line with cert-authority has them' };
  return { ok: true, options, rest: text.slice(at) };
}

/** Every name is shorter; a longer word is none of them. */
const LONGEST_NAME = 64;

/** Why a line does not let somebody in. */
export interface KeyRefusal {
  readonly code: AuthFailure;
  readonly why: string;
}

/** sshd's auth_authorise_keyopts.
 *  @param address the peer's, in canonical form
 *  @param nowMs wall clock
 *  @returns why these options do not let it in, or null */
export function refusalBy({ from, expiresAtMs }: KeyOptions, address: string, nowMs: number): KeyRefusal | null {
  if (expiresAtMs !== null && hasExpired(expiresAtMs, nowMs))
    return { code: 'KEY_EXPIRED', why: `expired at ${new Date(expiresAtMs).toISOString()}` };
  if (from !== null && !matchSource(address, from)) return { code: 'KEY_SOURCE', why: `${address} is not in from=` };
  return null;
}

/** What in these options grants less than whoever wrote it may think; one line each, safe to log. The line holds all the same. */
export function remarksOn({ from, permitOpen }: KeyOptions): readonly string[] {
  const remarks = (permitOpen ?? [])
    .filter(({ host }) => host !== '*' && /[*?]/.test(host))
    .map(({ host }) => `permitopen: "${safeText(host)}" is no pattern, to sshd neither: only * alone means any host`);
  const entries = from === null ? [] : from.split(',');
  for (const entry of entries) {
    const [text, matched] = entry.startsWith('!') ? [entry.slice(1), 'refuses'] : [entry, 'lets in'];
    if (isMapped(text))
      remarks.push(`from: "${safeText(entry)}" ${matched} nobody, as in sshd: who comes by IPv4 is compared as IPv4`);
  }
  const positive = entries.filter((entry) => !entry.startsWith('!'));
  if (from !== null && positive.every((entry) => /[^\da-f.:*?/]/i.test(entry)))
    remarks.push('from: has no address that may come, and names are not looked up (as in sshd with UseDNS no)');
  return remarks;
}

/** What the options leave of a user's rights. */
export function narrowingBy(options: KeyOptions, where: string, line?: KeyUse): KeyNarrowing {
  const { portForwarding, permitOpen, permitListen } = options;
  return line === undefined
    ? { kind: 'key', portForwarding, permitOpen, permitListen, where }
    : { kind: 'key', portForwarding, permitOpen, permitListen, where, line };
}

function setFlag(options: Draft, name: string): string | null {
  const set = FLAGS.get(name);
  if (set !== undefined) Object.assign(options, set);
  else if (name !== '') return VALUES.has(name) ? 'no value: write NAME="value"' : unknown(name);
  return null;
}

function setValue(options: Draft, name: string, value: string): string | null {
  const set = VALUES.get(name);
  if (set !== undefined) return set(options, value);
  return FLAGS.has(name) ? 'takes no value' : unknown(name);
}

function unknown(name: string): string {
  const meant = nearest(name, NAMES);
  return `unknown option${meant === undefined ? '' : ` (did you mean ${meant}?)`}`;
}

/** A quote inside is written `\"`; any other backslash stands for itself. @returns what is wrong, as a text */
function readQuoted(text: string, start: number): { readonly text: string; readonly end: number } | string {
  if (text[start] !== '"') return 'no quote at the start of its value';
  let value = '';
  let from = start + 1;
  for (let at = from; at < text.length; at++) {
    if (text[at] === '\\' && text[at + 1] === '"') {
      value += text.slice(from, at);
      from = ++at;
    } else if (text[at] === '"') {
      return { text: value + text.slice(from, at), end: at + 1 };
    }
  }
  return 'no quote at the end of its value';
}

function addPermit(options: Draft, list: 'permitOpen' | 'permitListen', value: string): string | null {
  const permit = parseKeyPermit(value, { barePort: list === 'permitListen' });
  if (!permit.ok) return safeText(permit.error);
  const before = options[list] ?? [];
  if (before.length >= MAX_PERMITS) return 'too many of them in one line';
  options[list] = [...before, permit.value];
  return null;
}

function readFrom(options: Draft, value: string): string | null {
  const wrong = addressListError(value);
  return wrong === null ? once(options, 'from', value) : safeText(wrong);
}

/** Of several the earliest holds. */
function readExpiry(options: Draft, value: string): string | null {
  const atMs = parseExpiryTime(value);
  if (atMs === null) return 'no time, write YYYYMMDD[Z] or YYYYMMDDHHMM[SS][Z]';
  options.expiresAtMs = Math.min(atMs, options.expiresAtMs ?? atMs);
  return null;
}

/** sshd's match_list ends at the first empty name: `ops,,dev` is ops alone, and `,ops` is nobody. */
function principalsIn(value: string): readonly string[] {
  const names = value.split(',');
  const end = names.indexOf('');
  return end === -1 ? names : names.slice(0, end);
}

function once<K extends 'from' | 'principals' | 'command'>(options: Draft, key: K, value: Draft[K]): string | null {
  if (options[key] !== null) return 'stands twice';
  options[key] = value;
  return null;
}

function isTunnel(value: string): boolean {
  return value.toLowerCase() === 'any' || (/^\d{1,10}$/.test(value) && Number(value) <= MAX_TUNNEL);
}

/** A name or a character of the line, for the log. */
function show(text: string): string {
  return text === '' ? 'an option without a name' : safeText(text, LONGEST_NAME);
}
