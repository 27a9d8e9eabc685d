/** ERRORS: the closed lists of codes that logs, events, metrics and hooks share, and what each refusal says to the peer.
 *  Owns nothing. A normal refusal is a value that carries a code; `TunnelError` is for faults and bad input. */
import { OPEN_FAILURE, type OpenFailure } from './protocol.js';

/** Why a TCP peer never became an SSH connection. */
export type RefuseReason =
  | 'AT_CAPACITY'
  | 'STARTUPS'
  | 'SOURCE_STARTUPS' // too many of this source that have not logged in
  | 'PENALTY' // its source misbehaved
  | 'NO_WORKER'
  | 'HANDOFF_FAILED'
  | 'DRAINING';

/** Why a connection that ended before its login is held against its source. */
export type PenaltyReason =
  | 'AUTH_FAIL' // tried and failed, or broke the protocol
  | 'NO_AUTH' // went without a try
  | 'GRACE_EXCEEDED'; // a deadline ended it

export function isPenaltyReason(value: unknown): value is PenaltyReason {
  return value === 'AUTH_FAIL' || value === 'NO_AUTH' || value === 'GRACE_EXCEEDED';
}

/** Why an SSH connection ended. */
export type CloseReason =
  | 'PEER_CLOSED' // FIN or RST
  | 'PEER_DISCONNECTED' // SSH_MSG_DISCONNECT
  | 'IDENT_TIMEOUT'
  | 'IDENT_INVALID'
  | 'PROXY_MISSING' // its peer is a proxy that must say whom it brings
  | 'PROXY_INVALID'
  | 'PROXY_TIMEOUT'
  | 'PROXY_UNEXPECTED' // a header of a peer that is none of the proxies
  | 'LOGIN_TIMEOUT'
  | 'KEX_FAILED'
  | 'KEX_TIMEOUT'
  | 'AUTH_EXHAUSTED' // maxTries reached
  | 'USER_LIMIT' // limits.connections of the user
  | 'HOOK_FAILED' // the hook that says what the user may have
  | 'PROTOCOL_ERROR'
  | 'KEEPALIVE_TIMEOUT'
  | 'WRITE_STALLED'
  | 'OVERFLOW' // too much waits for the peer or its targets: more than its budget, or than the worker has for all
  | 'REPLACED' // the same identity came back for its port
  | 'REVOKED' // handed over too late: another worker has it
  | 'KILLED' // by the administrator
  | 'RIGHTS_WITHDRAWN' // a reload took the user, the key or the password away
  | 'EXPIRED' // the login was given until a time that has come
  | 'DRAINED'
  | 'WORKER_LOST'
  | 'INTERNAL_ERROR';

/** Why a login was refused. The peer is never told which. */
export const AUTH_FAILURES = [
  'UNKNOWN_USER',
  'METHOD_NOT_ALLOWED',
  'WRONG_PASSWORD',
  'KEY_NOT_ACCEPTED',
  'KEY_EXPIRED', // expiry-time of its line
  'KEY_SOURCE', // from= of its line, source-address of the certificate
  'KEY_OPTION', // something else that its line asks for, such as verify-required
  'KEY_REVOKED',
  'CERT_INVALID', // not yet or no longer valid, of other principals, with an unknown critical option, …
  'CODE_WRONG', // of the second factor
  'CODE_REPLAYED',
  'CODE_LIMIT', // too many wrong ones of this user lately
  'SETTINGS_CHANGED', // a reload, while it was under way: what was proven counts for nothing
  'WEBHOOK_DENIED',
  'WEBHOOK_FAILED',
  'BAD_SIGNATURE',
  'UNSUPPORTED_KEY',
  'MALFORMED',
  'POOL_BUSY',
  'HOOK_FAILED',
  'HOOK_TIMEOUT',
] as const;
export type AuthFailure = (typeof AUTH_FAILURES)[number];

export function isAuthFailure(value: unknown): value is AuthFailure {
  return AUTH_FAILURES.some((code) => code === value);
}

