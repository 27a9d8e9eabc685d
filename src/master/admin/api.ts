/** API: what each path answers. Owns nothing: it asks the server, and writes down what that says. */
import type { ServerResponse } from 'node:http';
import { formatHostPort } from '../../shared/address.js';
import {
  API,
  CONNECTIONS_LIMIT,
  type DrainBegun,
  type RefusalList,
  type Reloaded,
  type ServerStatus,
  type WorkerList,
} from '../../shared/admin.js';
import type { ListenerAddress } from '../../shared/ipc.js';
import type { Clock } from '../clock.js';
import { type Answer, json, PLAIN_TEXT, refuse, text } from './answer.js';
import type { Feed } from './feed.js';
import type { Samples } from './history.js';
import type { Parameter, Route } from './routes.js';
import type { Served } from './served.js';

export interface ApiFacts {
  readonly served: Served;
  readonly samples: Samples;
  readonly version: string;
  readonly startedAt: Date;
  readonly startedMs: number;
}

const BEAT_MS = 15_000;
/** Of `user` and `search`. */
const MAX_CHARACTERS = 255;
/** Of -R: as many as all users together may have. */
const MAX_FORWARDS = 20_000;

const CONNECTION_QUERY: readonly Parameter[] = [
  { name: 'user', does: 'of this user alone', schema: { type: 'string', maxLength: MAX_CHARACTERS } },
  {
    name: 'search',
    does: 'a part of the user, the peer or a destination, in whatever case',
    schema: { type: 'string', maxLength: MAX_CHARACTERS },
  },
  {
    name: 'limit',
    does: 'how many are shown, the oldest first',
    schema: { type: 'integer', minimum: 1, maximum: CONNECTIONS_LIMIT.max, default: CONNECTIONS_LIMIT.default },
  },
];

/** All but the page and the document that is made of these. */
export function apiRoutes(facts: ApiFacts): readonly Route[] {
  const { served } = facts;
  return [
    {
      method: 'GET',
      path: '/healthz',
      does: 'whether the primary lives',
      isOpen: true,
      good: [200, { type: PLAIN_TEXT }],
      handle: () => text('ok'),
    },
    {
      method: 'GET',
      path: '/readyz',
      does: 'whether a connection that comes now would be served',
      isOpen: true,
      good: [200, { type: PLAIN_TEXT }],
      handle: () => readiness(served),
    },
    {
      method: 'GET',
      path: '/metrics',
      does: 'metrics for Prometheus',
      good: [200, { type: PLAIN_TEXT }],
      handle: () => metrics(served),
    },
    {
      method: 'GET',
      path: `${API}/status`,
      does: 'the server in numbers',
      good: [200, { schema: 'Status' }],
      handle: async () => json(await statusOf(facts)),
    },
    {
      method: 'GET',
      path: `${API}/connections`,
      does: 'SSH connections and their channels',
      query: CONNECTION_QUERY,
      good: [200, { schema: 'Connections' }],
      refusals: ['BAD_REQUEST', 'UNAVAILABLE'],
      handle: ({ query }) => connections(served, query),
    },
    {
      method: 'DELETE',
      path: `${API}/connections/:id`,
      does: 'ends a connection',
      good: [204, { nothing: true }],
      refusals: ['NOT_FOUND'],
      handle: ({ id }) => kill(served, id),
    },
    {
      method: 'GET',
      path: `${API}/forwards`,
      does: 'what connections have bound by -R',
      good: [200, { schema: 'Forwards' }],
      refusals: ['UNAVAILABLE'],
      handle: () => forwards(served),
    },
    {
      method: 'GET',
      path: `${API}/workers`,
      does: 'the worker processes',
      good: [200, { schema: 'Workers' }],
      handle: () => json(workersOf(served)),
    },
    {
      method: 'GET',
      path: `${API}/history`,
      does: 'the last ten minutes, a sample a second',
      good: [200, { schema: 'History' }],
      handle: () => json(facts.samples.history),
    },
    {
      method: 'GET',
      path: `${API}/refusals`,
      does: 'the last 200 refusals of peers, logins, channels and forwards, the newest first',
      good: [200, { schema: 'Refusals' }],
      handle: () => json({ refusals: served.feed.refusals } satisfies RefusalList),
    },
    {
      method: 'GET',
      path: `${API}/events`,
      does:
        'events as they come, as server-sent events: `event` is the name, `data` the JSON object of the log line. ' +
        'A reader that is too slow is told `lost` with a `count`',
      good: [200, { type: 'text/event-stream' }],
      refusals: ['UNAVAILABLE'],
      handle: () => events(served.feed, served.clock),
    },
    {
      method: 'POST',
      path: `${API}/drain`,
      does: 'lets nobody in any more and ends the server with its last connection, or when timeouts.drain is over',
      good: [202, { schema: 'Drain' }],
      handle: () => drain(served),
    },
    {
      method: 'POST',
      path: `${API}/reload`,
      does: 'reads the config and its files again, as one step or not at all',
      good: [200, { schema: 'Reload' }],
      refusals: ['CONFLICT'],
      handle: () => reload(served),
    },
  ];
}

