/** DIRECTORY: the users of the config, as the login asks for them: is this their password, is this one of their keys?
 *  Owns the parsed keys of every user, built once. Promises that an unknown user, a user without a password and a wrong
 *  password take the same way and the same time. */
import type { UserConfig } from '../../shared/config.js';
import type { AuthorizedKeyLine } from '../../shared/config_keys.js';
import { type AuthFailure, TunnelError } from '../../shared/errors.js';
import type { LineMemory } from '../../shared/line_memory.js';
import type { KeyNarrowing, KeyUse } from '../policy.js';
import type { PasswordVerdict } from '../pool/task.js';
import type { Asker, Asking } from './asking.js';
import { Authorities } from './authorities.js';
import { type KeyLineFound, parseAuthorizedKeys, type StoredKey, whereIs } from './authorized_keys.js';
import type { CertificateLogin, CertificateLoginVerdict } from './certificate_login.js';
import { isCertificateType } from './certificate_type.js';
import { type LoginStep, MAX_PASSWORD_BYTES } from './hooks.js';
import { type KeyRefusal, narrowingBy, refusalBy } from './key_options.js';
import { commonestCost, hashOfNothing } from './no_password.js';
import { blobType, fingerprint as fingerprintOf } from './public_key.js';
import { keyName } from './totp.js';

export interface DirectoryOptions {
  readonly users: readonly UserConfig[];
  /** What holds for every name that is not among the users: with a webhook, which may let in such a one. Left out: nothing. */
  readonly others?: UserConfig | undefined;
  /** CAs of all users: lines of `auth.trustedUserCAKeys`. Default: none. */
  readonly trustedCas?: readonly AuthorizedKeyLine[];
  /** Of the lines of keys of the directory before this one. Default: none, and every line is parsed. */
  readonly keyLines?: LineMemory<KeyLineFound> | undefined;
  /** The pool's check; its `ok: false` becomes a rejection of `checkPassword`. */
  readonly verifyPassword: (phc: string, password: string, signal?: AbortSignal) => Promise<PasswordVerdict>;
}

/** What the lines of a user say to a key. */
export type KeyVerdict =
  | { readonly kind: 'accepted'; readonly key: StoredKey }
  /** There are lines with this key, and none of them lets this peer in now. `detail` is for the log alone. */
  | { readonly kind: 'refused'; readonly code: AuthFailure; readonly detail: string }
  | { readonly kind: 'unknown' };

/** What one line says to a key. */
export interface KeyWord {
  readonly key: StoredKey;
  /** Null: it lets the peer in. */
  readonly refusal: KeyRefusal | null;
}

interface User {
  readonly config: UserConfig;
  /** Those that log in, by fingerprint; of one key in the order of its lines. */
  readonly keys: ReadonlyMap<string, readonly StoredKey[]>;
  /** The lines with `cert-authority`. */
  readonly authorities: readonly StoredKey[];
}

const NO_KEYS: readonly StoredKey[] = [];

export class Directory {
  readonly #users: ReadonlyMap<string, User>;
  readonly #others: User | undefined;
  readonly #authorities: Authorities;
  readonly #verifyPassword: DirectoryOptions['verifyPassword'];
  /** No password fits it; it costs what most users' hashes cost. Users whose hash has other parameters can be told
   *  apart by time: one cost for all is the operator's part. */
  readonly #dummyPhc: string;

