/** ADMIN ANSWERS: is this what a command prints? Asked of what came from whoever listens at that address, before a field of it is read.
 *  Owns nothing. Pure. */
import type { ConnectionList, DrainBegun, ForwardList, Reloaded, ServerStatus } from '../shared/admin.js';

type Kind = 'number' | 'string';
type Shape = Readonly<Record<string, Kind | readonly [Shape] | readonly [Kind]>>;

const PAYLOAD = { bytesIn: 'number', bytesOut: 'number' } as const;

const STATUS: Shape = {
  ...{ version: 'string', node: 'string', pid: 'number', state: 'string', uptimeMs: 'number', listeners: ['string'] },
  ...{ connections: 'number', unauthenticated: 'number', waiting: 'number', channels: 'number', forwards: 'number' },
  ...PAYLOAD,
  ...{ workers: 'number', bufferedBytes: 'number', penalisedSources: 'number' },
  refusals: [{ what: 'string', reason: 'string', count: 'number' }],
};
const CHANNEL: Shape = { channel: 'number', kind: 'string', destination: 'string', ageMs: 'number', ...PAYLOAD };
const CONNECTION: Shape = {
  ...{ id: 'number', peer: 'string', worker: 'number', state: 'string', ageMs: 'number', channelsTotal: 'number' },
  ...PAYLOAD,
  channels: [CHANNEL],
};
const FORWARD: Shape = {
  ...{ conn: 'number', user: 'string', worker: 'number', kind: 'string', destination: 'string' },
  ...{ ageMs: 'number', channels: 'number' },
  ...PAYLOAD,
};

export function isServerStatus(value: unknown): value is ServerStatus {
  return fits(value, STATUS);
}
export function isConnectionList(value: unknown): value is ConnectionList {
  return fits(value, { total: 'number', connections: [CONNECTION], silentWorkers: ['number'] });
}
export function isForwardList(value: unknown): value is ForwardList {
  return fits(value, { total: 'number', forwards: [FORWARD], silentWorkers: ['number'] });
}
export function isDrainBegun(value: unknown): value is DrainBegun {
  return fits(value, { connections: 'number' });
}
export function isReloaded(value: unknown): value is Reloaded {
  return fits(value, { changed: ['string'] });
}

function fits(value: unknown, shape: Shape): boolean {
  return Object.entries(shape).every(([name, wanted]) => {
    const field: unknown = Reflect.get(Object(value), name);
    if (typeof wanted === 'string') return typeof field === wanted;
    const [inner] = wanted;
    if (!Array.isArray(field)) return false;
    return field.every((item) => (typeof inner === 'string' ? typeof item === inner : fits(item, inner)));
  });
}
