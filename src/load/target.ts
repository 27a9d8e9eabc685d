/** TARGET: the server to load, as it is typed: `[user@]host[:port]`. Pure. */
import { parseHost } from '../shared/address.js';

export interface Target {
  /** Undefined: whoever runs the command. */
  readonly user: string | undefined;
  readonly host: string;
  readonly port: number;
}

const SSH_PORT = 22;
const MAX_PORT = 65_535;

/** Takes what ssh takes, an IPv6 address with or without brackets included. Undefined for anything else. */
export function parseTarget(text: string): Target | undefined {
  const at = text.lastIndexOf('@'); // a user name may have an @ in it, a host may not
  const user = at === -1 ? undefined : text.slice(0, at);
  const place = parsePlace(text.slice(at + 1));
  if (user === '' || place === undefined) return undefined;
  return { user, host: place.host, port: place.port ?? SSH_PORT };
}

/** `host[:port]`. */
export function parsePlace(text: string): { readonly host: string; readonly port: number | undefined } | undefined {
  const bare = parseHost(text);
  if (text.includes(':') && bare.kind === 'address') return { host: bare.address.text, port: undefined };
  const parts = /^(\[[^\]]+\]|[^:[\]]+)(?::(\d{1,5}))?$/.exec(text);
  const host = parseHost(parts?.[1] ?? '');
  const port = parts?.[2] === undefined ? undefined : Number(parts[2]);
  if (host.kind === 'invalid' || port === 0 || (port ?? 1) > MAX_PORT) return undefined;
  return { host: host.kind === 'address' ? host.address.text : host.name, port };
}