function readiness(served: Served): Answer {
  const { draining, workers } = served.status();
  if (draining) return text('draining', 503);
  return workers.some(({ state }) => state === 'ready') ? text('ready') : text('no worker', 503);
}

async function metrics(served: Served): Promise<Answer> {
  const { contentType, body } = await served.metrics.render();
  return { kind: 'text', status: 200, type: contentType, body };
}

async function statusOf({ served, version, startedAt, startedMs }: ApiFacts): Promise<ServerStatus> {
  const { channels, forwards, bytesIn, bytesOut, bufferedBytes, refusals, penalisedSources } =
    await served.metrics.totals();
  const status = served.status();
  return {
    version,
    node: process.version,
    pid: process.pid,
    state: status.draining ? 'draining' : 'running',
    startedAt: startedAt.toISOString(),
    uptimeMs: Math.round(served.clock.nowMs() - startedMs),
    listeners: served.addresses().map(addressText),
    connections: status.connections,
    unauthenticated: status.unauthenticated,
    waiting: status.waiting,
    channels,
    forwards,
    bytesIn,
    bytesOut,
    workers: status.workers.length,
    bufferedBytes,
    refusals,
    penalisedSources,
  };
}

function addressText(address: ListenerAddress): string {
  return address.kind === 'tcp' ? formatHostPort(address.address, address.port) : address.path;
}

async function connections({ survey }: Served, query: URLSearchParams): Promise<Answer> {
  const [user, search] = [query.get('user'), query.get('search')];
  for (const text of [user, search])
    if (text !== null && text.length > MAX_CHARACTERS)
      return refuse('BAD_REQUEST', `user and search have at most ${MAX_CHARACTERS} characters`);
  const limit = limitOf(query.get('limit'));
  if (limit === null)
    return refuse(
      'BAD_REQUEST',
      `limit is ${query.get('limit')}, allowed: a whole number from 1 to ${CONNECTIONS_LIMIT.max}`,
    );
  const list = await survey.connections({
    kind: 'connections',
    user: user || null,
    search: search || null,
    limit,
  });
  if (list === null) return askedTooMuch();
  const { connections: items, ...rest } = list;
  return { kind: 'list', name: 'connections', items, rest };
}

async function forwards({ survey }: Served): Promise<Answer> {
  const list = await survey.forwards(MAX_FORWARDS);
  if (list === null) return askedTooMuch();
  const { forwards: items, ...rest } = list;
  return { kind: 'list', name: 'forwards', items, rest };
}

function askedTooMuch(): Answer {
  return refuse('UNAVAILABLE', 'the workers are asked as many other things as they may be: ask again in a second');
}

function limitOf(text: string | null): number | null {
  if (text === null || text === '') return CONNECTIONS_LIMIT.default;
  const limit = /^\d{1,6}$/.test(text) ? Number(text) : 0;
  return limit >= 1 && limit <= CONNECTIONS_LIMIT.max ? limit : null;
}

function kill(served: Served, id: string): Answer {
  const isKilled = /^\d{1,15}$/.test(id) && served.end(Number(id));
  return isKilled
    ? { kind: 'empty', status: 204 }
    : refuse('NOT_FOUND', `there is no connection ${JSON.stringify(id)}`);
}

function workersOf(served: Served): WorkerList {
  const { workers } = served.status();
  return {
    workers: workers.map(({ id, pid, state, load, upMs }) => ({
      ...{ id, pid, state },
      connections: load.connections,
      channels: load.channels,
      bufferedBytes: load.bufferedBytes,
      loopLagMs: load.loopLagMs,
      uptimeMs: Math.round(upMs),
    })),
  };
}

function drain(served: Served): Answer {
  served.drain();
  return json({ connections: served.status().connections } satisfies DrainBegun, 202);
}

async function reload(served: Served): Promise<Answer> {
  const outcome = await served.reload();
  if (outcome.ok) return json({ changed: outcome.changed } satisfies Reloaded);
  const { code, message } = outcome.error;
  const errors = message.split('\n');
  return json(
    { error: { code, message: `the config was rejected, and nothing has changed: ${errors[0]}`, errors } },
    409,
  );
}

/** Beside the reader's own queue, a socket that stands still for a minute is cut by the server. */
function events(feed: Feed, clock: Clock): Answer {
  let response: ServerResponse | undefined;
  const reader = feed.join({
    write: (text) => response?.write(text) ?? true,
    end: () => response?.end(),
  });
  if (reader === null) return refuse('UNAVAILABLE', 'there are as many readers of events as there may be');
  return {
    kind: 'stream',
    type: 'text/event-stream',
    begin(begun) {
      response = begun;
      let cancel = (): void => {};
      const beat = (): void => {
        reader.beat();
        cancel = clock.after(BEAT_MS, beat);
      };
      const leave = (): void => {
        cancel();
        reader.leave();
      };
      const { socket } = begun.req;
      begun.on('drain', () => reader.drained());
      begun.on('close', leave);
      socket.on('close', leave); // a response that waits behind another one on its connection hears nothing
      if (socket.destroyed) leave();
      else beat(); // the head goes out with it
    },
  };
}
