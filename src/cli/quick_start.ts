/** QUICK START: a server for whoever just typed `sallyport`: this machine only, this user only, the keys that are there
 *  already. Owns the choice of keys and the password of the run. Touches nothing outside `./.sallyport/`. */

import { randomInt } from 'node:crypto';
import { existsSync, readdirSync } from 'node:fs';
import { homedir, userInfo } from 'node:os';
import { basename, dirname, join, resolve } from 'node:path';
import { loadObject, readTextFile } from '../library/load_config.js';
import type { Config } from '../shared/config.js';
import { authorizedKeyLines } from '../shared/config_checks.js';
import type { AuthorizedKeyLine } from '../shared/config_keys.js';
import { TunnelError } from '../shared/errors.js';
import { parseAuthorizedKeys } from '../worker/auth/authorized_keys.js';
import { makeHash } from './hash_password.js';
import { QUICK_START_STATE_DIR } from './options.js';

export interface QuickStart {
  readonly config: Config;
  readonly user: string;
  /** Made for this run, or null where keys were found. */
  readonly password: string | null;
  /** Files of which at least one key is accepted. */
  readonly keyFiles: readonly string[];
  /** The private key to name on the command line, where ssh would not try it by itself. */
  readonly identityFile: string | null;
  readonly warnings: readonly string[];
}

/** Reads `~/.ssh` and makes the config. The only effect is on the clock: hashing the password takes some 20 ms. */
export async function quickStart(): Promise<QuickStart> {
  const user = loginName();
  const found = findKeys(join(homedir(), '.ssh'));
  const password = found.lines.length === 0 ? makePassword() : null;
  const { config, errors } = loadObject(
    {
      listen: ['127.0.0.1:2222'],
      stateDir: resolve(QUICK_START_STATE_DIR),
      // Only what can work, so that nobody is asked for a password that does not exist.
      auth: { methods: password === null ? ['publickey'] : ['password', 'keyboard-interactive'] },
      users: new Map([
        [
          user,
          {
            authorizedKeys: found.lines.map(({ text }) => text),
            password: password === null ? undefined : await makeHash(password),
            permitOpen: ['localhost:*'],
            permitListen: ['localhost:1024-65535'],
          },
        ],
      ]),
    },
    'quick start',
  );
  if (config === null) throw new TunnelError('CONFIG_INVALID', errors.join('\n'));
  // The lines' own files, for log lines about a key.
  const users = config.users.map((one) => ({ ...one, authorizedKeys: found.lines }));
  return { config: { ...config, users }, user, password, ...found };
}

interface FoundKeys {
  readonly lines: readonly AuthorizedKeyLine[];
  readonly keyFiles: readonly string[];
  readonly identityFile: string | null;
  readonly warnings: readonly string[];
}

/** Private keys that ssh(1) tries without being told. */
const TRIED_BY_SSH = ['id_rsa', 'id_ecdsa', 'id_ecdsa_sk', 'id_ed25519', 'id_ed25519_sk'];

/** Each usable key once, of `*.pub` and `authorized_keys`. A line that the server would not accept is left out with a
 *  warning: one with options, because without them it would grant more than was meant. */
function findKeys(folder: string): FoundKeys {
  const lines: AuthorizedKeyLine[] = [];
  const warnings: string[] = [];
  const seen = new Set<string>();
  for (const file of keyFilesIn(folder)) {
    const text = readTextFile(file);
    if (!text.ok) {
      warnings.push(`${file} ${text.error}: not used`);
      continue;
    }
    for (const line of authorizedKeyLines(file, text.value)) {
      const { keys, problems } = parseAuthorizedKeys([line]);
      for (const { why } of problems) warnings.push(`${file}:${line.line}: ${why}`);
      for (const key of keys) {
        if (!seen.has(key.fingerprint)) lines.push(line);
        seen.add(key.fingerprint);
      }
    }
  }
  const keyFiles = [...new Set(lines.map(({ file }) => file))];
  const privateKeys = keyFiles
    .filter((file) => file.endsWith('.pub'))
    .map((file) => file.slice(0, -'.pub'.length))
    .filter((file) => existsSync(file));
  // ssh looks in the home folder of the password file, wherever HOME points.
  const triedIn = join(homeOfUser(), '.ssh');
  const tried = privateKeys.some((file) => dirname(file) === triedIn && TRIED_BY_SSH.includes(basename(file)));
  return { lines, keyFiles, identityFile: tried ? null : (privateKeys[0] ?? null), warnings };
}

/** Certificates (`-cert.pub`) are no keys of their own. */
function keyFilesIn(folder: string): readonly string[] {
  if (!existsSync(folder)) return [];
  const publicKeys = readdirSync(folder).filter((name) => name.endsWith('.pub') && !name.endsWith('-cert.pub'));
  const names = existsSync(join(folder, 'authorized_keys'))
    ? [...publicKeys.sort(), 'authorized_keys']
    : publicKeys.sort();
  return names.map((name) => join(folder, name));
}

function homeOfUser(): string {
  try {
    return userInfo().homedir;
  } catch {
    return homedir();
  }
}

/** In a container a user id may have no entry in the password file. */
function loginName(): string {
  try {
    return userInfo().username;
  } catch {
    return process.env.USER ?? process.env.LOGNAME ?? 'tunnel';
  }
}

/** No letters that look like another one. */
const PASSWORD_LETTERS = 'abcdefghijkmnpqrstuvwxyzABCDEFGHJKLMNPQRSTUVWXYZ23456789';

/** 20 letters of 56 are 116 bits. */
const PASSWORD_LENGTH = 20;

function makePassword(): string {
  return Array.from({ length: PASSWORD_LENGTH }, () => PASSWORD_LETTERS[randomInt(PASSWORD_LETTERS.length)]).join('');
}
