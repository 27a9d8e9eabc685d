/** WORLDS: servers that never were, for the page: one that nobody uses, and one on a busy morning. Pure: the same every time but
 *  for the time of day. */
import type { ChannelView, ConnectionView, LoggedEvent, Sample, ServerStatus } from '../../src/shared/admin.js';
import type { AuditEvent, ChannelKind } from '../../src/shared/events.js';
import type { World } from './fake_admin.js';

const STATUS: ServerStatus = {
  version: '0.1.0',
  node: 'v20.20.2',
  pid: 4711,
  state: 'running',
  startedAt: '2026-01-05T06:00:00.000Z',
  uptimeMs: 0,
  listeners: ['127.0.0.1:2222'],
  connections: 0,
  unauthenticated: 0,
  waiting: 0,
  channels: 0,
  forwards: 0,
  bytesIn: 0,
  bytesOut: 0,
  workers: 0,
  bufferedBytes: 0,
  refusals: [],
  penalisedSources: 0,
};

export function emptyWorld(): World {
  return { status: STATUS, connections: [], forwards: [], workers: [], samples: [], refusals: [] };
}

/** A connection of `user` with one channel to each destination. */
export function connection(id: number, user: string | undefined, ...destinations: readonly string[]): ConnectionView {
  const channels = destinations.map((destination, index) => channel(index, destination));
  return {
    id,
    peer: `10.8.${(id * 7) % 23}.${(id * 37) % 251}:${40_000 + ((id * 911) % 20_000)}`,
    worker: (id % 4) + 1,
    state: user === undefined ? 'login' : 'open',
    ...(user === undefined
      ? {}
      : { user, method: 'publickey', fingerprint: 'SHA256:oQGbQTujGeNIgh0ONthcEpA/BHxtt3rcYY+NxXTxQjs' }),
    client: `SSH-2.0-${CLIENTS[id % CLIENTS.length]}`,
    openedAt: new Date(Date.now() - id * 1_000).toISOString(),
    ageMs: id * 1_000,
    bytesIn: 1_000 * destinations.length,
    bytesOut: 2_000 * destinations.length,
    channels,
    channelsTotal: channels.length,
  };
}

export function channel(number: number, destination: string): ChannelView {
  const kind = kindOf(destination);
  return { channel: number, kind, destination, ageMs: 40_000, bytesIn: 1_000, bytesOut: 2_000 };
}

const CLIENTS = [
  'OpenSSH_9.6p1 Ubuntu-3ubuntu13.5',
  'OpenSSH_9.8',
  'PuTTY_Release_0.81',
  'OpenSSH_9.2p1 Debian-2+deb12u3',
  'AsyncSSH_2.17.0',
];

function kindOf(destination: string): ChannelKind {
  if (destination.startsWith('/')) return 'direct-streamlocal@openssh.com';
  return /^(localhost|\*):/.test(destination) ? 'forwarded-tcpip' : 'direct-tcpip';
}

/** `user`, age in minutes, MiB in, MiB out, destinations. */
const MORNING: readonly (readonly [string | undefined, number, number, number, readonly string[]])[] = [
  ['ana', 0.3, 0.02, 0.4, ['wiki.internal:443']],
  ['deploy', 1.2, 412, 3.1, ['registry.internal:5000', 'registry.internal:5000', 'git.internal:22']],
  [undefined, 0.05, 0, 0, []],
  [
    'marcus',
    14,
    2.2,
    88,
    [
      'db-replica.internal:5432',
      'db-replica.internal:5432',
      'grafana.internal:3000',
      'kibana.internal:5601',
      'kibana.internal:5601',
      'redis.internal:6379',
    ],
  ],
  ['backup', 42, 18_432, 12, ['vault-2.storage.internal:8022']],
  ['sensor-17', 600, 31, 4.5, ['localhost:20017', 'localhost:20017']],
  ['priya', 55, 1.1, 24, ['/run/app/admin.sock', 'jenkins.internal:8080']],
  ['sensor-04', 2_880, 120, 18, []],
  ['lena', 95, 0.9, 310, ['10.20.4.17:3389']],
  ['sensor-11', 5_100, 240, 35, ['localhost:20011']],
  ['tomás', 130, 3.4, 41, ['git.internal:22', 'wiki.internal:443', 'wiki.internal:443', 'wiki.internal:443']],
  ['ana', 210, 7.7, 190, ['db-replica.internal:5432']],
];
const MIB = 2 ** 20;
const MINUTE_MS = 60_000;

