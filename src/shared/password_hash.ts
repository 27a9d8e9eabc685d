/** PASSWORD HASH: what a stored hash of a password says of itself: its scheme, its cost, its salt. PHC strings of argon2id
 *  and scrypt, and the `$2b$` form of bcrypt, as htpasswd, PHP, passlib and other servers' files have them.
 *  Owns the bounds on cost. Pure: nothing is hashed here. */
import { isUnpaddedBase64 } from './base64.js';
import type { Parsed } from './units.js';

export type PasswordHash =
  | { readonly scheme: 'argon2id'; readonly kib: number; readonly passes: number; readonly lanes: number }
  | {
      readonly scheme: 'scrypt';
      /** `ln`: the cost N is 2 to the power of it (RFC 7914 §2). */
      readonly logN: number;
      readonly r: number;
      readonly p: number;
      readonly salt: Buffer;
      readonly hash: Buffer;
    }
  /** `logRounds`: 2 to the power of it rounds of key expansion. */
  | { readonly scheme: 'bcrypt'; readonly logRounds: number };

/** What `hash-password` makes: the cost that OWASP and RFC 9106 §4 name for servers without much memory to spare. */
export const HASH_KIB = 19_456;
export const HASH_PASSES = 2;
export const HASH_LANES = 1;

/** The cost of a hash as it stands in front of its salt. */
export const DEFAULT_COST = `$argon2id$v=19$m=${HASH_KIB},t=${HASH_PASSES},p=${HASH_LANES}$`;

/** Bounds on the cost: below them a guess is too cheap, above them a login takes the server down. Two threads hash at a time
 *  (worker/pool), each in so much memory, and a check that takes more than five seconds is no check any more. */
const MIN_KIB = 1024;
const MAX_KIB = 2 ** 20;
const MAX_PASSES = 64;
const MAX_LANES = 16;
/** Memory times passes: some 4 GiB are written in three seconds. */
const MAX_ARGON2_WORK_KIB = 2 ** 22;
const MAX_SCRYPT_R = 64;
const MAX_SCRYPT_P = 64;
/** Memory times p: scrypt takes three seconds for 1 GiB. */
const MAX_SCRYPT_WORK_KIB = 2 ** 20;
/** What `htpasswd -B` makes unasked, and two seconds. */
const MIN_BCRYPT = 5;
const MAX_BCRYPT = 14;

const ARGON2ID = /^\$argon2id\$v=19\$m=(\d{1,9}),t=(\d{1,9}),p=(\d{1,9})\$([A-Za-z0-9+/]+)\$([A-Za-z0-9+/]+)$/;
const SCRYPT = /^\$scrypt\$ln=(\d{1,2}),r=(\d{1,9}),p=(\d{1,9})\$([A-Za-z0-9+/]+)\$([A-Za-z0-9+/]+)$/;
/** 22 characters of salt and 31 of hash, in an alphabet of bcrypt's own. The last character of each carries bits beyond the
 *  16 and 23 bytes, which are zero in what every implementation of today writes. */
const BCRYPT = /^\$2[aby]\$(\d\d)\$[./A-Za-z0-9]{21}[.Oeu][./A-Za-z0-9]{30}[.CGKOSWaeimquy26]$/;

/** @returns `error` completes the sentence "VALUE …", and never repeats any of the hash but its cost */
export function parsePasswordHash(text: string): Parsed<PasswordHash> {
  if (text.startsWith('$argon2id$')) return parseArgon2id(text);
  if (text.startsWith('$scrypt$')) return parseScrypt(text);
  if (/^\$2[aby]\$/.test(text)) return parseBcrypt(text);
  if (text.startsWith('$2x$')) return wrong('is a hash of a bcrypt with a known fault ($2x$)');
  if (text.startsWith('$')) return wrong('is a hash, but none of argon2id, scrypt and bcrypt');
  return wrong('is not a hash; a password must never stand in a config');
}

/** RFC 9106 §3.1; PHC string format, unpadded base64. */
function parseArgon2id(text: string): Parsed<PasswordHash> {
  const match = ARGON2ID.exec(text);
  if (match === null) return wrong('is a hash, but not a whole argon2id one');
  const [, kib, passes, lanes, salt = '', hash = ''] = match;
  // 8 bytes of salt, 16 of hash.
  if (salt.length < 11 || hash.length < 22) return wrong('is cut short');
  return ok({ scheme: 'argon2id', kib: Number(kib), passes: Number(passes), lanes: Number(lanes) });
}

/** As passlib writes it. */
function parseScrypt(text: string): Parsed<PasswordHash> {
  const match = SCRYPT.exec(text);
  if (match === null) return wrong('is a hash, but not a whole scrypt one ($scrypt$ln=…,r=…,p=…$SALT$HASH)');
  const [, logN, r, p, saltText = '', hashText = ''] = match;
  if (!isUnpaddedBase64(saltText) || !isUnpaddedBase64(hashText)) return wrong('is a scrypt hash with a damaged end');
  const [salt, hash] = [Buffer.from(saltText, 'base64'), Buffer.from(hashText, 'base64')];
  if (salt.length < 8 || hash.length < 16) return wrong('is cut short');
  if (salt.length > 64 || hash.length > 64) return wrong('has more than 64 bytes of salt or hash');
  return ok({ scheme: 'scrypt', logN: Number(logN), r: Number(r), p: Number(p), salt, hash });
}

