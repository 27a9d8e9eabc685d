/** LOOK: what one round of questions to a server brought, read out of its answers. Owns nothing. Pure.
 *  The server may be of another version than this program: what it does not say is nothing or empty, and only an answer that is
 *  no answer of this API at all is refused. */
import type { Sample } from '../../shared/admin.js';

export interface Status {
  readonly version: string;
  readonly state: string;
  readonly startedAt: string;
  readonly uptimeMs: number;
  readonly listeners: readonly string[];
  readonly connections: number;
  readonly unauthenticated: number;
  readonly waiting: number;
  readonly channels: number;
  readonly forwards: number;
  readonly bytesIn: number;
  readonly bytesOut: number;
  readonly bufferedBytes: number;
  /** All of them. */
  readonly refusals: number;
}

export interface Worker {
  readonly id: number;
  readonly state: string;
  readonly connections: number;
  readonly channels: number;
  readonly loopLagMs: number;
}

interface Moved {
  readonly bytesIn: number;
  readonly bytesOut: number;
  readonly ageMs: number;
}

export interface Tunnel extends Moved {
  readonly channel: number;
  readonly kind: string;
  readonly destination: string;
}

export interface Connection extends Moved {
  readonly id: number;
  readonly peer: string;
  /** Empty before the login. */
  readonly user: string;
  readonly client: string;
  readonly tunnels: readonly Tunnel[];
  /** Those that are not in `tunnels` too. */
  readonly tunnelsTotal: number;
}

export interface Forward extends Moved {
  readonly conn: number;
  readonly user: string;
  readonly kind: string;
  readonly destination: string;
  readonly tunnels: number;
}

/** A list, of which the server may have more than it has told. */
export interface Listed<Item> {
  readonly total: number;
  readonly items: readonly Item[];
  /** Workers whose part is missing. */
  readonly silentWorkers: readonly number[];
}

export interface Look {
  /** When the answers were here, on a clock that only goes forward. */
  readonly atMs: number;
  readonly status: Status;
  readonly workers: readonly Worker[];
  /** One of the two was asked for. */
  readonly connections?: Listed<Connection>;
  readonly forwards?: Listed<Forward>;
}

/** It was an answer, but none of this API. */
export class StrangeAnswer extends Error {}

export function readStatus(body: unknown): Status {
  const read = fields(body, 'status');
  return {
    version: read.text('version'),
    state: read.text('state'),
    startedAt: read.text('startedAt'),
    uptimeMs: read.number('uptimeMs'),
    listeners: read.list('listeners').filter((each) => typeof each === 'string'),
    connections: read.number('connections'),
    unauthenticated: read.number('unauthenticated'),
    waiting: read.number('waiting'),
    channels: read.number('channels'),
    forwards: read.number('forwards'),
    bytesIn: read.number('bytesIn'),
    bytesOut: read.number('bytesOut'),
    bufferedBytes: read.number('bufferedBytes'),
    refusals: read.list('refusals').reduce((sum: number, each) => sum + fields(each, 'refusals').number('count'), 0),
  };
}

export function readWorkers(body: unknown): readonly Worker[] {
  return fields(body, 'workers')
    .list('workers')
    .map((each) => {
      const read = fields(each, 'workers');
      return {
        id: read.number('id'),
        state: read.text('state'),
        connections: read.number('connections'),
        channels: read.number('channels'),
        loopLagMs: read.number('loopLagMs'),
      };
    });
}

export function readConnections(body: unknown): Listed<Connection> {
  return listed(body, 'connections', (read) => {
    const tunnels = read.list('channels').map(readTunnel);
    return {
      id: read.number('id'),
      peer: read.text('peer'),
      user: read.text('user'),
      client: read.text('client'),
      tunnels,
      tunnelsTotal: Math.max(tunnels.length, read.number('channelsTotal')),
      ...moved(read),
    };
  });
}

function readTunnel(body: unknown): Tunnel {
  const read = fields(body, 'channels');
  return {
    channel: read.number('channel'),
    kind: read.text('kind'),
    destination: read.text('destination'),
    ...moved(read),
  };
}

export function readForwards(body: unknown): Listed<Forward> {
  return listed(body, 'forwards', (read) => ({
    conn: read.number('conn'),
    user: read.text('user'),
    kind: read.text('kind'),
    destination: read.text('destination'),
    tunnels: read.number('channels'),
    ...moved(read),
  }));
}

export function readHistory(body: unknown): readonly Sample[] {
  return fields(body, 'history')
    .list('samples')
    .flatMap((sample) => {
      const [atMs, connections, channels, bytesIn, bytesOut] = Array.isArray(sample) ? sample.map(finite) : [];
      if (atMs === undefined || bytesOut === undefined) return [];
      return [[atMs, connections ?? 0, channels ?? 0, bytesIn ?? 0, bytesOut] as const];
    });
}

function listed<Item>(body: unknown, name: string, item: (read: Fields) => Item): Listed<Item> {
  const read = fields(body, name);
  const items = read.list(name).map((each) => item(fields(each, name)));
  return {
    items,
    total: Math.max(items.length, read.number('total')),
    silentWorkers: read.list('silentWorkers').map(finite),
  };
}

function moved(read: Fields): Moved {
  return { bytesIn: read.number('bytesIn'), bytesOut: read.number('bytesOut'), ageMs: read.number('ageMs') };
}

interface Fields {
  number(name: string): number;
  text(name: string): string;
  list(name: string): readonly unknown[];
}

function fields(body: unknown, what: string): Fields {
  if (typeof body !== 'object' || body === null || Array.isArray(body))
    throw new StrangeAnswer(`its answer about ${what} is none of the admin API`);
  const values = new Map<string, unknown>(Object.entries(body));
  return {
    number: (name) => finite(values.get(name)),
    text(name) {
      const value = values.get(name);
      return typeof value === 'string' ? value : '';
    },
    list(name) {
      const value = values.get(name);
      return Array.isArray(value) ? value : [];
    },
  };
}

function finite(value: unknown): number {
  return typeof value === 'number' && Number.isFinite(value) ? value : 0;
}
