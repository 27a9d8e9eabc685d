/** KEY PERMIT: one `permitopen` or `permitlisten` of an authorized_keys line, and what it covers by sshd's own rules.
 *  Owns nothing. Pure, and total. Not the patterns of the config: those are patterns.ts. */
import { asciiLowerCase, matchPattern } from './match.js';
import { MAX_PORT } from './port.js';
import type { Parsed } from './units.js';

export interface KeyPermit {
  /** As it is written, without brackets. */
  readonly host: string;
  readonly port: number | 'any';
}

/** glibc's NI_MAXHOST, less the zero at its end. */
const MAX_HOST_BYTES = 1024;

/** Reads `HOST:PORT`, `[v6]:PORT`; PORT may be `*`. Like sshd it takes a `/` for the `:`.
 *  @param barePort a port alone stands for any host, as in permitlisten */
export function parseKeyPermit(text: string, { barePort }: { readonly barePort: boolean }): Parsed<KeyPermit> {
  const whole = barePort && !text.includes(':') ? `*:${text}` : text;
  const parts = /^(\[[^\]]*\]|[^:/[][^:/]*|)[:/](.*)$/s.exec(whole);
  const [, host, port] = parts ?? [];
  if (host === undefined || port === undefined || Buffer.byteLength(host) > MAX_HOST_BYTES)
    return { ok: false, error: `"${text}": no ${barePort ? '[HOST:]PORT' : 'HOST:PORT'}` };
  const bare = host.startsWith('[') ? host.slice(1, -1) : host;
  if (port === '*') return { ok: true, value: { host: bare, port: 'any' } };
  // As strtonum reads it, with blanks, a plus and zeros before it. sshd takes names of services too; which ones there are is the
  // machine's affair and may change under a running server.
  if (!/^[ \t\n\v\f\r]*\+?\d+$/.test(port) || Number(port) < 1 || Number(port) > MAX_PORT)
    return { ok: false, error: `"${text}": bad port, allowed are * and 1 to ${MAX_PORT}, no names of services` };
  return { ok: true, value: { host: bare, port: Number(port) } };
}

/** Is it covered by a permitopen? Compared letter by letter with what the client asked for: `localhost` is not 127.0.0.1. Only
 *  a host that is `*` and nothing else means any (open_match in OpenSSH's channels.c). */
export function permitsOpen(permit: KeyPermit, host: string, port: number): boolean {
  return (permit.host === '*' || permit.host === host) && (permit.port === 'any' || permit.port === port);
}

/** Is it covered by a permitlisten? Its host is a pattern for what the client asked for, in lower case. Port 0, which asks for
 *  any, needs the `*` (remote_open_match in OpenSSH's channels.c). */
export function permitsListen(permit: KeyPermit, host: string, port: number): boolean {
  return matchPattern(asciiLowerCase(host), permit.host) && (permit.port === 'any' || permit.port === port);
}