/** Why a channel or a forward was refused. One table gives the RFC reason and the short text for the peer. */
export type RefusalCode =
  | 'POLICY_DENIED'
  | 'PROTECTED_DESTINATION'
  | 'OWN_LISTENER'
  | 'BAD_ADDRESS'
  | 'NAME_NOT_FOUND'
  | 'NAME_TIMEOUT'
  | 'CONNECT_REFUSED'
  | 'CONNECT_TIMEOUT'
  | 'CONNECT_FAILED'
  | 'UNKNOWN_TYPE'
  | 'CHANNEL_LIMIT'
  | 'OPEN_RATE' // the user opens too many a second
  | 'OPEN_FAILURES' // too many of what the user opened could not be reached
  | 'FORWARD_LIMIT'
  | 'FORWARD_RATE' // the user binds too often
  | 'PORT_TAKEN'
  | 'BIND_FAILED'
  | 'RESOURCE_SHORTAGE'
  | 'DRAINING'
  | 'HOOK_FAILED'
  | 'HOOK_TIMEOUT';

/** Why a channel that we opened towards the peer (forwarded-tcpip and the like) came to nothing. */
export type OpenFailed =
  | 'CHANNEL_LIMIT'
  | 'RESOURCE_SHORTAGE'
  | 'INBOUND_LIMIT' // too many at a time by this forward
  | 'INBOUND_RATE' // too many a second
  | 'PEER_REFUSED'
  | 'PEER_SILENT' // no answer in time
  | 'CONNECTION_LOST';

/** Why a tunnel ended. */
export type RelayEnd =
  | 'COMPLETE' // both directions ended and everything was delivered
  | 'PEER_CLOSED' // the SSH side closed the channel early
  | 'TARGET_ERROR' // reset or error on the socket
  | 'IDLE_TIMEOUT' // half-closed or idle for too long
  | 'RIGHTS_WITHDRAWN'; // a reload took away what permitted it

/** Why a channel ended. */
export type ChannelEnd = RelayEnd | 'HOOK_FAILED'; // code of the user's that served it

/** Why a forward ended. */
export type ForwardEnd =
  | 'CANCELLED' // by its owner
  | 'CONNECTION_CLOSED' // with its connection
  | 'RIGHTS_WITHDRAWN' // a reload took away what permitted it
  | 'WORKER_LOST';

/** Why the server stopped: by itself, or with connections ended by force. */
export type ServerEnd = 'DRAINED' | 'KILLED';

/** Why a worker ended. */
export type WorkerEnd =
  | 'START_FAILED'
  | 'CRASHED'
  | 'UNRESPONSIVE' // no heartbeat: killed
  | 'FAULT' // its own word: something that nobody caught
  | 'DRAINED'
  | 'KILLED';

/** RFC 4254 §5.1 reason and text per code. Texts are terse: they tell the user what to change, never what else exists. */
export const REFUSALS: { readonly [code in RefusalCode]: { readonly reason: OpenFailure; readonly text: string } } = {
  POLICY_DENIED: { reason: OPEN_FAILURE.ADMINISTRATIVELY_PROHIBITED, text: 'not permitted' },
  PROTECTED_DESTINATION: { reason: OPEN_FAILURE.ADMINISTRATIVELY_PROHIBITED, text: 'not permitted' },
  OWN_LISTENER: { reason: OPEN_FAILURE.ADMINISTRATIVELY_PROHIBITED, text: 'not permitted' },
  BAD_ADDRESS: { reason: OPEN_FAILURE.ADMINISTRATIVELY_PROHIBITED, text: 'invalid address or port' },
  NAME_NOT_FOUND: { reason: OPEN_FAILURE.CONNECT_FAILED, text: 'name not found' },
  NAME_TIMEOUT: { reason: OPEN_FAILURE.CONNECT_FAILED, text: 'name lookup timed out' },
  CONNECT_REFUSED: { reason: OPEN_FAILURE.CONNECT_FAILED, text: 'connection refused' },
  CONNECT_TIMEOUT: { reason: OPEN_FAILURE.CONNECT_FAILED, text: 'connection timed out' },
  CONNECT_FAILED: { reason: OPEN_FAILURE.CONNECT_FAILED, text: 'cannot connect' },
  UNKNOWN_TYPE: { reason: OPEN_FAILURE.UNKNOWN_CHANNEL_TYPE, text: 'unknown channel type' },
  CHANNEL_LIMIT: { reason: OPEN_FAILURE.RESOURCE_SHORTAGE, text: 'too many channels' },
  OPEN_RATE: { reason: OPEN_FAILURE.RESOURCE_SHORTAGE, text: 'too many opens' },
  OPEN_FAILURES: { reason: OPEN_FAILURE.RESOURCE_SHORTAGE, text: 'too many failed opens' },
  FORWARD_LIMIT: { reason: OPEN_FAILURE.RESOURCE_SHORTAGE, text: 'too many forwards' },
  FORWARD_RATE: { reason: OPEN_FAILURE.RESOURCE_SHORTAGE, text: 'too many forwards' },
  PORT_TAKEN: { reason: OPEN_FAILURE.RESOURCE_SHORTAGE, text: 'address in use' },
  BIND_FAILED: { reason: OPEN_FAILURE.RESOURCE_SHORTAGE, text: 'cannot bind' },
  RESOURCE_SHORTAGE: { reason: OPEN_FAILURE.RESOURCE_SHORTAGE, text: 'resource shortage' },
  DRAINING: { reason: OPEN_FAILURE.RESOURCE_SHORTAGE, text: 'server is shutting down' },
  HOOK_FAILED: { reason: OPEN_FAILURE.ADMINISTRATIVELY_PROHIBITED, text: 'not permitted' },
  HOOK_TIMEOUT: { reason: OPEN_FAILURE.ADMINISTRATIVELY_PROHIBITED, text: 'not permitted' },
};

