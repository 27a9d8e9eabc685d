/** IPC: every message between the primary and its workers, as two discriminated unions, and nothing else.
 *  Both sides compile against this file. Messages are small and rare: one per login, bind and hand-off, a summary each
 *  second, never one per packet (a large message with a handle, and a queue behind each unanswered handle). */

import type { ConnectionView, ForwardView } from './admin.js';
import type { Config } from './config.js';
import type { Counted } from './counts.js';
import { type CloseReason, type ErrorCode, isPenaltyReason, type PenaltyReason, type RefuseReason } from './errors.js';
import type { AuditEvent } from './events.js';
import type { Peer } from './identity.js';
import type { LogLevel } from './log.js';
import type { PortRange } from './port.js';

/** Number of an SSH connection, unique for the life of the primary; given out by the primary at accept. */
export type ConnId = number & { readonly __brand: 'ConnId' };
/** Number of a question from a worker, unique per worker. */
export type AskId = number & { readonly __brand: 'AskId' };

/** What dispatch and the status page know of a worker. */
export interface WorkerLoad {
  readonly connections: number;
  readonly channels: number;
  /** Bytes queued towards peers and targets. */
  readonly bufferedBytes: number;
  /** Longest event-loop delay since the last report. */
  readonly loopLagMs: number;
}

/** What a worker has counted since its last report, and by series what it has at this moment. */
export interface WorkerCounts extends Counted {
  readonly gauges: Readonly<Record<string, number>>;
}

/** A right to bind, asked of the ledger before the worker binds. A TCP lease is by port across all address families and
 *  addresses (127.0.0.1 and 127.0.0.2 could both be bound to one port by two tenants); a Unix lease is by path. */
export type LeaseTarget =
  | {
      readonly kind: 'tcp';
      readonly host: string;
      /** 0 asks for any free port of `portRanges`. */
      readonly port: number;
      /** Ports that the identity may have; the choice for port 0 is made among them. */
      readonly portRanges: readonly PortRange[];
      /** Ports that the worker tried for this request and found taken by another program. */
      readonly except: readonly number[];
    }
  | { readonly kind: 'unix'; readonly path: string };

/** What a worker serves by; a reload brings others. */
export interface WorkerSettings {
  readonly config: Config;
  readonly hostKeys: readonly HostKeyFile[];
  readonly ownListeners: readonly ListenerAddress[];
  /** Events below it are heard by nobody and stay in the worker. */
  readonly eventLevel: LogLevel;
}

/** First message: the worker starts up with it and answers `ready` or `failed`. */
export interface StartMessage extends WorkerSettings {
  readonly type: 'start';
  readonly workerId: number;
  /** Path of the Unix socket at which a next primary will listen, for when this one is gone; null: there will be none. */
  readonly control: string | null;
  /** Null: the config-driven server. */
  readonly handler: HandlerStart | null;
}

/** Other settings from now on, for what comes and for every decision. They are known to be good. */
export interface ReloadMessage extends WorkerSettings {
  readonly type: 'reload';
  /** The config as it was written: tells what was said from what is a default. */
  readonly written: object;
}

/** The user's own server, to be loaded in the worker. */
export interface HandlerStart {
  /** file: URL of the module. */
  readonly url: string;
  /** For its constructor: the config as it was written, with its units. */
  readonly options: object;
}

/** One untouched socket on its way to a worker. */
export type ConnectionMessage = Extract<ToWorker, { type: 'connection' }>;

