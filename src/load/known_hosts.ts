/** KNOWN HOSTS: is this the host key that we know? Reads OpenSSH's known_hosts format (sshd(8)), plain and hashed, with
 *  patterns, `[host]:port` and @revoked. Pure: text in, verdict out. Certificates are not looked at. */
import { createHash, createHmac } from 'node:crypto';

export type KeyVerdict =
  | { readonly verdict: 'known' }
  /** No line speaks of this host. */
  | { readonly verdict: 'unknown' }
  /** Lines speak of this host, and name other keys. */
  | { readonly verdict: 'changed'; readonly line: number }
  | { readonly verdict: 'revoked'; readonly line: number };

export interface KnownHost {
  /** Counted from 1. */
  readonly line: number;
  readonly revoked: boolean;
  readonly keyType: string;
  readonly blob: Buffer;
}

const SSH_PORT = 22;

/** The lines that speak of a host. */
export function linesFor(text: string, host: string, port: number): readonly KnownHost[] {
  const name = (port === SSH_PORT ? host : `[${host}]:${port}`).toLowerCase();
  const found: KnownHost[] = [];
  for (const [index, line] of text.split('\n').entries()) {
    const words = line.trim().split(/[ \t]+/);
    const marker = words[0]?.startsWith('@') === true ? words.shift() : undefined;
    const [hosts, keyType, key] = words;
    if (hosts === undefined || keyType === undefined || key === undefined || hosts.startsWith('#')) continue;
    if (marker !== undefined && marker !== '@revoked') continue;
    if (!namesHost(hosts, name)) continue;
    found.push({ line: index + 1, revoked: marker === '@revoked', keyType, blob: Buffer.from(key, 'base64') });
  }
  return found;
}

export function judge(lines: readonly KnownHost[], blob: Buffer): KeyVerdict {
  const same = lines.filter((line) => line.blob.equals(blob));
  const revoked = same.find((line) => line.revoked);
  if (revoked !== undefined) return { verdict: 'revoked', line: revoked.line };
  if (same.length > 0) return { verdict: 'known' };
  const other = lines.find((line) => !line.revoked);
  return other === undefined ? { verdict: 'unknown' } : { verdict: 'changed', line: other.line };
}

/** `SHA256:…` as ssh-keygen -l prints it. */
export function fingerprint(blob: Uint8Array): string {
  return `SHA256:${createHash('sha256').update(blob).digest('base64').replace(/=+$/, '')}`;
}

/** `ssh-ed25519` and the like: the first string of a public key (RFC 4253 §6.6). */
export function keyTypeOf(blob: Buffer): string {
  const length = blob.length < 4 ? 0 : blob.readUInt32BE(0);
  return blob.toString('latin1', 4, 4 + Math.min(length, 64));
}

/** @param hosts the first field: a hash, or patterns with commas between them */
function namesHost(hosts: string, name: string): boolean {
  if (hosts.startsWith('|1|')) {
    const [, , salt = '', hash = ''] = hosts.split('|');
    return createHmac('sha1', Buffer.from(salt, 'base64')).update(name).digest('base64') === hash;
  }
  const patterns = hosts.toLowerCase().split(',');
  if (patterns.some((pattern) => pattern.startsWith('!') && matches(pattern.slice(1), name))) return false;
  return patterns.some((pattern) => matches(pattern, name));
}

/** `*` and `?` as in ssh_config(5). */
function matches(pattern: string, name: string): boolean {
  const literal = pattern.replace(/[.+^${}()|[\]\\]/g, '\\$&');
  return new RegExp(`^${literal.replaceAll('*', '.*').replaceAll('?', '.')}$`, 's').test(name);
}
