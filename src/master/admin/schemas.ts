/** SCHEMAS: the answers of the API as JSON Schema (draft 2020-12, as OpenAPI 3.1 has it). Says the same as shared/admin.ts; a test
 *  holds every answer to it. Owns nothing. */
import { ADMIN_ERRORS, REFUSAL_EVENTS } from '../../shared/admin.js';
import type { JsonSchema } from '../../shared/config_schema.js';

const COUNT = { type: 'integer', minimum: 0 };
const TEXT = { type: 'string' };
const TIME = { type: 'string', format: 'date-time' };

const ms = (description: string): JsonSchema => ({ type: 'integer', minimum: 0, description: `${description}, in ms` });
const bytes = (description: string): JsonSchema => ({
  type: 'integer',
  minimum: 0,
  description: `${description}, in bytes`,
});
const list = (items: JsonSchema): JsonSchema => ({ type: 'array', items });
export const ref = (name: SchemaName): JsonSchema => ({ $ref: `#/components/schemas/${name}` });

/** Fields that later versions add are no mistake of an answer's, so nothing says `additionalProperties: false`. */
function object(
  required: { readonly [name: string]: JsonSchema },
  optional: { readonly [name: string]: JsonSchema } = {},
): JsonSchema {
  return { type: 'object', properties: { ...required, ...optional }, required: Object.keys(required) };
}

const PAYLOAD = { bytesIn: bytes('payload from SSH peers'), bytesOut: bytes('payload to SSH peers') };
const SILENT = { silentWorkers: { ...list(COUNT), description: 'did not answer within a second: theirs are missing' } };
const CHANNEL_KIND = {
  enum: [
    'session',
    'direct-tcpip',
    'direct-streamlocal@openssh.com',
    'forwarded-tcpip',
    'forwarded-streamlocal@openssh.com',
  ],
};
const EVENT = object({ level: TEXT, time: TIME, event: TEXT });

export const SCHEMAS = {
  Status: object({
    version: TEXT,
    node: TEXT,
    pid: COUNT,
    state: { enum: ['running', 'draining'] },
    startedAt: TIME,
    uptimeMs: ms('since the start'),
    listeners: list(TEXT),
    connections: COUNT,
    unauthenticated: COUNT,
    waiting: { ...COUNT, description: 'sockets that no worker has taken yet' },
    channels: COUNT,
    forwards: COUNT,
    ...PAYLOAD,
    workers: COUNT,
    bufferedBytes: bytes('queued towards peers and targets'),
    refusals: list(
      object({ what: { enum: ['connection', 'login', 'channel', 'forward'] }, reason: TEXT, count: COUNT }),
    ),
    penalisedSources: { ...COUNT, description: 'sources that are refused for what they have earned' },
  }),
  Channel: object({ channel: COUNT, kind: CHANNEL_KIND, destination: TEXT, ageMs: ms('since its open'), ...PAYLOAD }),
  Connection: object(
    {
      id: COUNT,
      peer: TEXT,
      worker: COUNT,
      state: { enum: ['login', 'open'] },
      openedAt: TIME,
      ageMs: ms('since it was accepted'),
      ...PAYLOAD,
      channels: { ...list(ref('Channel')), description: 'the oldest; at most 100 of a connection' },
      channelsTotal: COUNT,
    },
    {
      user: TEXT,
      fingerprint: TEXT,
      method: { enum: ['publickey', 'password', 'keyboard-interactive'] },
      client: { ...TEXT, description: 'ident line of the peer' },
    },
  ),
  Connections: object({ total: COUNT, connections: list(ref('Connection')), ...SILENT }),
  Forward: object({
    conn: COUNT,
    user: TEXT,
    worker: COUNT,
    kind: { enum: ['tcpip-forward', 'streamlocal-forward@openssh.com'] },
    destination: TEXT,
    ageMs: ms('since it was bound'),
    channels: COUNT,
    ...PAYLOAD,
  }),
  Forwards: object({ total: COUNT, forwards: list(ref('Forward')), ...SILENT }),
  Worker: object({
    id: COUNT,
    pid: COUNT,
    state: { enum: ['starting', 'ready', 'draining', 'dead'] },
    connections: COUNT,
    channels: COUNT,
    bufferedBytes: bytes('queued towards peers and targets'),
    loopLagMs: ms('longest delay of its event loop within the last second'),
    uptimeMs: ms('since it was forked'),
  }),
  Workers: object({ workers: list(ref('Worker')) }),
  History: object({
    everyMs: ms('between two samples'),
    samples: {
      ...list({ type: 'array', items: { type: 'number' }, minItems: 5, maxItems: 5 }),
      description: 'unix time in ms, connections, channels, bytesIn, bytesOut; the oldest first',
    },
  }),
  Event: EVENT,
  Refusals: object({
    refusals: list({
      allOf: [ref('Event'), object({ event: { enum: REFUSAL_EVENTS }, reason: TEXT })],
    }),
  }),
  Drain: object({ connections: COUNT }),
  Reload: object({ changed: list(TEXT) }),
  Error: object({
    error: object(
      {
        code: { ...TEXT, description: `${Object.keys(ADMIN_ERRORS).join(', ')}, or why a config was rejected` },
        message: TEXT,
      },
      { errors: { ...list(TEXT), description: 'every mistake of a config that was rejected' } },
    ),
  }),
} as const;

export type SchemaName =
  | 'Status'
  | 'Channel'
  | 'Connection'
  | 'Connections'
  | 'Forward'
  | 'Forwards'
  | 'Worker'
  | 'Workers'
  | 'History'
  | 'Event'
  | 'Refusals'
  | 'Drain'
  | 'Reload'
  | 'Error';