export function busyWorld(now = Date.now()): World {
  const connections = MORNING.map(([user, minutes, mibIn, mibOut, destinations], index) => ({
    ...connection(1_204 - index * 3, user, ...destinations),
    ageMs: minutes * MINUTE_MS,
    openedAt: new Date(now - minutes * MINUTE_MS).toISOString(),
    bytesIn: Math.round(mibIn * MIB),
    bytesOut: Math.round(mibOut * MIB),
  }));
  const channels = connections.reduce((sum, { channelsTotal }) => sum + channelsTotal, 0);
  const uptimeMs = (3 * 24 + 4) * 60 * MINUTE_MS;
  const samples = morningSamples(now, connections.length, channels);
  const [, , , bytesIn = 0, bytesOut = 0] = samples.at(-1) ?? [];
  return {
    status: {
      ...STATUS,
      startedAt: new Date(now - uptimeMs).toISOString(),
      uptimeMs,
      listeners: ['0.0.0.0:2222', '[::]:2222'],
      connections: connections.length,
      unauthenticated: 1,
      channels,
      forwards: 4,
      bytesIn,
      bytesOut,
      workers: 4,
      bufferedBytes: 3.4 * MIB,
      penalisedSources: 2,
      refusals: [
        refused('login', 'UNKNOWN_USER', 1_893),
        refused('connection', 'PENALTY', 412),
        refused('login', 'KEY_NOT_ACCEPTED', 37),
        refused('channel', 'PROTECTED_DESTINATION', 9),
        refused('channel', 'POLICY_DENIED', 6),
        refused('channel', 'CONNECT_REFUSED', 4),
        refused('forward', 'PORT_TAKEN', 1),
      ],
    },
    connections,
    forwards: [
      forward('sensor-17', 1_189, 'localhost:20017', 2, 35.5),
      forward('sensor-04', 1_183, 'localhost:20004', 0, 138),
      forward('sensor-11', 1_177, 'localhost:20011', 1, 275),
      forward('priya', 1_186, '/run/tunnels/priya/preview.sock', 0, 0.2),
    ],
    workers: [1, 2, 3, 4].map((id) => ({
      id,
      pid: 4_711 + id,
      state: 'ready',
      connections: [4, 3, 3, 2][id - 1] ?? 0,
      channels: [8, 6, 5, 3][id - 1] ?? 0,
      bufferedBytes: ([2.9, 0.3, 0.2, 0][id - 1] ?? 0) * MIB,
      loopLagMs: [3.2, 0.8, 1.1, 0.4][id - 1] ?? 0,
      uptimeMs,
    })),
    samples,
    refusals: morningRefusals(now),
  };
}

/** One second later: the counters have moved on. */
export function secondLater(world: World): void {
  const { status } = world;
  const uptimeMs = status.uptimeMs + 1_000;
  const wave = 1 + 0.06 * Math.sin(uptimeMs / 3_000);
  world.status = {
    ...status,
    uptimeMs,
    bytesIn: status.bytesIn + Math.round(9.1 * MIB * wave),
    bytesOut: status.bytesOut + Math.round(2.2 * MIB * wave),
  };
  const pace = [0.01, 1.9, 0, 0.6, 7.1, 0.02, 0.3, 0, 1.2, 0.04, 0, 0.8];
  const { connections, channels, bytesIn, bytesOut, startedAt } = world.status;
  world.samples = [...world.samples, [Date.parse(startedAt) + uptimeMs, connections, channels, bytesIn, bytesOut]];
  world.connections = world.connections.map((each, index) => ({
    ...each,
    ageMs: each.ageMs + 1_000,
    bytesIn: each.bytesIn + Math.round((pace[index] ?? 0) * MIB * wave * (index === 1 || index === 4 ? 1 : 0.1)),
    bytesOut: each.bytesOut + Math.round((pace[index] ?? 0) * MIB * wave * (index === 1 || index === 4 ? 0.01 : 0.9)),
  }));
}

