/** ADMIN: what the admin API answers, as types: the server, the commands, the terminal view and the page mean the same by
 *  them. Owns nothing. Times are ISO 8601 in UTC, durations milliseconds, sizes bytes; fields may be added later, so that who
 *  reads these passes over what he does not know. The OpenAPI document (master/admin/schemas.ts) says the same in JSON Schema. */
import type { AuditEvent, ChannelKind, ForwardKind, Payload } from './events.js';
import type { AuthMethod } from './identity.js';
import type { LogLevel } from './log.js';

/** Before every path but `/`, `/dashboard/…`, `/healthz`, `/readyz` and `/metrics`. */
export const API = '/api/v1';

/** `GET /api/v1/status`. Payload of channels since the start: `bytesIn` from SSH peers, `bytesOut` to them. */
export interface ServerStatus extends Payload {
  readonly version: string;
  /** As `process.version` says it. */
  readonly node: string;
  /** Of the primary. */
  readonly pid: number;
  readonly state: 'running' | 'draining';
  readonly startedAt: string;
  readonly uptimeMs: number;
  /** `127.0.0.1:2222`, `[::]:2222`. */
  readonly listeners: readonly string[];
  readonly connections: number;
  /** Of these, the ones that have not logged in yet. */
  readonly unauthenticated: number;
  /** Sockets that no worker has taken yet. */
  readonly waiting: number;
  readonly channels: number;
  readonly forwards: number;
  readonly workers: number;
  /** Bytes queued towards peers and targets, in all workers. */
  readonly bufferedBytes: number;
  /** Of peers, logins, channels and forwards, by reason, since the start; reasons that have occurred. */
  readonly refusals: readonly {
    /** Of what: connection, login, channel or forward. */
    readonly what: string;
    readonly reason: string;
    readonly count: number;
  }[];
  /** Sources that are refused now for what they have earned. */
  readonly penalisedSources: number;
}

/** One channel of a connection. */
export interface ChannelView extends Payload {
  /** Number within its connection, never given twice. */
  readonly channel: number;
  readonly kind: ChannelKind;
  /** As the events say it: `host:port` or a path; of a forwarded channel the address that it came in by; empty for a session. */
  readonly destination: string;
  readonly ageMs: number;
}

export interface ConnectionView extends Payload {
  readonly id: number;
  /** `address:port` */
  readonly peer: string;
  readonly worker: number;
  readonly state: 'login' | 'open';
  /** From here to `method`: after a login. */
  readonly user?: string;
  readonly fingerprint?: string;
  /** The last one, where a login took several. */
  readonly method?: AuthMethod;
  /** The peer's ident line, such as `SSH-2.0-OpenSSH_9.2`. */
  readonly client?: string;
  readonly openedAt: string;
  readonly ageMs: number;
  /** At most MAX_CHANNELS_SHOWN, the oldest. */
  readonly channels: readonly ChannelView[];
  readonly channelsTotal: number;
}

export const MAX_CHANNELS_SHOWN = 100;

/** `GET /api/v1/connections?user=&search=&limit=` */
export interface ConnectionList {
  /** That match, shown or not. */
  readonly total: number;
  /** By number, the oldest first. */
  readonly connections: readonly ConnectionView[];
  /** Workers that did not answer in time: their connections are missing here. */
  readonly silentWorkers: readonly number[];
}

/** What `limit` of connections may say, and what it is when nothing is said. */
export const CONNECTIONS_LIMIT = { default: 1_000, max: 20_000 } as const;

/** An address or path that a connection has bound by -R. */
export interface ForwardView extends Payload {
  /** The `id` of its connection. */
  readonly conn: number;
  readonly user: string;
  readonly worker: number;
  readonly kind: ForwardKind;
  /** `host:port` or the path, with the port that port 0 became. */
  readonly destination: string;
  readonly ageMs: number;
  /** Open ones that came in by it. */
  readonly channels: number;
}

/** `GET /api/v1/forwards` */
export interface ForwardList {
  readonly total: number;
  readonly forwards: readonly ForwardView[];
  readonly silentWorkers: readonly number[];
}

export interface WorkerView {
  readonly id: number;
  readonly pid: number;
  readonly state: 'starting' | 'ready' | 'draining' | 'dead';
  readonly connections: number;
  readonly channels: number;
  readonly bufferedBytes: number;
  /** Longest delay of its event loop within the last second. */
  readonly loopLagMs: number;
  readonly uptimeMs: number;
}

/** `GET /api/v1/workers` */
export interface WorkerList {
  readonly workers: readonly WorkerView[];
}

/** unix time in ms, connections, channels, bytesIn and bytesOut since the start. */
export type Sample = readonly [
  unixMs: number,
  connections: number,
  channels: number,
  bytesIn: number,
  bytesOut: number,
];

/** `GET /api/v1/history`: the oldest first. */
export interface History {
  readonly everyMs: number;
  readonly samples: readonly Sample[];
}

/** An event as its line of the log has it. */
export type LoggedEvent = AuditEvent & { readonly level: LogLevel; readonly time: string };

export const REFUSAL_EVENTS = ['connection.refused', 'auth.failed', 'channel.refused', 'forward.refused'] as const;

/** `GET /api/v1/refusals`: the newest first. */
export interface RefusalList {
  readonly refusals: readonly LoggedEvent[];
}

/** `event: lost` of `GET /api/v1/events`: so many events did not fit into the reader's queue. Every other event has its name and
 *  a LoggedEvent as data. */
export interface LostEvents {
  readonly count: number;
}

/** `POST /api/v1/drain` */
export interface DrainBegun {
  /** That may end until `timeouts.drain`. */
  readonly connections: number;
}

/** `POST /api/v1/reload` */
export interface Reloaded {
  /** Keys of the config, users by name, that are not what they were. */
  readonly changed: readonly string[];
}

export const ADMIN_ERRORS = {
  BAD_REQUEST: 400,
  UNAUTHORIZED: 401,
  FORBIDDEN: 403,
  NOT_FOUND: 404,
  METHOD_NOT_ALLOWED: 405,
  CONFLICT: 409,
  TOO_LARGE: 413,
  INTERNAL_ERROR: 500,
  UNAVAILABLE: 503,
} as const;
export type AdminErrorCode = keyof typeof ADMIN_ERRORS;

/** Body of every refusal. Not of `/readyz`, whose 503 is text, nor of what is no HTTP request or too slow to be one: that gets
 *  an empty 400, 408 or 431. */
export interface AdminError {
  readonly error: {
    /** One of ADMIN_ERRORS, or of a config that was rejected the code that `config.rejected` has. */
    readonly code: string;
    readonly message: string;
    /** Every mistake of a config that was rejected, with file, line and key where it has them. */
    readonly errors?: readonly string[];
  };
}