export type ToWorker =
  | StartMessage
  | ReloadMessage
  /** Comes with the socket's handle. `deadlineNs` is CLOCK_MONOTONIC (process.hrtime.bigint() is the same in all
   *  processes of a host): a worker that reads this later closes its copy and answers `refused`, so that a socket
   *  which went to another worker meanwhile is never served twice. */
  | {
      readonly type: 'connection';
      readonly id: ConnId;
      readonly peerAddress: string;
      readonly peerPort: number;
      /** The peer is a proxy: a PROXY header comes first, and `proxied` asks about whom it names. */
      readonly proxied: boolean;
      readonly deadlineNs: string;
    }
  /** The hand-off was given to somebody else: drop the connection if you have it. */
  | { readonly type: 'revoke'; readonly id: ConnId }
  | { readonly type: 'answer'; readonly ask: AskId; readonly answer: Answer }
  /** Answers `want`. */
  | ({ readonly type: 'grant'; readonly ask: AskId } & BandwidthGrant)
  /** Answers `code`. */
  | { readonly type: 'judged'; readonly ask: AskId; readonly verdict: CodeVerdict }
  /** Answers `proxied`. */
  | { readonly type: 'admitted'; readonly ask: AskId; readonly verdict: Admitted }
  /** Is this connection's peer alive? The worker sends a keepalive and answers `probed`. */
  | { readonly type: 'probe'; readonly probe: number; readonly id: ConnId; readonly timeoutMs: number }
  | { readonly type: 'close'; readonly id: ConnId; readonly reason: CloseReason }
  /** What do you have there? Answered by `seen`; a worker of an earlier version does not know it, and says nothing. */
  | { readonly type: 'look'; readonly look: number; readonly query: LookQuery }
  /** What have you counted until now? Answered by `counted`; a worker of an earlier version does not know it, and says nothing. */
  | { readonly type: 'count'; readonly count: number }
  /** Heartbeat: answered by `pong` at once. */
  | { readonly type: 'ping' }
  /** No new channels' worth of work is lost: finish what runs, end everything by the deadline, then exit. */
  | { readonly type: 'drain'; readonly deadlineMs: number }
  /** Another worker has this one's place: take no new connection, serve those that are there as before, and exit with the
   *  last of them. `deadlineMs` from now they are drained; 0: never. */
  | { readonly type: 'retire'; readonly deadlineMs: number };

export type Answer =
  | { readonly ok: true; readonly port: number }
  | { readonly ok: false; readonly reason: 'LIMIT' | 'TAKEN' | 'NO_FREE_PORT' | 'DRAINING' };

/** Travels in arrays: all that a worker says in one turn of its event loop. */
export type ToPrimary =
  /** First message: the worker listens. node:cluster drops what comes before an ES module has loaded, so `start` waits for it. */
  | { readonly type: 'hello' }
  | { readonly type: 'ready'; readonly nativeBinding: boolean }
  /** The worker cannot start. With a code: nor could another one, so it is not tried again. */
  | { readonly type: 'failed'; readonly message: string; readonly code?: ErrorCode }
  /** A fault that nobody caught: no more sockets, please; what runs is drained for some seconds, then the worker exits. */
  | { readonly type: 'stopping'; readonly message: string }
  | { readonly type: 'accepted'; readonly id: ConnId }
  | { readonly type: 'refused'; readonly id: ConnId; readonly reason: RefuseReason }
  /** What the connection held is free. Why it ended is told by its event; `penalty` only where its source is to be
   *  penalised for it. */
  | { readonly type: 'closed'; readonly id: ConnId; readonly penalty?: PenaltyReason }
  | { readonly type: 'ask'; readonly ask: AskId; readonly question: Question }
  /** At most ten times a second for each user; answered by `grant`. */
  | ({ readonly type: 'want'; readonly ask: AskId } & BandwidthWant)
  /** Answered by `judged`. */
  | ({ readonly type: 'code'; readonly ask: AskId } & CodeUse)
  /** A proxy has said whose connection this is; null: its own. Nothing is said to the peer before `admitted`. */
  | { readonly type: 'proxied'; readonly ask: AskId; readonly id: ConnId; readonly client: Peer | null }
  | { readonly type: 'release'; readonly id: ConnId; readonly target: LeaseKey }
  | { readonly type: 'probed'; readonly probe: number; readonly alive: boolean }
  | { readonly type: 'pong' }
  | { readonly type: 'load'; readonly load: WorkerLoad }
  /** `more`: a part, and others follow. An older worker tells all at once. */
  | { readonly type: 'seen'; readonly look: number; readonly seen: Seen; readonly more?: boolean }
  /** Each second, and when asked by `count`, whose number it then has. What it tells is told once. */
  | { readonly type: 'counted'; readonly count: number | null; readonly counts: WorkerCounts }
  /** Events for the log; the primary writes them, so that one event is one line. `lost` came after the ones before. */
  | { readonly type: 'events'; readonly events: readonly AuditEvent[]; readonly lost: number };