/** An answer that may be no. */
export type Verdict = { readonly allow: true } | ({ readonly allow: false } & Refusal);
/** Why not. `detail` is for our log alone: what a hook did wrong, the system's own words. */
export interface Refusal {
  readonly code: RefusalCode;
  readonly detail?: string;
}
export const ALLOW: Verdict = { allow: true };
/** A hook's no that names its reason. The code gives the peer the reason of RFC 4254 §5.1 and a short text, the same for all of
 *  its kind; `detail` is for the log alone. `POLICY_DENIED` where no other code fits: "not permitted". */
export function refuse(code: RefusalCode, detail?: string): { readonly allow: false } & Refusal {
  return { allow: false, ...refusal(code, detail) };
}

/** A no that a hook throws in place of answering it. Whatever an override does with the answer of `super`'s hook, it stays a no:
 *  `super.checkDirect(…) && more` would take an answered one, which is an object, for a yes. */
export class Refused extends Error {
  readonly verdict: { readonly allow: false } & Refusal;

  constructor(verdict: { readonly allow: false } & Refusal) {
    super(verdict.detail === undefined ? verdict.code : `${verdict.code}: ${verdict.detail}`);
    this.name = 'Refused';
    this.verdict = verdict;
  }
}

export function refusal(code: RefusalCode, detail?: string): Refusal {
  return detail === undefined ? { code } : { code, detail };
}

/** Codes of thrown errors: faults of set-up and bugs, never a peer's doing. */
export type ErrorCode =
  | 'CONFIG_INVALID'
  | 'HOST_KEY_INVALID'
  | 'LISTEN_FAILED'
  | 'WORKER_START_FAILED'
  | 'SSH2_INCOMPATIBLE'
  | 'HANDLER_INVALID'
  | 'ALREADY_LISTENING'
  | 'NOT_LISTENING'
  // No verdict on a login: the check itself could not be made, so the login is denied.
  | 'POOL_BUSY'
  | 'HOOK_TIMEOUT'
  | 'HOOK_FAILED'
  | 'INTERNAL';

/** The one error class that the project throws. Switch on `code`, never on the message. */
export class TunnelError extends Error {
  readonly code: ErrorCode;

  constructor(code: ErrorCode, message: string, options?: { cause?: unknown }) {
    super(message, options);
    this.name = 'TunnelError';
    this.code = code;
  }
}

/** For the `default:` of an exhaustive switch: the compiler proves that it is not reached. */
export function assertNever(value: never): never {
  throw new TunnelError('INTERNAL', `unhandled case ${JSON.stringify(value)}`);
}

/** The text of anything that was thrown, which may be anything at all. */
export function reasonOf(thrown: unknown): string {
  try {
    return String(thrown instanceof Error ? thrown.message : thrown);
  } catch {
    return 'something that has no text';
  }
}

/** The same with what lies behind it: `fetch failed` alone tells an operator nothing. */
export function reasonAndCause(thrown: unknown): string {
  const cause = thrown instanceof Error ? thrown.cause : undefined;
  if (!(cause instanceof Error)) return reasonOf(thrown);
  return `${reasonOf(thrown)} (${cause.message || (errnoOf(cause) ?? cause.name)})`;
}

/** `ECONNREFUSED` and the like, or undefined. */
export function errnoOf(thrown: unknown): string | undefined {
  return thrown instanceof Error && 'code' in thrown && typeof thrown.code === 'string' ? thrown.code : undefined;
}
