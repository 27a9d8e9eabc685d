/** ADMIN LISTEN: where the admin API is: a Unix socket, or a port of the loopback.
 *  Owns nothing. Pure. Errors complete the sentence "VALUE …". */
import { resolve } from 'node:path';
import { formatHostPort, isLoopback, parseAddress, parseHostPort } from './address.js';
import type { AdminListen } from './config_keys.js';
import { isSocketPathLength, socketPathError } from './socket_path.js';
import { hasControl } from './text.js';
import type { Parsed } from './units.js';

export const ADMIN_LISTEN_FORMS = '"unix:PATH", or "HOST:PORT" of localhost or another loopback address';

/** Before it has its name the socket stands aside under that and a dot and a process number (openStateSocket). */
const ASIDE = '.4194304';

/** @param resolvePath makes a path absolute */
export function parseAdminListen(text: string, resolvePath: (path: string) => string): Parsed<AdminListen> {
  if (text.startsWith('unix:')) return parseUnix(text.slice('unix:'.length), resolvePath);
  const parsed = parseHostPort(text);
  if (parsed === null) return wrong('is neither unix:PATH nor HOST:PORT');
  // Node would ask the resolver, which may answer with either family.
  const host = parsed.host === 'localhost' ? '127.0.0.1' : parsed.host;
  const address = parseAddress(host);
  if (address === null || !isLoopback(address)) return wrong('is no address of the loopback');
  return { ok: true, value: { kind: 'tcp', host, port: parsed.port } };
}

function parseUnix(written: string, resolvePath: (path: string) => string): Parsed<AdminListen> {
  if (written === '' || hasControl(written)) return wrong('names no socket');
  const path = resolvePath(written);
  const error = socketPathError(path);
  if (error !== null) return wrong(`names no socket: ${error}`);
  if (!isSocketPathLength(`${path}${ASIDE}`)) return wrong('has too long a path for a Unix socket');
  return { ok: true, value: { kind: 'unix', path } };
}

/** @param listen null: in the stateDir */
export function adminListenOf(listen: AdminListen | null, stateDir: string): AdminListen {
  return listen ?? { kind: 'unix', path: resolve(stateDir, 'admin.sock') };
}

/** As the config writes it. */
export function adminListenText(listen: AdminListen): string {
  return listen.kind === 'unix' ? `unix:${listen.path}` : formatHostPort(listen.host, listen.port);
}

function wrong(error: string): { readonly ok: false; readonly error: string } {
  return { ok: false, error };
}
