/** EVENTS: what the server tells of itself: one discriminated union, for the log, the audit and a program's listeners.
 *  Owns nothing. Text that came from a peer has passed `safeText`; byte counts are payload bytes, `in` from the SSH peer and
 *  `out` to it. */
import type {
  AuthFailure,
  ChannelEnd,
  CloseReason,
  ErrorCode,
  ForwardEnd,
  OpenFailed,
  PenaltyReason,
  RefusalCode,
  RefuseReason,
  ServerEnd,
  WorkerEnd,
} from './errors.js';
import type { AuthMethod } from './identity.js';

/** Which connection an event belongs to. */
export interface OfConnection {
  /** Number of the SSH connection, unique for the life of the server. */
  readonly conn: number;
  /** `address:port` of the TCP peer; of a connection that a proxy has brought, of the client that it names. */
  readonly peer: string;
}

/** The same after a login. */
export interface OfLogin extends OfConnection {
  /** The identity's `user`. */
  readonly user: string;
  /** `SHA256:…` of the key that signed, where one did. */
  readonly fingerprint?: string;
}

/** The certificate of a login, where it was by one. `fingerprint` is that of the key in it. */
export interface OfCertificate {
  /** Its key id: whatever text the CA has chosen. */
  readonly keyId: string;
  /** A whole number that may exceed 2^53. */
  readonly serial: string;
  /** `SHA256:…` of the CA's key. */
  readonly ca: string;
}

/** Data bytes of channels. */
export interface Payload {
  readonly bytesIn: number;
  readonly bytesOut: number;
}

export interface Traffic extends Payload {
  readonly durationMs: number;
}

/** Channel types of RFC 4254 and of OpenSSH's PROTOCOL that this server opens or takes. */
export type ChannelKind =
  | 'session'
  | 'direct-tcpip'
  | 'direct-streamlocal@openssh.com'
  | 'forwarded-tcpip'
  | 'forwarded-streamlocal@openssh.com';

/** The global request that a forward stems from. */
export type ForwardKind = 'tcpip-forward' | 'streamlocal-forward@openssh.com';

export type ConnectionEvent =
  | (OfConnection & {
      readonly event: 'connection.accepted';
      readonly worker: number;
      /** `address:port` of the proxy that has brought it; told when its header was read. */
      readonly proxy?: string;
    })
  | (Partial<OfConnection> & {
      readonly event: 'connection.refused';
      readonly reason: RefuseReason;
      /** One line for so many that came too fast to be told one by one; then `detail` says from where. */
      readonly count?: number;
      readonly detail?: string;
    })
  | (OfConnection &
      Partial<OfLogin> & {
        readonly event: 'connection.closed';
        readonly reason: CloseReason;
        readonly durationMs: number;
        /** Bytes of the TCP connection, not known of a worker that died. */
        readonly bytesIn?: number;
        readonly bytesOut?: number;
        readonly detail?: string;
      });

export type AuthEvent =
  | (OfLogin &
      Partial<OfCertificate> & {
        readonly event: 'auth.succeeded';
        readonly method: AuthMethod;
        /** How often a security key says that it has signed. */
        readonly counter?: number;
      })
  /** One of several methods in a row is done (RFC 4252 §5.1, partial success); nobody is logged in yet. */
  | (OfLogin & { readonly event: 'auth.partial'; readonly method: AuthMethod })
  /** Of a certificate that nobody need have signed. */
  | (OfLogin &
      Partial<OfCertificate> & {
        readonly event: 'auth.failed';
        /** As the peer gave it. */
        readonly method: string;
        readonly reason: AuthFailure;
        readonly detail?: string;
      })
  /** Who has just logged in has a password whose hash is cheaper to guess than what `hash-password` makes now. Told once per
   *  user and start; `detail` says what it is. */
  | (OfLogin & { readonly event: 'auth.weakHash'; readonly detail: string });

interface OfChannel extends OfLogin {
  readonly kind: ChannelKind;
  /** Number of the channel within its connection, never given twice. */
  readonly channel: number;
  /** `host:port` or a path as it was asked for; of a forwarded channel the address that it came in by. */
  readonly destination: string;
}

export type ChannelEvent =
  | (OfChannel & { readonly event: 'channel.opened' })
  | (OfChannel & Traffic & { readonly event: 'channel.closed'; readonly reason: ChannelEnd; readonly detail?: string })
  | (OfLogin & {
      readonly event: 'channel.refused';
      readonly kind: ChannelKind | 'unknown';
      readonly destination: string;
      readonly reason: RefusalCode | OpenFailed;
      readonly detail?: string;
    });

interface OfForward extends OfLogin {
  readonly kind: ForwardKind;
  /** `host:port` or the path, with the port that port 0 became. */
  readonly destination: string;
}

export type ForwardEvent =
  | (OfForward & { readonly event: 'forward.bound' })
  | (OfForward & { readonly event: 'forward.refused'; readonly reason: RefusalCode; readonly detail?: string })
  /** Bytes of the channels that came in by it and have ended; not known of a worker that died. */
  | (OfForward & Partial<Traffic> & { readonly event: 'forward.released'; readonly reason: ForwardEnd });

/** What concerns no single connection. */
export type ProcessEvent =
  | { readonly event: 'server.listening'; readonly address: string }
  | { readonly event: 'server.draining'; readonly detail: string }
  | { readonly event: 'server.stopped'; readonly reason: ServerEnd }
  /** Other settings are in force. `changed`: keys of the config, users by name, where they are not what they were. */
  | { readonly event: 'config.reloaded'; readonly changed: readonly string[] }
  /** What was in force stays, whole. `errors`: every mistake, with file, line and key where it has them. */
  | { readonly event: 'config.rejected'; readonly reason: ErrorCode; readonly errors: readonly string[] }
  /** Refused from now on, for this time or longer. `source` is an IPv4 address or a /64 of IPv6. */
  | {
      readonly event: 'source.penalised';
      readonly source: string;
      readonly reason: PenaltyReason;
      readonly durationMs: number;
    }
  | { readonly event: 'worker.started'; readonly worker: number; readonly pid: number; readonly durationMs: number }
  /** A worker of an earlier primary has come with what it holds. Its connections have new numbers from here on. */
  | {
      readonly event: 'worker.adopted';
      readonly worker: number;
      readonly pid: number;
      readonly connections: number;
      readonly forwards: number;
    }
  | {
      readonly event: 'worker.exited';
      readonly worker: number;
      readonly pid: number;
      readonly reason: WorkerEnd;
      readonly detail: string;
    };

/** One event, one line of the log. */
export type AuditEvent = ProcessEvent | ConnectionEvent | AuthEvent | ChannelEvent | ForwardEvent;
export type EventName = AuditEvent['event'];

/** Takes events; never throws and never blocks. */
export type EventSink = (event: AuditEvent) => void;

/** An event before the room that knows whose connection it is has added that. */
type Anonymous<E> = E extends unknown ? Omit<E, keyof OfLogin> : never;
export type ChannelNews = Anonymous<ChannelEvent>;
export type ForwardNews = Anonymous<ForwardEvent>;
export type RefusalNews = Extract<ChannelNews | ForwardNews, { readonly event: 'channel.refused' | 'forward.refused' }>;
