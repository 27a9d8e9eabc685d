/** ADMIN CLIENT: one request to the admin API of a running server.
 *  Owns nothing beyond the call. What the server says is judged by its status; its fields are for the caller. */
import { request } from 'node:http';
import { adminListenText } from '../shared/admin_listen.js';
import { errnoOf, reasonOf } from '../shared/errors.js';
import type { AdminPlace } from './admin_place.js';

export type Outcome =
  | { readonly kind: 'answer'; readonly status: number; readonly body: unknown }
  /** Nobody answers; in words. */
  | { readonly kind: 'silence'; readonly why: string };

/** Workers are waited for a second at most; a reload may start a new one. */
const PATIENCE_MS = 60_000;
/** Some ten thousand connections with their channels. */
const MAX_ANSWER_CHARACTERS = 128 * 2 ** 20;

/** Never rejects. */
export function askAdmin(
  { listen, token }: AdminPlace,
  method: string,
  path: string,
  patienceMs = PATIENCE_MS,
): Promise<Outcome> {
  const where = listen.kind === 'unix' ? { socketPath: listen.path } : { host: listen.host, port: listen.port };
  const headers = token === null ? {} : { Authorization: `Bearer ${token}` };
  return new Promise((resolve) => {
    const silence = (error: unknown): void =>
      resolve({ kind: 'silence', why: silenceText(adminListenText(listen), error) });
    const asked = request({ ...where, method, path, headers, agent: false, timeout: patienceMs }, (response) => {
      const parts: string[] = [];
      let length = 0;
      response.setEncoding('utf8');
      response.on('data', (text: string) => {
        parts.push(text);
        length += text.length;
        if (length > MAX_ANSWER_CHARACTERS) asked.destroy(new Error('its answer has no end'));
      });
      response.on('error', silence);
      response.on('end', () => {
        const body = parsed(parts.join(''));
        resolve({ kind: 'answer', status: response.statusCode ?? 0, body });
      });
    });
    asked.on('timeout', () => asked.destroy(new Error(`it says nothing for ${patienceMs / 1_000} s`)));
    asked.on('error', silence);
    asked.end();
  });
}

/** Undefined for what is no JSON: no server of ours. */
function parsed(text: string): unknown {
  try {
    return text === '' ? null : JSON.parse(text);
  } catch {
    return undefined;
  }
}

function silenceText(place: string, error: unknown): string {
  switch (errnoOf(error)) {
    case 'ENOENT':
    case 'ECONNREFUSED':
      return `no server answers at ${place}: is it running, and with this config?`;
    case 'EACCES':
      return `${place} may not be opened: ask as the user of the server`;
    default:
      return `no server answers at ${place}: ${reasonOf(error)}`;
  }
}
