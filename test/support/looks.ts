/** LOOKS: looks at servers that never were, as the rooms of `top` get them: what worlds.ts has of a server, as top reads it. Pure. */
import {
  type Connection,
  type Forward,
  type Look,
  readConnections,
  readForwards,
  readStatus,
  type Status,
  type Tunnel,
} from '../../src/cli/top/look.js';
import * as world from './worlds.js';

const STATUS: Status = {
  ...readStatus(world.emptyWorld().status),
  version: '1.2.3',
  uptimeMs: 273_600_000,
  listeners: ['0.0.0.0:2222'],
};
/** Nothing has moved, since a minute. */
const STILL = { bytesIn: 0, bytesOut: 0, ageMs: 60_000 };

/** @param user empty before the login */
export function connection(id: number, user: string, more: Partial<Connection> = {}): Connection {
  const answered = [world.connection(id, user === '' ? undefined : user)];
  const read = only(readConnections({ connections: answered }).items);
  return { ...read, ...STILL, tunnelsTotal: more.tunnels?.length ?? 0, ...more };
}

export function tunnel(channel: number, destination: string, more: Partial<Tunnel> = {}): Tunnel {
  const connections = [{ channels: [world.channel(channel, destination)] }];
  return { ...only(only(readConnections({ connections }).items).tunnels), ...STILL, ...more };
}

export function forward(conn: number, user: string, destination: string, more: Partial<Forward> = {}): Forward {
  const forwards = [world.forward(user, conn, destination, 0, 0)];
  return { ...only(readForwards({ forwards }).items), ...STILL, ...more };
}

function only<T>(items: readonly T[]): T {
  const [item] = items;
  if (item === undefined) throw new Error('nothing was read');
  return item;
}

export interface Seen {
  readonly status?: Partial<Status>;
  readonly connections?: readonly Connection[];
  readonly forwards?: readonly Forward[];
  readonly workers?: Look['workers'];
  readonly total?: number;
  readonly silentWorkers?: readonly number[];
}

export function look(atMs: number, { status, connections, forwards, workers, total, silentWorkers = [] }: Seen): Look {
  const listed = <Item>(items: readonly Item[]) => ({ items, total: total ?? items.length, silentWorkers });
  return {
    atMs,
    status: { ...STATUS, connections: connections?.length ?? 0, ...status },
    workers: workers ?? [],
    ...(connections === undefined ? {} : { connections: listed(connections) }),
    ...(forwards === undefined ? {} : { forwards: listed(forwards) }),
  };
}
