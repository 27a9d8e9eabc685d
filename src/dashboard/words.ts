/** WORDS: what an operator is told of a refusal: a sentence in place of a code, who asked, and for what. Owns nothing. Pure; the
 *  compiler holds the tables to the codes of shared/errors.ts, and a code of a newer server is shown as it is. */
import type { LoggedEvent } from '../shared/admin.js';
import type { AuthFailure, OpenFailed, RefusalCode, RefuseReason } from '../shared/errors.js';

type Code = RefuseReason | AuthFailure | RefusalCode | OpenFailed;

const WHY: { readonly [code in Code]: string } = {
  AT_CAPACITY: 'The server is full (limits.connections)',
  STARTUPS: 'Too many connections are logging in (limits.startups)',
  SOURCE_STARTUPS: 'Too many of this source are logging in (limits.startupsPerSource)',
  PENALTY: 'This source is waiting out a penalty',
  NO_WORKER: 'No worker was ready',
  HANDOFF_FAILED: 'No worker took the connection',
  DRAINING: 'The server is draining',
  UNKNOWN_USER: 'No such user',
  METHOD_NOT_ALLOWED: 'This login method is not allowed here',
  WRONG_PASSWORD: 'Wrong password',
  KEY_NOT_ACCEPTED: 'Not a key of this user',
  KEY_EXPIRED: 'The key has expired (expiry-time)',
  KEY_SOURCE: 'The key may not be used from this address',
  KEY_OPTION: 'An option of the key is not met',
  KEY_REVOKED: 'The key is revoked',
  CERT_INVALID: 'The certificate does not let this user in now',
  CODE_WRONG: 'Wrong code of the second factor',
  CODE_REPLAYED: 'A code of the second factor was used twice',
  CODE_LIMIT: 'Too many wrong codes lately',
  WEBHOOK_DENIED: 'The login service said no',
  WEBHOOK_FAILED: 'The login service gave no valid answer',
  BAD_SIGNATURE: 'The signature does not fit the key',
  UNSUPPORTED_KEY: 'A kind of key that is not supported',
  MALFORMED: 'The login request was malformed',
  POOL_BUSY: 'Too many passwords were being checked',
  SETTINGS_CHANGED: 'The config was reloaded during the login',
  HOOK_FAILED: "The handler's code failed, which counts as no",
  HOOK_TIMEOUT: "The handler's code took too long, which counts as no",
  POLICY_DENIED: 'Not permitted to this user',
  PROTECTED_DESTINATION: 'A protected address that no pattern names',
  OWN_LISTENER: "The server's own listener",
  BAD_ADDRESS: 'Not a valid address or port',
  NAME_NOT_FOUND: 'The name does not resolve',
  NAME_TIMEOUT: 'The name lookup timed out',
  CONNECT_REFUSED: 'The target refused the connection',
  CONNECT_TIMEOUT: 'The target did not answer in time',
  CONNECT_FAILED: 'The target cannot be reached',
  UNKNOWN_TYPE: 'Asked for something other than a tunnel',
  CHANNEL_LIMIT: 'Too many channels on this connection',
  OPEN_RATE: 'Opens too many tunnels a second (limits.opensPerSecond)',
  OPEN_FAILURES: 'Too many targets could not be reached (limits.failedOpensPerMinute)',
  FORWARD_LIMIT: 'Too many forwards (limits.forwards)',
  FORWARD_RATE: 'Binds and lets go too often',
  PORT_TAKEN: 'The port or path is taken',
  BIND_FAILED: 'The address cannot be bound',
  RESOURCE_SHORTAGE: 'The server is short of memory or descriptors',
  INBOUND_LIMIT: 'Too many visitors at a time (limits.inboundPerForward)',
  INBOUND_RATE: 'Too many visitors a second (limits.inboundPerSecond)',
  PEER_REFUSED: "The user's client refused the visitor",
  PEER_SILENT: "The user's client did not answer",
  CONNECTION_LOST: 'The connection was lost meanwhile',
};

/** `Wrong password`; a code that is not known here stays a code. */
export function why(code: string): string {
  return isCode(code) ? WHY[code] : code;
}

export interface RefusalWords {
  /** The user's name or, of a stranger, his address: a name in a failed login is only what somebody typed. */
  readonly who: string;
  readonly kind: 'user' | 'address' | 'several';
  /** `wanted to reach db.internal:5432` */
  readonly what: string;
  readonly why: string;
  readonly code: string;
  /** The server's own words, where it has some. */
  readonly detail?: string;
}

/** @returns undefined for an event that is no refusal */
export function refusalWords(event: LoggedEvent): RefusalWords | undefined {
  switch (event.event) {
    case 'connection.refused': {
      const many = event.count === undefined || event.count === 1 ? 'connect' : `connect ${event.count} times`;
      const who = event.peer ?? 'several sources';
      return { who, kind: event.peer === undefined ? 'several' : 'address', what: many, ...reason(event) };
    }
    case 'auth.failed':
      return { who: event.peer, kind: 'address', what: `log in as ${event.user} by ${event.method}`, ...reason(event) };
    case 'channel.refused':
      return { who: event.user, kind: 'user', what: opened(event.kind, event.destination), ...reason(event) };
    case 'forward.refused':
      return { who: event.user, kind: 'user', what: `listen on ${event.destination}`, ...reason(event) };
    default:
      return undefined;
  }
}

function reason(event: { readonly reason: string; readonly detail?: string }) {
  const words = { why: why(event.reason), code: event.reason };
  return event.detail === undefined ? words : { ...words, detail: event.detail };
}

function opened(kind: string, destination: string): string {
  if (kind === 'session') return 'open a session';
  if (kind.startsWith('forwarded-')) return `be visited at ${destination}`;
  return kind === 'unknown' ? `open something unknown ${destination}`.trimEnd() : `reach ${destination}`;
}

function isCode(code: string): code is Code {
  return Object.hasOwn(WHY, code);
}

/** What a channel of this kind is to its user: the option of ssh that makes one. */
export function channelWords(kind: string): { readonly arrow: string; readonly title: string } {
  switch (kind) {
    case 'direct-tcpip':
    case 'direct-streamlocal@openssh.com':
      return { arrow: '→', title: 'the user reaches (-L, -D, -J, -W)' };
    case 'forwarded-tcpip':
    case 'forwarded-streamlocal@openssh.com':
      return { arrow: '←', title: 'a visitor of the user (-R), by' };
    default:
      return { arrow: '·', title: 'session' };
  }
}
