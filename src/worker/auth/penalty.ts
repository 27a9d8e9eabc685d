/** PENALTY: what a connection that never logged in has deserved, by how it ended and what it had tried. The primary adds it
 *  to what its source has earned before.
 *  Owns nothing. After sshd_config(5) PerSourcePenalties: one penalty for each connection, however many tries it made. */
import { type AuthFailure, assertNever, type CloseReason, type PenaltyReason } from '../../shared/errors.js';

/** What came of a connection's tries so far. `UNDECIDED`: the last check could not be made, and none has failed by the peer's doing.
 *  `HALF_WAY`: one has succeeded, and another is wanted still. */
export type Tried = 'NOTHING' | 'UNDECIDED' | 'HALF_WAY' | 'FAILED';

/** One more try was refused. A check that could not be made is not held against who asked for it: else a directory that is
 *  down would lock out those who try. */
export function triedWith(before: Tried, failure: AuthFailure): Tried {
  if (before === 'FAILED') return before;
  return UNCHECKED.has(failure) ? 'UNDECIDED' : 'FAILED';
}

/** A method has succeeded, and that is not all. */
export function triedHalf(before: Tried): Tried {
  return before === 'FAILED' ? before : 'HALF_WAY';
}

const UNCHECKED: ReadonlySet<AuthFailure> = new Set<AuthFailure>([
  'POOL_BUSY',
  'HOOK_FAILED',
  'HOOK_TIMEOUT',
  'WEBHOOK_FAILED',
  'SETTINGS_CHANGED',
]);

/** @returns undefined where the peer has done nothing wrong */
export function penaltyFor(end: CloseReason, tried: Tried): PenaltyReason | undefined {
  switch (end) {
    case 'IDENT_TIMEOUT':
    case 'KEX_TIMEOUT':
    case 'LOGIN_TIMEOUT':
      return tried === 'UNDECIDED' ? undefined : 'GRACE_EXCEEDED';
    // No client does it. A fault of ours that a peer can provoke is OpenSSH's `crash`, for which we have no key of its own.
    case 'PROTOCOL_ERROR':
    case 'INTERNAL_ERROR':
      return 'AUTH_FAIL';
    case 'PEER_CLOSED':
    case 'PEER_DISCONNECTED':
    case 'IDENT_INVALID':
    case 'PROXY_UNEXPECTED':
    case 'KEX_FAILED':
    case 'AUTH_EXHAUSTED':
    case 'KEEPALIVE_TIMEOUT':
    case 'WRITE_STALLED':
    case 'OVERFLOW':
      if (tried === 'UNDECIDED') return undefined;
      // Who stops half-way has tried, and is not in: sshd's EXIT_AUTH_ATTEMPTED does not ask how the tries went.
      return tried === 'NOTHING' ? 'NO_AUTH' : 'AUTH_FAIL';
    case 'PROXY_MISSING':
    case 'PROXY_INVALID':
    case 'PROXY_TIMEOUT':
    case 'USER_LIMIT':
    case 'HOOK_FAILED':
    case 'REPLACED':
    case 'REVOKED':
    case 'KILLED':
    case 'RIGHTS_WITHDRAWN':
    case 'EXPIRED':
    case 'DRAINED':
    case 'WORKER_LOST':
      return undefined;
    default:
      return assertNever(end);
  }
}
