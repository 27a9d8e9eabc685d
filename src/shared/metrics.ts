/** METRICS: THE list of what the server counts and measures: name, type, unit, labels, help. docs/metrics.md is made of it,
 *  the primary renders by it, and what is counted elsewhere is counted under one of its names.
 *  Owns the list. Labels are bounded: a label has the values that stand here, or is a code of errors.ts. Never a user, a peer
 *  or a destination: each would be a new series, and strangers choose them. */
import type { ChannelKind, ForwardKind } from './events.js';
import type { AuthMethod } from './identity.js';

export interface Metric {
  /** `sallyport_…`; the unit stands in it, and `_total` at the end of a counter's. */
  readonly name: string;
  /** A counter only grows, and begins at 0 with the primary; a gauge is as it is now. */
  readonly type: 'counter' | 'gauge' | 'histogram';
  readonly unit: 'bytes' | 'seconds' | 'none';
  /** In the order in which their values are given: all values of each, or in words what they are. */
  readonly labels: Readonly<Record<string, readonly string[] | string>>;
  /** One sentence without a full stop. */
  readonly help: string;
  /** Of a histogram: the upper bounds. */
  readonly buckets?: readonly number[];
}

const CHANNEL_KINDS = [
  'session',
  'direct-tcpip',
  'direct-streamlocal@openssh.com',
  'forwarded-tcpip',
  'forwarded-streamlocal@openssh.com',
] as const satisfies readonly ChannelKind[];
const FORWARD_KINDS = ['tcpip-forward', 'streamlocal-forward@openssh.com'] as const satisfies readonly ForwardKind[];
const METHODS = ['publickey', 'password', 'keyboard-interactive'] as const satisfies readonly AuthMethod[];
/** Of a login that a peer asked for by a name of its own. */
const OTHER_METHOD = 'other';
const CODE = 'a code of src/shared/errors.ts';

const LOGIN_SECONDS = [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 120];
const OPEN_SECONDS = [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 10];
const HANDOFF_SECONDS = [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.5, 1, 2.5, 10];
const LAG_SECONDS = [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5];