function parseBcrypt(text: string): Parsed<PasswordHash> {
  const match = BCRYPT.exec(text);
  return match === null
    ? wrong('is a hash, but not a whole bcrypt one ($2b$COST$ and 53 characters)')
    : ok({ scheme: 'bcrypt', logRounds: Number(match[1]) });
}

/** Why nobody may be made to check it: it would take too much memory or time. Null: it may be checked. */
export function tooDear(hash: PasswordHash): string | null {
  switch (hash.scheme) {
    case 'argon2id': {
      const { kib, passes, lanes } = hash;
      if (kib > MAX_KIB) return above('m', kib, MAX_KIB);
      if (passes < 1 || passes > MAX_PASSES) return `has t=${passes}, which is not from 1 to ${MAX_PASSES}`;
      if (lanes < 1 || lanes > MAX_LANES) return `has p=${lanes}, which is not from 1 to ${MAX_LANES}`;
      return kib * passes > MAX_ARGON2_WORK_KIB ? slow(`m=${kib} times t=${passes}`, MAX_ARGON2_WORK_KIB) : null;
    }
    case 'scrypt': {
      const { logN, r, p } = hash;
      if (logN < 1 || logN > 30) return `has ln=${logN}, which is not from 1 to 30`;
      if (r < 1 || r > MAX_SCRYPT_R) return `has r=${r}, which is not from 1 to ${MAX_SCRYPT_R}`;
      if (p < 1 || p > MAX_SCRYPT_P) return `has p=${p}, which is not from 1 to ${MAX_SCRYPT_P}`;
      const kib = scryptKib(logN, r);
      if (kib * p > MAX_SCRYPT_WORK_KIB)
        return slow(`ln=${logN},r=${r},p=${p}, ${kib} KiB times p`, MAX_SCRYPT_WORK_KIB);
      return null;
    }
    case 'bcrypt':
      return hash.logRounds > MAX_BCRYPT ? `has cost ${hash.logRounds}: a login would take longer than it may` : null;
  }
}

/** Why it must not stand in a config: a stolen file would be cheap to guess against. Null: it may. */
export function tooCheap(hash: PasswordHash): string | null {
  switch (hash.scheme) {
    case 'argon2id':
      return hash.kib < MIN_KIB ? `has m=${hash.kib}, which is not from ${MIN_KIB} to ${MAX_KIB}` : null;
    case 'scrypt': {
      const kib = scryptKib(hash.logN, hash.r);
      return kib < MIN_KIB ? `has ln=${hash.logN},r=${hash.r}, which is ${kib} KiB and not ${MIN_KIB} at least` : null;
    }
    case 'bcrypt':
      return hash.logRounds < MIN_BCRYPT
        ? `has cost ${hash.logRounds}, which is not from ${MIN_BCRYPT} to ${MAX_BCRYPT}`
        : null;
  }
}

/** What is cheaper to guess about it than about what `hash-password` makes now, in words; null: nothing. bcrypt always is: it
 *  needs 4 KiB, of which a graphics card has room for many. For scrypt what OWASP holds to be equal: 8 MiB ten times. */
export function weakness(text: string): string | null {
  const parsed = parsePasswordHash(text);
  if (!parsed.ok) return null;
  const hash = parsed.value;
  switch (hash.scheme) {
    case 'argon2id':
      return hash.kib * hash.passes < HASH_KIB * HASH_PASSES
        ? `argon2id with m=${hash.kib},t=${hash.passes},p=${hash.lanes}`
        : null;
    case 'scrypt': {
      const kib = scryptKib(hash.logN, hash.r);
      return kib < 8 * 1024 || kib * hash.p < 80 * 1024 ? `scrypt with ln=${hash.logN},r=${hash.r},p=${hash.p}` : null;
    }
    case 'bcrypt':
      return `bcrypt with cost ${hash.logRounds}`;
  }
}

/** What decides how long a check takes: the text of a hash as far as its salt. Undefined: it is no hash. */
export function costOf(text: string): string | undefined {
  const bcrypt = /^\$2[aby]\$(\d\d)\$/.exec(text)?.[1];
  if (bcrypt !== undefined) return `$2b$${bcrypt}$`;
  return /^(?:\$argon2id\$v=19\$m=\d+,t=\d+,p=\d+\$|\$scrypt\$ln=\d+,r=\d+,p=\d+\$)/.exec(text)?.[0];
}

/** 128 bytes for each N and r (RFC 7914 §2). */
function scryptKib(logN: number, r: number): number {
  return (2 ** logN * r) / 8;
}

function above(name: string, value: number, most: number): string {
  return `has ${name}=${value}, which is above ${most}`;
}

function slow(what: string, most: number): string {
  return `has ${what}, which is above ${most}: a login would take longer than it may`;
}

function ok(value: PasswordHash): Parsed<PasswordHash> {
  return { ok: true, value };
}

function wrong(error: string): Parsed<PasswordHash> {
  return { ok: false, error };
}
