/** WEBHOOK URL: where the service is that is asked about logins: `http://…`, `https://…` or `unix:/SOCKET:/PATH`.
 *  Owns nothing. Pure. Errors complete the sentence "VALUE …" and show no part of it: people put passwords into URLs. */
import { isLoopback, parseHost } from './address.js';
import { socketPathError } from './socket_path.js';
import { hasControl } from './text.js';
import type { Parsed } from './units.js';

export type WebhookTarget =
  | {
      readonly kind: 'tcp';
      readonly secure: boolean;
      /** A name or an address, without brackets. */
      readonly host: string;
      readonly port: number;
      /** With the query. */
      readonly path: string;
    }
  | { readonly kind: 'unix'; readonly socketPath: string; readonly path: string };

export const WEBHOOK_URL_FORMS = 'http://HOST:PORT/PATH, https://HOST/PATH or unix:/SOCKET:/PATH';

const MAX_CHARACTERS = 2048;

export function parseWebhookUrl(text: string): Parsed<WebhookTarget> {
  if (text.length > MAX_CHARACTERS) return wrong(`has ${text.length} characters, more than ${MAX_CHARACTERS}`);
  // The URL parser would take them off, or escape them, without a word.
  if (/\s/u.test(text) || hasControl(text)) return wrong('has blanks or control characters');
  return text.startsWith('unix:') ? parseUnix(text) : parseHttp(text);
}

/** Do questions, passwords among them, go over a network in clear? */
export function goesInClear(target: WebhookTarget): boolean {
  if (target.kind === 'unix' || target.secure) return false;
  const host = parseHost(target.host);
  return !(host.kind === 'address' ? isLoopback(host.address) : host.kind === 'name' && host.name === 'localhost');
}

function parseHttp(text: string): Parsed<WebhookTarget> {
  if (!/^https?:\/\/[^/]/i.test(text)) return wrong('begins with none of http://, https:// and unix:/');
  let url: URL;
  try {
    url = new URL(text);
  } catch {
    return wrong('is no URL');
  }
  if (url.username !== '' || url.password !== '')
    return wrong('has a user or a password in it: put a token into a file, and name that as auth.webhook.tokenFile');
  if (text.includes('#')) return wrong('has a #, which is never sent');
  const secure = url.protocol === 'https:';
  const port = url.port === '' ? (secure ? 443 : 80) : Number(url.port);
  if (port === 0) return wrong('has port 0');
  const host = url.hostname.replace(/^\[(.*)\]$/, '$1');
  return { ok: true, value: { kind: 'tcp', secure, host, port, path: `${url.pathname}${url.search}` } };
}

/** nginx writes it so, too. */
function parseUnix(text: string): Parsed<WebhookTarget> {
  const parts = /^unix:(\/[^:]*):(\/.*)$/.exec(text);
  const [, socketPath, path] = parts ?? [];
  if (socketPath === undefined || path === undefined) return wrong('is not unix:/SOCKET:/PATH');
  const error = socketPathError(socketPath);
  if (error !== null) return wrong(`names no socket: ${error}`);
  if (path.includes('#')) return wrong('has a #, which is never sent');
  if (!/^[\x21-\x7e]+$/.test(path)) return wrong('has a path with characters that a URL writes as %XX');
  return { ok: true, value: { kind: 'unix', socketPath, path } };
}

function wrong(error: string): { readonly ok: false; readonly error: string } {
  return { ok: false, error };
}