function refused(what: string, reason: string, count: number) {
  return { what, reason, count };
}

export function forward(
  user: string,
  conn: number,
  destination: string,
  channels: number,
  mib: number,
): World['forwards'][number] {
  const kind = destination.startsWith('/') ? 'streamlocal-forward@openssh.com' : 'tcpip-forward';
  const bytes = Math.round((mib * MIB) / 2);
  return { conn, user, worker: 1, kind, destination, ageMs: 36_000_000, channels, bytesIn: bytes, bytesOut: bytes };
}

/** Ten minutes with a backup that began in the middle of them. */
function morningSamples(now: number, connections: number, channels: number): Sample[] {
  const samples: Sample[] = [];
  let [bytesIn, bytesOut] = [212 * 1_024 * MIB, 87 * 1_024 * MIB];
  let seed = 7;
  const noise = (): number => {
    seed = (seed * 16_807) % 2_147_483_647;
    return seed / 2_147_483_647;
  };
  for (let ago = 600; ago >= 0; ago -= 1) {
    const backup = ago < 330 ? Math.min(1, (330 - ago) / 20) : 0;
    const burst = Math.max(0, Math.sin(ago / 41)) ** 6;
    bytesIn += Math.round(MIB * (0.7 + 0.4 * noise() + backup * (7.6 + 0.9 * noise() + 0.8 * Math.sin(ago / 17))));
    bytesOut += Math.round(MIB * (1.9 + 0.6 * noise() + 4.5 * burst + 0.5 * Math.sin(ago / 60)));
    const people = connections - (ago > 420 ? 4 : ago > 300 ? 3 : ago > 140 ? 2 : ago > 40 ? 1 : 0);
    const extra = Math.round(3 * Math.sin(ago / 33) + 2 * burst);
    samples.push([
      now - ago * 1_000,
      people,
      Math.max(people, channels - (connections - people) * 2 + extra),
      bytesIn,
      bytesOut,
    ]);
  }
  return samples;
}

function morningRefusals(now: number): LoggedEvent[] {
  const at = (secondsAgo: number, event: AuditEvent): LoggedEvent => ({
    ...event,
    level: 'warn',
    time: new Date(now - secondsAgo * 1_000).toISOString(),
  });
  const scanner = '185.220.101.44';
  return [
    at(8, {
      event: 'channel.refused',
      conn: 1_195,
      peer: '10.8.3.9:50112',
      user: 'marcus',
      kind: 'direct-tcpip',
      destination: 'payments-db.internal:5432',
      reason: 'POLICY_DENIED',
    }),
    at(21, {
      event: 'auth.failed',
      conn: 1_203,
      peer: `${scanner}:52144`,
      user: 'root',
      method: 'password',
      reason: 'UNKNOWN_USER',
    }),
    at(24, {
      event: 'connection.refused',
      reason: 'PENALTY',
      count: 38,
      detail: `from ${scanner} and 3 other sources`,
    }),
    at(47, {
      event: 'forward.refused',
      conn: 1_183,
      peer: '10.8.5.2:41220',
      user: 'sensor-04',
      kind: 'tcpip-forward',
      destination: 'localhost:20011',
      reason: 'PORT_TAKEN',
    }),
    at(95, {
      event: 'channel.refused',
      conn: 1_186,
      peer: '10.8.7.30:39974',
      user: 'priya',
      kind: 'direct-tcpip',
      destination: '169.254.169.254:80',
      reason: 'PROTECTED_DESTINATION',
    }),
    at(133, {
      event: 'auth.failed',
      conn: 1_201,
      peer: '10.8.4.77:60312',
      user: 'lena',
      method: 'publickey',
      reason: 'KEY_EXPIRED',
    }),
    at(181, {
      event: 'channel.refused',
      conn: 1_195,
      peer: '10.8.3.9:50112',
      user: 'marcus',
      kind: 'direct-tcpip',
      destination: 'grafana-old.internal:3000',
      reason: 'CONNECT_REFUSED',
      detail: '10.20.4.40',
    }),
    at(240, {
      event: 'auth.failed',
      conn: 1_198,
      peer: `${scanner}:50731`,
      user: 'admin',
      method: 'password',
      reason: 'UNKNOWN_USER',
    }),
  ];
}