/** May a client that a proxy has brought go on? `lastWords` come before the end; empty: none. */
export type Admitted = { readonly admit: true } | { readonly admit: false; readonly lastWords: string };

/** What only the ledger can answer. */
export type Question =
  /** The connection passed authentication, so it leaves the start-up count (MaxStartups). May `user` have one more? `ok`
   *  counts it until `closed`. */
  | { readonly kind: 'login'; readonly id: ConnId; readonly user: string; readonly limit: number }
  /** May the connection bind this? `ok` leases it until `release` or `closed`. */
  | {
      readonly kind: 'lease';
      readonly id: ConnId;
      readonly user: string;
      readonly limit: number;
      readonly target: LeaseTarget;
    };

/** Bytes that a worker would like to move for a user whose bytes per second are limited: up from the SSH peer, down to it. */
export interface BandwidthWant {
  readonly user: string;
  readonly bytesPerSecond: number;
  readonly upBytes: number;
  readonly downBytes: number;
}
/** Bytes that it may move, from 0 to what it wanted. */
export interface BandwidthGrant {
  readonly upBytes: number;
  readonly downBytes: number;
}

/** A code of a second factor that somebody has typed who has passed the first. */
export interface CodeUse {
  readonly user: string;
  /** A name of the secret: steps of one are not those of another. */
  readonly key: string;
  /** The step of time whose code it is (RFC 6238 §4.2); null: of none that counts now. */
  readonly step: number | null;
}
/** REPLAYED: it has been used. LIMIT: the user has tried too many wrong ones lately, on whatever connections; this one was not
 *  even looked at. */
export type CodeVerdict = 'OK' | 'WRONG' | 'REPLAYED' | 'LIMIT';

/** What a worker is to tell of its connections, chosen there, so that little travels. */
export type LookQuery =
  | {
      readonly kind: 'connections';
      /** Of this user alone; null: of all. */
      readonly user: string | null;
      /** Part of the user's name, the peer or a destination, in whatever case; null: any. */
      readonly search: string | null;
      /** The oldest so many. */
      readonly limit: number;
    }
  | { readonly kind: 'forwards'; readonly limit: number };

/** Answers a LookQuery, or a part of it. `total` match, shown or not; of a part: within that part. */
export type Seen =
  | { readonly kind: 'connections'; readonly total: number; readonly connections: readonly SeenConnection[] }
  | { readonly kind: 'forwards'; readonly total: number; readonly forwards: readonly SeenForward[] };

/** A part of an answer, inside of one process; between processes `more` says that it is not the last. */
export interface SeenPart {
  readonly seen: Seen;
  readonly isLast: boolean;
}

/** `openedAtMs`: unix time. */
export type SeenConnection = Omit<ConnectionView, 'id' | 'worker' | 'openedAt'> & {
  readonly id: ConnId;
  readonly openedAtMs: number;
};
export type SeenForward = Omit<ForwardView, 'conn' | 'worker'> & { readonly conn: ConnId };

export type LeaseKey =
  | { readonly kind: 'tcp'; readonly port: number }
  | { readonly kind: 'unix'; readonly path: string };

/** A private host key as it travels to a worker: PEM text, never logged. */
export interface HostKeyFile {
  readonly path: string;
  readonly pem: string;
}

/** An address on which the server itself listens; refused as a destination always. */
export type ListenerAddress =
  /** `role`: what is said there; SSH where none is named. */
  | { readonly kind: 'tcp'; readonly address: string; readonly port: number; readonly role?: 'admin' }
  | { readonly kind: 'unix'; readonly path: string };

/** Guards the border: what is no message of ours is dropped. Any module that is loaded into the process may call
 *  `process.send` itself, so the fields that we count with are checked as well. */
