/** LOOKS: looks at servers that never were, as the rooms of `top` get them. Pure. */
import type { Connection, Forward, Look, Status, Tunnel } from '../../src/cli/top/look.js';

const STATUS: Status = {
  version: '1.2.3',
  state: 'running',
  startedAt: '2026-01-05T06:00:00.000Z',
  uptimeMs: 273_600_000,
  listeners: ['0.0.0.0:2222'],
  connections: 0,
  unauthenticated: 0,
  waiting: 0,
  channels: 0,
  forwards: 0,
  bytesIn: 0,
  bytesOut: 0,
  bufferedBytes: 0,
  refusals: 0,
};

export function connection(id: number, user: string, more: Partial<Connection> = {}): Connection {
  return {
    id,
    user,
    peer: `10.0.0.${id}:40000`,
    client: 'SSH-2.0-OpenSSH_9.2',
    bytesIn: 0,
    bytesOut: 0,
    ageMs: 60_000,
    tunnels: [],
    tunnelsTotal: more.tunnels?.length ?? 0,
    ...more,
  };
}

export function tunnel(channel: number, destination: string, more: Partial<Tunnel> = {}): Tunnel {
  return { channel, destination, kind: 'direct-tcpip', bytesIn: 0, bytesOut: 0, ageMs: 60_000, ...more };
}

export function forward(conn: number, user: string, destination: string, more: Partial<Forward> = {}): Forward {
  return {
    conn,
    user,
    destination,
    kind: 'tcpip-forward',
    tunnels: 0,
    bytesIn: 0,
    bytesOut: 0,
    ageMs: 60_000,
    ...more,
  };
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