export const METRICS = {
  // ---- connections
  connections: {
    name: 'sallyport_connections',
    type: 'gauge',
    unit: 'none',
    labels: { state: ['waiting', 'login', 'open'] },
    help: 'Connections that were let in: waiting for a worker, not logged in yet, logged in',
  },
  connectionsAccepted: {
    name: 'sallyport_connections_accepted_total',
    type: 'counter',
    unit: 'none',
    labels: {},
    help: 'Connections that a worker has taken',
  },
  connectionsClosed: {
    name: 'sallyport_connections_closed_total',
    type: 'counter',
    unit: 'none',
    labels: { reason: CODE },
    help: 'Connections that a worker had taken and that have ended',
  },
  refusals: {
    name: 'sallyport_refusals_total',
    type: 'counter',
    unit: 'none',
    labels: { what: ['connection', 'channel', 'forward'], reason: CODE },
    help: 'Peers turned away before they were connections, channels and forwards not granted; each one, also where the log tells of many in one line',
  },
  penalties: {
    name: 'sallyport_penalties_total',
    type: 'counter',
    unit: 'none',
    labels: { reason: ['AUTH_FAIL', 'NO_AUTH', 'GRACE_EXCEEDED'] },
    help: 'Times that a source has earned enough to be refused from then on, by what it did last',
  },
  penalisedSources: {
    name: 'sallyport_penalised_sources',
    type: 'gauge',
    unit: 'none',
    labels: {},
    help: 'Sources that are refused for what they have earned',
  },
  handoff: {
    name: 'sallyport_handoff_seconds',
    type: 'histogram',
    unit: 'seconds',
    labels: {},
    help: 'From accept in the primary to the word of a worker that it has the connection',
    buckets: HANDOFF_SECONDS,
  },
  // ---- logins
  logins: {
    name: 'sallyport_logins_total',
    type: 'counter',
    unit: 'none',
    labels: { method: [...METHODS, OTHER_METHOD], result: `accepted, partial (one of several is done), or ${CODE}` },
    help: 'Logins that were tried, each method of each',
  },
  login: {
    name: 'sallyport_login_seconds',
    type: 'histogram',
    unit: 'seconds',
    labels: {},
    help: "From the worker having the connection to the success of its login; key exchange and the peer's own time included",
    buckets: LOGIN_SECONDS,
  },
  passwordChecks: {
    name: 'sallyport_password_checks',
    type: 'gauge',
    unit: 'none',
    labels: { state: ['waiting', 'running'] },
    help: 'Passwords that wait for a thread of the pool, and those that are hashed',
  },
  // ---- channels and forwards
  channels: {
    name: 'sallyport_channels',
    type: 'gauge',
    unit: 'none',
    labels: { kind: CHANNEL_KINDS },
    help: 'Channels that are open',
  },
  channelsOpened: {
    name: 'sallyport_channels_opened_total',
    type: 'counter',
    unit: 'none',
    labels: { kind: CHANNEL_KINDS },
    help: 'Channels that were opened',
  },
  channelsClosed: {
    name: 'sallyport_channels_closed_total',
    type: 'counter',
    unit: 'none',
    labels: { kind: CHANNEL_KINDS, reason: CODE },
    help: 'Channels that have ended; those of a worker that died are not told apart, and not among them',
  },
  channelOpen: {
    name: 'sallyport_channel_open_seconds',
    type: 'histogram',
    unit: 'seconds',
    labels: { kind: CHANNEL_KINDS.filter((kind) => kind !== 'session') },
    help: "From the request to the open channel: names and dialling of a direct one, the peer's answer of a forwarded one",
    buckets: OPEN_SECONDS,
  },
  bytes: {
    name: 'sallyport_channel_bytes_total',
    type: 'counter',
    unit: 'bytes',
    labels: { direction: ['in', 'out'] },
    help: 'Payload of channels, open ones included: in from SSH peers, out to them',
  },
  forwards: {
    name: 'sallyport_forwards',
    type: 'gauge',
    unit: 'none',
    labels: { kind: FORWARD_KINDS },
    help: 'Forwards that are bound',
  },
  forwardsBound: {
    name: 'sallyport_forwards_bound_total',
    type: 'counter',
    unit: 'none',
    labels: { kind: FORWARD_KINDS },
    help: 'Forwards that were bound',
  },
  // ---- processes
  buffered: {
    name: 'sallyport_buffered_bytes',
    type: 'gauge',
    unit: 'bytes',
    labels: {},
    help: 'Bytes that wait for peers and targets, in all workers',
  },
  loopLag: {
    name: 'sallyport_event_loop_lag_seconds',
    type: 'histogram',
    unit: 'seconds',
    labels: { process: ['primary', 'worker'] },
    help: 'The longest delay of an event loop within each second, one observation for each second and process',
    buckets: LAG_SECONDS,
  },
  workers: {
    name: 'sallyport_workers',
    type: 'gauge',
    unit: 'none',
    labels: { state: ['starting', 'ready', 'draining'] },
    help: 'Workers',
  },
  workerRestarts: {
    name: 'sallyport_worker_restarts_total',
    type: 'counter',
    unit: 'none',
    labels: { reason: ['START_FAILED', 'CRASHED', 'UNRESPONSIVE', 'FAULT'] },
    help: 'Workers that ended without having been told to, and whose place another one takes',
  },
  eventsLost: {
    name: 'sallyport_events_lost_total',
    type: 'counter',
    unit: 'none',
    labels: {},
    help: 'Events of workers that came too fast to be told; what they tell of is counted all the same',
  },
  linesLost: {
    name: 'sallyport_log_lines_lost_total',
    type: 'counter',
    unit: 'none',
    labels: { file: ['log', 'audit'] },
    help: 'Lines that were not written: their reader was too slow or gone, or the disk full',
  },
  wrongTokens: {
    name: 'sallyport_admin_wrong_tokens_total',
    type: 'counter',
    unit: 'none',
    labels: {},
    help: 'Requests to the admin API by TCP that came with a wrong token; each one, also where the log tells of many in one line',
  },
  nativeBinding: {
    name: 'sallyport_native_binding',
    type: 'gauge',
    unit: 'none',
    labels: {},
    help: "1: ciphers run in ssh2's native binding; 0: without it tunnels are several times slower, or no worker is ready yet",
  },
  startTime: {
    name: 'sallyport_start_time_seconds',
    type: 'gauge',
    unit: 'seconds',
    labels: {},
    help: 'When this primary began, as unix time',
  },
  buildInfo: {
    name: 'sallyport_build_info',
    type: 'gauge',
    unit: 'none',
    labels: { version: "the package's", node: "Node's" },
    help: 'Always 1; the labels say what runs',
  },
} as const satisfies Readonly<Record<string, Metric>>;

type Id = keyof typeof METRICS;
type OfType<T extends Metric['type']> = { [I in Id]: (typeof METRICS)[I]['type'] extends T ? I : never }[Id];
/** Keys of the list, by what they are. */
export type CounterId = OfType<'counter'>;
export type GaugeId = OfType<'gauge'>;
export type HistogramId = OfType<'histogram'>;

/** The name of a method as a label: a peer may ask for what it likes. */
export function methodLabel(method: string): string {
  return METHODS.some((known) => known === method) ? method : OTHER_METHOD;
}

/** The label values that stand in the list whole: these series are there from the start, at 0.
 *  @returns one list of values for each series; none where a label is not enumerated */
export function knownSeries({ labels }: Metric): readonly (readonly string[])[] {
  let series: readonly (readonly string[])[] = [[]];
  for (const values of Object.values(labels)) {
    if (typeof values === 'string') return [];
    series = series.flatMap((before) => values.map((value) => [...before, value]));
  }
  return series;
}