  constructor(options: DirectoryOptions) {
    const { keyLines } = options;
    this.#users = new Map(options.users.map((config) => [config.name, userOf(config, keyLines)]));
    this.#others = options.others === undefined ? undefined : userOf(options.others, keyLines);
    const everybody = [...this.#users.values(), ...(this.#others === undefined ? [] : [this.#others])];
    const lines = everybody.flatMap(({ authorities }) => authorities);
    this.#authorities = new Authorities(options.trustedCas ?? [], lines);
    this.#verifyPassword = options.verifyPassword;
    this.#dummyPhc = hashOfNothing(commonestCost(options.users.map(({ password }) => password)));
  }

  /** Is this a user of the config? */
  knows(name: string): boolean {
    return this.#users.has(name);
  }

  /** What the config says of a user, or undefined. */
  user(name: string): UserConfig | undefined {
    return this.#find(name)?.config;
  }

  /** Does the config leave it to a webhook alone who this user is? */
  leavesOpen(name: string): boolean {
    return this.#others !== undefined && this.#find(name)?.config.unnamed === true;
  }

  /** True when the password is the user's. Rejects with TunnelError POOL_BUSY, HOOK_TIMEOUT or HOOK_FAILED when there is
   *  no verdict; the caller denies. Unknown users and users without a password are hashed against a dummy. A password of
   *  more than 1024 bytes is refused unhashed: that depends on what the peer sent alone, so it tells nothing of a user. */
  async checkPassword(username: string, password: string, signal?: AbortSignal): Promise<boolean> {
    if (Buffer.byteLength(password) > MAX_PASSWORD_BYTES) return false;
    const stored = this.#find(username)?.config.password ?? null;
    const verdict = await this.#verifyPassword(stored ?? this.#dummyPhc, password, signal);
    if (!verdict.ok) throw new TunnelError(verdict.code, 'the password could not be checked');
    return stored !== null && verdict.match;
  }

  /** May this key log the user in? As sshd has it: of the lines with exactly this key, the first that lets the peer in holds. The
   *  blob is only hashed and compared, never parsed; verify with the key that comes back. Unknown users cost the same look-up
   *  in an empty map. */
  checkKey(username: string, blob: Buffer, { address, nowMs }: Asking): KeyVerdict {
    const lines = this.keyLines(username, blob, { address, nowMs });
    const accepted = lines.find(({ refusal }) => refusal === null);
    if (accepted !== undefined) return { kind: 'accepted', key: accepted.key };
    const [first] = lines;
    if (first === undefined || first.refusal === null) return { kind: 'unknown' };
    const details = lines.map(({ key, refusal }) => `${whereIs(key)}: ${refusal?.why ?? ''}`);
    return { kind: 'refused', code: first.refusal.code, detail: details.join('; ') };
  }

  /** Each line with exactly this key, in their order, and why it does not let the peer in. */
  keyLines(username: string, blob: Buffer, { address, nowMs }: Asking): readonly KeyWord[] {
    return this.#lines(username, fingerprintOf(blob))
      .filter((key) => key.blob.equals(blob))
      .map((key) => ({ key, refusal: refusalBy(key.options, address, nowMs) }));
  }

  /** May this certificate log the user in? Its CA's signature is checked too; that nothing is revoked has been asked before. */
  checkCertificate(username: string, certificate: Buffer, { address, nowMs }: Asking): CertificateLoginVerdict {
    const user = this.#find(username);
    const lines = user?.authorities ?? NO_KEYS;
    return this.#authorities.check(certificate, lines, user !== undefined, { username, address, nowMs });
  }

  /** What the lines of a login's key leave of the user's rights by now; null where none of them would have let it in. */
  narrowing(use: KeyUse): KeyNarrowing | null {
    const way = this.#wayOf(use);
    return way === null ? null : narrowingBy(way.options, way.where, use);
  }

  /** When that key expires by now; null: never. Where no line would have let it in any more, when it came in. */
  expiry(use: KeyUse): number | null {
    const way = this.#wayOf(use);
    return way === null ? use.atMs : way.expiresAtMs;
  }

  #wayOf(use: KeyUse): Pick<CertificateLogin, 'options' | 'where' | 'expiresAtMs'> | null {
    if (use.certificate !== undefined) {
      const ask = { username: use.username, address: use.address, nowMs: use.atMs };
      const way = this.#again(use.certificate, ask);
      return way.kind === 'accepted' ? way : null;
    }
    const lines = this.#lines(use.username, use.fingerprint);
    const key = lines.find(({ options }) => refusalBy(options, use.address, use.atMs) === null);
    if (key === undefined) return null;
    return { options: key.options, where: whereIs(key), expiresAtMs: key.options.expiresAtMs };
  }

  /** The same where nobody knows any more which line it was: all of them hold. */
  narrowings(username: string, fingerprint: string): readonly KeyNarrowing[] {
    return this.#lines(username, fingerprint).map((key) => narrowingBy(key.options, whereIs(key)));
  }

  /** What stands here behind a step of a login: the user's key, some way from the CA of his certificate to him, the hash of the
   *  password, the webhook's word, or a name of the second factor's secret; null where nothing does. */
  behind({ username, method, fingerprint, key, isSecondFactor }: LoginStep): string | null {
    const user = this.#find(username);
    if (user === undefined) return null;
    if (isSecondFactor) return user.config.totp === null ? null : keyName(user.config.totp);
    const isCertified = isCertificate(key);
    if (isCertified && this.#authorities.leads(key, user.authorities)) return CERTIFICATE;
    if (this.leavesOpen(username)) return WEBHOOK;
    if (isCertified) return null;
    if (method !== 'publickey') return user.config.password;
    return fingerprint !== undefined && user.keys.has(fingerprint) ? fingerprint : null;
  }

  /** Would the options of the key behind a step let this peer in? */
  letsIn({ username, method, fingerprint, key }: LoginStep, { address, nowMs }: Asking): boolean {
    if (method !== 'publickey') return true;
    if (isCertificate(key)) return this.#again(key, { username, address, nowMs }).kind === 'accepted';
    const lines = fingerprint === undefined ? NO_KEYS : this.#lines(username, fingerprint);
    return lines.some(({ options }) => refusalBy(options, address, nowMs) === null);
  }

  /** For a certificate that has logged in. */
  #again(certificate: Buffer, ask: Asker): CertificateLoginVerdict {
    const user = this.#find(ask.username);
    return user === undefined ? { kind: 'unknown' } : this.#authorities.checkAgain(certificate, user.authorities, ask);
  }

  #lines(username: string, fingerprint: string): readonly StoredKey[] {
    return this.#find(username)?.keys.get(fingerprint) ?? NO_KEYS;
  }

  #find(username: string): User | undefined {
    return this.#users.get(username) ?? this.#others;
  }
}

/** No fingerprint and no hash. */
const WEBHOOK = 'webhook';
const CERTIFICATE = 'certificate';

function userOf(config: UserConfig, keyLines: DirectoryOptions['keyLines']): User {
  // Lines that open nothing were told at start, once for all workers (library/load_config.ts).
  const { keys } = parseAuthorizedKeys(config.authorizedKeys, keyLines);
  return {
    config,
    keys: byFingerprint(keys.filter(({ options }) => !options.certAuthority)),
    authorities: keys.filter(({ options }) => options.certAuthority),
  };
}

function isCertificate(key: Buffer | undefined): key is Buffer {
  return key !== undefined && isCertificateType(blobType(key) ?? '');
}

function byFingerprint(keys: readonly StoredKey[]): ReadonlyMap<string, readonly StoredKey[]> {
  const found = new Map<string, StoredKey[]>();
  for (const key of keys) {
    const same = found.get(key.fingerprint);
    if (same === undefined) found.set(key.fingerprint, [key]);
    else same.push(key);
  }
  return found;
}
