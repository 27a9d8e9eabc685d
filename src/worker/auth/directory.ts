/** DIRECTORY: the users of the config, as the login asks for them: is this their password, is this one of their keys?
 *  Owns the parsed keys of every user, built once. Promises that an unknown user, a user without a password and a wrong
 *  password take the same way and the same time. */
import { randomBytes } from 'node:crypto';
import type { UserConfig } from '../../shared/config.js';
import { TunnelError } from '../../shared/errors.js';
import type { PasswordVerdict } from '../pool/task.js';
import { parseAuthorizedKeys, type StoredKey } from './authorized_keys.js';
import { type LoginStep, MAX_PASSWORD_BYTES } from './hooks.js';
import { fingerprint as fingerprintOf } from './public_key.js';

export interface DirectoryOptions {
  readonly users: readonly UserConfig[];
  /** The pool's check; its `ok: false` becomes a rejection of `checkPassword`. */
  readonly verifyPassword: (phc: string, password: string, signal?: AbortSignal) => Promise<PasswordVerdict>;
}

interface User {
  readonly config: UserConfig;
  /** By fingerprint. */
  readonly keys: ReadonlyMap<string, StoredKey>;
}

const DEFAULT_COST = 'm=19456,t=2,p=1';
const NO_KEYS: ReadonlyMap<string, StoredKey> = new Map();

export class Directory {
  readonly #users: ReadonlyMap<string, User>;
  readonly #verifyPassword: DirectoryOptions['verifyPassword'];
  /** No password fits it; it costs what most users' hashes cost. Users whose hash has other parameters can be told
   *  apart by time: one cost for all is the operator's part. */
  readonly #dummyPhc: string;

  constructor(options: DirectoryOptions) {
    const users = new Map<string, User>();
    for (const config of options.users) {
      // Lines that open nothing were told at start, once for all workers (library/load_config.ts).
      const { keys } = parseAuthorizedKeys(config.authorizedKeys);
      users.set(config.name, { config, keys: new Map(keys.map((key) => [key.fingerprint, key])) });
    }
    this.#users = users;
    this.#verifyPassword = options.verifyPassword;
    this.#dummyPhc = dummyPhc(options.users);
  }

  /** What the config says of a user, or undefined. */
  user(name: string): UserConfig | undefined {
    return this.#users.get(name)?.config;
  }

  /** True when the password is the user's. Rejects with TunnelError POOL_BUSY, HOOK_TIMEOUT or HOOK_FAILED when there is
   *  no verdict; the caller denies. Unknown users and users without a password are hashed against a dummy. A password of
   *  more than 1024 bytes is refused unhashed: that depends on what the peer sent alone, so it tells nothing of a user. */
  async checkPassword(username: string, password: string, signal?: AbortSignal): Promise<boolean> {
    if (Buffer.byteLength(password) > MAX_PASSWORD_BYTES) return false;
    const stored = this.#users.get(username)?.config.password ?? null;
    const verdict = await this.#verifyPassword(stored ?? this.#dummyPhc, password, signal);
    if (!verdict.ok) throw new TunnelError(verdict.code, 'the password could not be checked');
    return stored !== null && verdict.match;
  }

  /** The user's stored key whose blob is exactly this one, or null. The blob is only hashed and compared, never parsed;
   *  verify with the key that comes back. Unknown users cost the same look-up in an empty map. */
  checkKey(username: string, blob: Buffer): StoredKey | null {
    const stored = (this.#users.get(username)?.keys ?? NO_KEYS).get(fingerprintOf(blob));
    return stored?.blob.equals(blob) ? stored : null;
  }

  /** What stands here behind a step of a login: the user's key, or the hash of the password; null where nothing does. */
  behind({ username, method, fingerprint }: LoginStep): string | null {
    const user = this.#users.get(username);
    if (user === undefined) return null;
    if (method !== 'publickey') return user.config.password;
    return fingerprint !== undefined && user.keys.has(fingerprint) ? fingerprint : null;
  }
}

/** A PHC string with the commonest cost of the config and a random hash that nobody knows a password for. */
function dummyPhc(users: readonly UserConfig[]): string {
  const counts = new Map<string, number>();
  let commonest = DEFAULT_COST;
  for (const { password } of users) {
    const cost = costOf(password ?? '');
    if (cost === undefined) continue;
    const count = (counts.get(cost) ?? 0) + 1;
    counts.set(cost, count);
    if (count > (counts.get(commonest) ?? 0)) commonest = cost;
  }
  return hashOfNothing(commonest);
}

/** `m=…,t=…,p=…` of a PHC string. */
export function costOf(hash: string): string | undefined {
  return /^\$argon2id\$v=19\$(m=\d+,t=\d+,p=\d+)\$/.exec(hash)?.[1];
}

/** A hash of this cost that no password fits. */
export function hashOfNothing(cost: string = DEFAULT_COST): string {
  const base64 = (length: number): string => randomBytes(length).toString('base64').replace(/=+$/, '');
  return `$argon2id$v=19$${cost}$${base64(16)}$${base64(32)}`;
}
