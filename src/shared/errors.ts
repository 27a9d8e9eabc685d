/** ERRORS: the closed lists of codes that logs, events, metrics and hooks share, and what each refusal says to the peer.
 *  Owns nothing. A normal refusal is a value that carries a code; `TunnelError` is for faults and bad input. */
import { OPEN_FAILURE, type OpenFailure } from './protocol.js';

/** Why a TCP peer never became an SSH connection. */
export type RefuseReason = 'AT_CAPACITY' | 'STARTUPS' | 'NO_WORKER' | 'HANDOFF_FAILED' | 'DRAINING';

/** Why an SSH connection ended. */
export type CloseReason =
  | 'PEER_CLOSED' // FIN or RST
  | 'PEER_DISCONNECTED' // SSH_MSG_DISCONNECT
  | 'IDENT_TIMEOUT'
  | 'IDENT_INVALID'
  | 'LOGIN_TIMEOUT'
  | 'KEX_FAILED'
  | 'KEX_TIMEOUT'
  | 'AUTH_EXHAUSTED' // maxTries reached
  | 'USER_LIMIT' // limits.connections of the user
  | 'PROTOCOL_ERROR'
  | 'KEEPALIVE_TIMEOUT'
  | 'WRITE_STALLED'
  | 'OVERFLOW' // the peer does not read and made us queue more than its budget
  | 'REPLACED' // the same identity came back for its port
  | 'REVOKED' // handed over too late: another worker has it
  | 'KILLED' // by the administrator
  | 'DRAINED'
  | 'WORKER_LOST'
  | 'INTERNAL_ERROR';

/** Why a login was refused. The peer is never told which. */
export type AuthFailure =
  | 'UNKNOWN_USER'
  | 'METHOD_NOT_ALLOWED'
  | 'WRONG_PASSWORD'
  | 'KEY_NOT_ACCEPTED'
  | 'BAD_SIGNATURE'
  | 'UNSUPPORTED_KEY'
  | 'MALFORMED'
  | 'POOL_BUSY'
  | 'HOOK_FAILED'
  | 'HOOK_TIMEOUT';

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
  | 'FORWARD_LIMIT'
  | 'PORT_TAKEN'
  | 'BIND_FAILED'
  | 'RESOURCE_SHORTAGE'
  | 'DRAINING'
  | 'HOOK_FAILED'
  | 'HOOK_TIMEOUT';

/** Why a channel that we opened towards the peer (forwarded-tcpip and the like) came to nothing. */
export type OpenFailed =
  | 'CHANNEL_LIMIT'
  | 'PEER_REFUSED'
  | 'PEER_SILENT' // no answer in time
  | 'CONNECTION_LOST';

/** Why a channel ended. */
export type RelayEnd =
  | 'COMPLETE' // both directions ended and everything was delivered
  | 'PEER_CLOSED' // the SSH side closed the channel early
  | 'TARGET_ERROR' // reset or error on the socket
  | 'IDLE_TIMEOUT'; // half-closed or idle for too long

/** Why a worker ended. */
export type WorkerEnd =
  | 'START_FAILED'
  | 'CRASHED'
  | 'UNRESPONSIVE' // no heartbeat: killed
  | 'FAULT' // its own word: something that nobody caught
  | 'DRAINED'
  | 'KILLED';

/** Everything that the `reason` of an event may say. */
export type ReasonCode = RefuseReason | CloseReason | AuthFailure | RefusalCode | OpenFailed | RelayEnd | WorkerEnd;

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
  FORWARD_LIMIT: { reason: OPEN_FAILURE.RESOURCE_SHORTAGE, text: 'too many forwards' },
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
export function refuse(code: RefusalCode, detail?: string): { readonly allow: false } & Refusal {
  return { allow: false, ...refusal(code, detail) };
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

/** The text of anything that was thrown. */
export function reasonOf(thrown: unknown): string {
  return thrown instanceof Error ? thrown.message : String(thrown);
}

/** `ECONNREFUSED` and the like, or undefined. */
export function errnoOf(thrown: unknown): string | undefined {
  return thrown instanceof Error && 'code' in thrown && typeof thrown.code === 'string' ? thrown.code : undefined;
}
