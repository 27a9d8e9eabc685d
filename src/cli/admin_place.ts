/** ADMIN PLACE: where the admin API of the server is that a command means: as it was typed, or as the config has it.
 *  Owns nothing. Of the config only what says that is read: a mistake elsewhere in it keeps nobody from looking at the server, which
 *  runs by what it read when it was right. */
import { resolve } from 'node:path';
import { loadAdmin, readTextFile } from '../library/load_config.js';
import { ADMIN_LISTEN_FORMS, adminListenOf, parseAdminListen } from '../shared/admin_listen.js';
import type { AdminListen } from '../shared/config_keys.js';
import { findConfig, QUICK_START_STATE_DIR } from './options.js';

/** As they were typed. */
export interface AdminOptions {
  readonly config?: string;
  readonly stateDir?: string;
  readonly admin?: string;
  readonly tokenFile?: string;
  readonly json?: boolean;
}

export interface AdminPlace {
  readonly listen: AdminListen;
  /** Sent along by TCP. */
  readonly token: string | null;
}

export type Found =
  | { readonly ok: true; readonly place: AdminPlace }
  | { readonly ok: false; readonly errors: readonly string[] };

export function findAdmin(options: AdminOptions): Found {
  const typed = options.tokenFile === undefined ? null : tokenIn(options.tokenFile);
  if (typed !== null && !typed.ok) return typed;
  const found = options.admin === undefined ? configured(options) : named(options.admin);
  if (!found.ok) return found;
  const { listen } = found.place;
  const token = typed?.token ?? found.place.token;
  if (listen.kind === 'tcp' && token === null)
    return wrong('--token-file: is missing, and by TCP the admin API asks for its token');
  return { ok: true, place: { listen, token } };
}

function named(text: string): Found {
  const parsed = parseAdminListen(text, resolve);
  if (!parsed.ok) return wrong(`--admin: ${JSON.stringify(text)} ${parsed.error}, allowed: ${ADMIN_LISTEN_FORMS}`);
  return { ok: true, place: { listen: parsed.value, token: null } };
}

/** As `serve` does with the same options: the typed folder wins over the config's and over the quick start's. */
function configured(options: AdminOptions): Found {
  const typedDir = options.stateDir === undefined ? undefined : resolve(options.stateDir);
  const file = findConfig(options.config);
  if (file === null) {
    const listen = adminListenOf(null, typedDir ?? resolve(QUICK_START_STATE_DIR));
    return { ok: true, place: { listen, token: null } };
  }
  const loaded = loadAdmin(file);
  if (!loaded.ok) return loaded;
  const { admin, stateDir } = loaded;
  if (!admin.enabled) return wrong(`${file}: admin: is false: a server of this config has no admin API`);
  return {
    ok: true,
    place: { listen: adminListenOf(admin.listen, typedDir ?? stateDir), token: admin.tokenFile?.secret ?? null },
  };
}

function tokenIn(
  file: string,
): { readonly ok: true; readonly token: string } | { readonly ok: false; readonly errors: readonly string[] } {
  const read = readTextFile(file, { isSecret: true });
  if (!read.ok) return wrong(`--token-file: ${file} ${read.error}`);
  const token = read.value.trim();
  return /^[\x21-\x7e]+$/.test(token) ? { ok: true, token } : wrong(`--token-file: ${file} has no token in it`);
}

function wrong(error: string): { readonly ok: false; readonly errors: readonly string[] } {
  return { ok: false, errors: [error] };
}