export function isToPrimary(value: unknown): value is ToPrimary {
  if (!fits(value, TO_PRIMARY)) return false;
  if (Reflect.get(Object(value), 'type') === 'code' && !isStep(Reflect.get(Object(value), 'step'))) return false;
  if (Reflect.get(Object(value), 'type') === 'proxied' && !isClient(Reflect.get(Object(value), 'client'))) return false;
  if ('penalty' in Object(value) && !isPenaltyReason(Reflect.get(Object(value), 'penalty'))) return false;
  if ('seen' in Object(value) && !isSeen(Reflect.get(Object(value), 'seen'))) return false;
  return !('events' in Object(value)) || areEvents(Reflect.get(Object(value), 'events'));
}
export function isToWorker(value: unknown): value is ToWorker {
  return fits(value, TO_WORKER);
}

function isStep(value: unknown): boolean {
  return value === null || Number.isSafeInteger(value);
}

function isSeen(value: unknown): boolean {
  const kind: unknown = Reflect.get(Object(value), 'kind');
  if (kind !== 'connections' && kind !== 'forwards') return false;
  const list: unknown = Reflect.get(Object(value), kind);
  const id = kind === 'connections' ? 'id' : 'conn';
  const isEntry = (one: unknown): boolean => Number.isSafeInteger(Reflect.get(Object(one), id));
  return Array.isArray(list) && list.every(isEntry) && Number.isSafeInteger(Reflect.get(Object(value), 'total'));
}

function isClient(value: unknown): boolean {
  return (
    value === null || fits({ ...Object(value), type: 'client' }, { client: { address: 'string', port: 'number' } })
  );
}

function areEvents(value: unknown): boolean {
  return (
    Array.isArray(value) && value.every((event) => typeof event === 'object' && event !== null && 'event' in event)
  );
}

type Shape = Readonly<Record<string, 'number' | 'string' | 'boolean' | 'object'>>;

const TO_PRIMARY: { readonly [type in ToPrimary['type']]: Shape } = {
  hello: {},
  ready: { nativeBinding: 'boolean' },
  failed: { message: 'string' },
  stopping: { message: 'string' },
  accepted: { id: 'number' },
  refused: { id: 'number', reason: 'string' },
  closed: { id: 'number' },
  ask: { ask: 'number', question: 'object' },
  want: { ask: 'number', user: 'string', bytesPerSecond: 'number', upBytes: 'number', downBytes: 'number' },
  code: { ask: 'number', user: 'string', key: 'string' },
  proxied: { ask: 'number', id: 'number' },
  release: { id: 'number', target: 'object' },
  probed: { probe: 'number', alive: 'boolean' },
  pong: {},
  load: { load: 'object' },
  seen: { look: 'number', seen: 'object' },
  counted: { counts: 'object' },
  events: { events: 'object', lost: 'number' },
};

const SETTINGS: Shape = { config: 'object', hostKeys: 'object', ownListeners: 'object', eventLevel: 'string' };

const TO_WORKER: { readonly [type in ToWorker['type']]: Shape } = {
  start: { ...SETTINGS, workerId: 'number' },
  reload: { ...SETTINGS, written: 'object' },
  connection: { id: 'number', peerAddress: 'string', peerPort: 'number', proxied: 'boolean', deadlineNs: 'string' },
  revoke: { id: 'number' },
  answer: { ask: 'number', answer: 'object' },
  grant: { ask: 'number', upBytes: 'number', downBytes: 'number' },
  judged: { ask: 'number', verdict: 'string' },
  admitted: { ask: 'number', verdict: 'object' },
  probe: { probe: 'number', id: 'number', timeoutMs: 'number' },
  close: { id: 'number', reason: 'string' },
  look: { look: 'number', query: 'object' },
  count: { count: 'number' },
  ping: {},
  drain: { deadlineMs: 'number' },
  retire: { deadlineMs: 'number' },
};

function fits(value: unknown, shapes: Readonly<Record<string, Shape>>): boolean {
  if (typeof value !== 'object' || value === null || !('type' in value) || typeof value.type !== 'string') return false;
  const shape = Object.hasOwn(shapes, value.type) ? shapes[value.type] : undefined;
  if (shape === undefined) return false;
  for (const name in shape) {
    const field: unknown = Object.hasOwn(value, name) ? Reflect.get(value, name) : undefined;
    if (typeof field !== shape[name] || field === null) return false;
  }
  return true;
}
