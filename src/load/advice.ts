/** ADVICE: what would be right, where a server said no. Pure. Speaks of Sallyport's config and of OpenSSH's: one of them is
 *  most likely at the other end, and the words for others are close. */
import { formatHostPort } from '../shared/address.js';
import { OPEN_FAILURE } from '../shared/protocol.js';
import type { LoadError } from './errors.js';
import type { KeyVerdict } from './known_hosts.js';

export interface Circumstances {
  readonly host: string;
  readonly port: number;
  readonly user: string;
  /** Where this command listens. */
  readonly destination: { readonly host: string; readonly port: number } | undefined;
  readonly serverOnThisMachine: boolean;
  /** What was tried to log in. */
  readonly tried: readonly string[];
  readonly hostKey:
    | { readonly fingerprint: string; readonly keyType: string; readonly file: string; readonly verdict: KeyVerdict }
    | undefined;
  /** Of --host-key-fingerprint. */
  readonly expectedFingerprint: string | undefined;
}

/** @returns lines, maybe none */
export function adviceFor(error: LoadError, about: Circumstances): readonly string[] {
  switch (error.code) {
    case 'UNREACHABLE':
      if (error.errno === 'ENOTFOUND' || error.errno === 'EAI_AGAIN')
        return ['is the name spelled right? An address works too: user@192.0.2.7:2222'];
      if (error.errno !== 'ECONNREFUSED') return [];
      return about.port === 22
        ? ["is the server running, and on that port? Sallyport's quick start listens on 2222: add :2222 to the target"]
        : ['is the server running, and on that port and address?'];
    case 'TIMED_OUT':
      return ['a firewall that drops packets looks like this; so does a server that is full'];
    case 'NOT_SSH':
      return ['is this the right port? A server that is full (maxStartups, MaxStartups) closes connections early, too'];
    case 'HOST_KEY_REFUSED':
      return hostKeyAdvice(about);
    case 'AUTH_REFUSED':
      return [
        ...about.tried,
        `the server must know one of these for ${about.user}: users.${about.user}.authorizedKeys in Sallyport's config, ` +
          '~/.ssh/authorized_keys with sshd; or name another key with -i, or another user before the @',
      ];
    case 'CONNECTION_LOST':
    case 'ENDED_BY_SERVER':
      return ["the server's log says why; limits on connections (--connections is ours) are a frequent reason"];
    case 'OPEN_REFUSED':
      return about.destination === undefined ? [] : openAdvice(error.reason, about, about.destination);
    case 'BAD_DESTINATION':
    case 'STALLED':
    case 'NO_COMMON_ALGORITHM':
    case 'KEY_UNUSABLE':
    case 'FORWARD_REFUSED':
    case 'VERIFICATION_FAILED':
    case 'ABORTED':
      return [];
    default:
      return error.code satisfies never;
  }
}

function openAdvice(
  reason: number | undefined,
  { user, serverOnThisMachine }: Circumstances,
  destination: { readonly host: string; readonly port: number },
): readonly string[] {
  const { host } = destination;
  switch (reason) {
    case OPEN_FAILURE.ADMINISTRATIVELY_PROHIBITED:
      return [
        `Sallyport: users.${user}.permitOpen must cover it: permitOpen: ["${formatHostPort(host, 0).slice(0, -2)}:*"]`,
        `sshd: AllowTcpForwarding yes (or local), and PermitOpen any (or ${formatHostPort(host, 0).slice(0, -2)}:*)`,
        'for a rule with one port, fix the port that this command listens on: --destination HOST:PORT',
        'logins alone can be measured without it: --scenarios login',
      ];
    case OPEN_FAILURE.CONNECT_FAILED:
      return [
        `this command listens at ${formatHostPort(host, destination.port)}, and the server could not connect to it`,
        serverOnThisMachine
          ? '--destination must be an address of this machine that the server can reach'
          : `the server runs elsewhere, where ${host} is ${isOwn(host) ? 'the server itself' : 'out of reach'}: give the ` +
            'address of this machine as the server sees it, --destination ADDRESS',
      ];
    case OPEN_FAILURE.RESOURCE_SHORTAGE:
      return [`a limit of the server (Sallyport: users.${user}.limits): fewer --connections, or a higher limit`];
    default:
      return ['the server has no tunnels of type direct-tcpip, which is what ssh -L opens'];
  }
}

function hostKeyAdvice({ host, port, hostKey, expectedFingerprint }: Circumstances): readonly string[] {
  if (hostKey === undefined) return [];
  const { fingerprint, keyType, file, verdict } = hostKey;
  const shown = `it shows ${fingerprint} (${keyType})`;
  if (expectedFingerprint !== undefined)
    return [shown, `--host-key-fingerprint says ${expectedFingerprint}; give the one of the key that it should have`];
  const name = port === 22 ? host : `[${host}]:${port}`;
  switch (verdict.verdict) {
    case 'unknown':
      return [
        `${file} has no key for ${name}; ${shown}`,
        `if that is the right one: --host-key-fingerprint ${fingerprint}`,
        'to take whatever it shows, once: --accept-new-host-key (nothing is written)',
      ];
    case 'changed':
      return [
        `${file}:${verdict.line} has another key for ${name}; ${shown}`,
        'either the server got a new key, or somebody stands between: ask whoever runs it',
        `if it is new: ssh-keygen -R '${name}', or --host-key-fingerprint ${fingerprint} for this run`,
      ];
    case 'revoked':
      return [`${file}:${verdict.line} says that this key is revoked; ${shown}`];
    case 'known':
      return [];
    default:
      return verdict satisfies never;
  }
}

function isOwn(host: string): boolean {
  return /^127\.|^localhost$|^::1$/.test(host);
}
