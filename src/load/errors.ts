/** LOAD ERRORS: what a load client could not do, with a closed list of codes and a message for a person. Owns nothing. */
import { OPEN_FAILURE } from '../shared/protocol.js';

export type LoadErrorCode =
  | 'UNREACHABLE' // no TCP connection: refused, no route, name not resolved
  | 'BAD_DESTINATION' // our own far end cannot listen there
  | 'TIMED_OUT' // the connection or the login
  | 'STALLED' // a measurement in which nothing moved
  | 'NOT_SSH' // connected, and closed or answered in another protocol before the first SSH line
  | 'NO_COMMON_ALGORITHM'
  | 'HOST_KEY_REFUSED' // by the caller's `verifyHostKey`
  | 'KEY_UNUSABLE' // our own private key cannot be read or has a passphrase
  | 'AUTH_REFUSED'
  | 'ENDED_BY_SERVER' // DISCONNECT, with its words
  | 'CONNECTION_LOST'
  | 'OPEN_REFUSED' // CHANNEL_OPEN_FAILURE; see `reason`
  | 'FORWARD_REFUSED' // REQUEST_FAILURE, which carries no reason
  | 'VERIFICATION_FAILED' // bytes were lost, doubled or changed
  | 'ABORTED';

export interface LoadErrorDetails {
  readonly cause?: unknown;
  /** RFC 4254 §5.1, of OPEN_REFUSED. */
  readonly reason?: number;
  /** `ECONNREFUSED` and the like, of UNREACHABLE. */
  readonly errno?: string;
  /** What the server would still let us try, of AUTH_REFUSED. */
  readonly methodsLeft?: readonly string[];
}

export class LoadError extends Error {
  override readonly name = 'LoadError';
  readonly code: LoadErrorCode;
  readonly reason: number | undefined;
  readonly errno: string | undefined;
  readonly methodsLeft: readonly string[];

  constructor(code: LoadErrorCode, message: string, details: LoadErrorDetails = {}) {
    super(message, details.cause === undefined ? undefined : { cause: details.cause });
    this.code = code;
    this.reason = details.reason;
    this.errno = details.errno;
    this.methodsLeft = details.methodsLeft ?? [];
  }

  /** `ADMINISTRATIVELY_PROHIBITED` and the like, of OPEN_REFUSED. */
  get reasonName(): string | undefined {
    return this.reason === undefined ? undefined : openFailureName(this.reason);
  }
}

/** The name that RFC 4254 §5.1 gives to a reason code. */
export function openFailureName(reason: number): string {
  const found = Object.entries(OPEN_FAILURE).find(([, code]) => code === reason);
  return found?.[0] ?? `reason ${reason}`;
}
