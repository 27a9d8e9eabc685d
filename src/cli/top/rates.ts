/** RATES: bytes a second, from what two looks say and the time between them. Owns nothing. Pure. */
import type { Sample } from '../../shared/admin.js';
import type { Connection, Forward, Look } from './look.js';

export interface Rate {
  readonly in: number;
  readonly out: number;
}

export interface Rates {
  readonly server: Rate | undefined;
  /** By `connectionKey`, `tunnelKey` and `forwardKey`. */
  readonly of: ReadonlyMap<string, Rate>;
}

export const NO_RATES: Rates = { server: undefined, of: new Map() };

export function connectionKey({ id }: Pick<Connection, 'id'>): string {
  return `c${id}`;
}

/** The number of a channel is never given twice within its connection. */
export function tunnelKey(id: number, channel: number): string {
  return `t${id}.${channel}`;
}

export function forwardKey({ conn, kind, destination }: Forward): string {
  return `f${conn} ${kind} ${destination}`;
}

interface Counter {
  readonly key: string;
  readonly bytesIn: number;
  readonly bytesOut: number;
  readonly ageMs: number;
}

export function ratesBetween(before: Look | undefined, now: Look): Rates {
  if (before === undefined || isAnotherServer(before, now)) return NO_RATES;
  const elapsedMs = now.atMs - before.atMs;
  if (elapsedMs <= 0) return NO_RATES;
  const counted = new Map(countersOf(before).map((counter) => [counter.key, counter]));
  const hadLists = {
    connections: before.connections !== undefined,
    forwards: before.forwards !== undefined,
  };
  const of = new Map<string, Rate>();
  for (const counter of countersOf(now)) {
    const wasListed = counter.key.startsWith('f') ? hadLists.forwards : hadLists.connections;
    if (!wasListed) continue;
    const earlier = counted.get(counter.key);
    // Who is younger than the look before has moved all of it since.
    if (earlier !== undefined || counter.ageMs <= elapsedMs) setRate(of, counter, earlier, elapsedMs);
  }
  return { server: perSecond(now.status, before.status, elapsedMs), of };
}

function setRate(of: Map<string, Rate>, counter: Counter, earlier: Counter | undefined, elapsedMs: number): void {
  const found = perSecond(counter, earlier ?? { bytesIn: 0, bytesOut: 0 }, elapsedMs);
  if (found !== undefined) of.set(counter.key, found);
}

type Bytes = Pick<Counter, 'bytesIn' | 'bytesOut'>;

/** @returns undefined where a counter has fallen: it is another's by now */
function perSecond(now: Bytes, before: Bytes, elapsedMs: number): Rate | undefined {
  const [movedIn, movedOut] = [now.bytesIn - before.bytesIn, now.bytesOut - before.bytesOut];
  if (movedIn < 0 || movedOut < 0) return undefined;
  return { in: (movedIn * 1_000) / elapsedMs, out: (movedOut * 1_000) / elapsedMs };
}

/** Its numbers of connections begin anew. */
export function isAnotherServer(before: Look, now: Look): boolean {
  return before.status.startedAt !== now.status.startedAt;
}

function countersOf({ connections, forwards }: Look): readonly Counter[] {
  const counters: Counter[] = [];
  for (const connection of connections?.items ?? []) {
    counters.push(counter(connectionKey(connection), connection));
    for (const tunnel of connection.tunnels) counters.push(counter(tunnelKey(connection.id, tunnel.channel), tunnel));
  }
  for (const forward of forwards?.items ?? []) counters.push(counter(forwardKey(forward), forward));
  return counters;
}

function counter(key: string, { bytesIn, bytesOut, ageMs }: Omit<Counter, 'key'>): Counter {
  return { key, bytesIn, bytesOut, ageMs };
}

/** The server's throughput before anybody looked, from the samples that it keeps: the oldest first. */
export function pastRates(samples: readonly Sample[]): readonly Rate[] {
  const rates: Rate[] = [];
  for (const [index, [atMs, , , bytesIn, bytesOut]] of samples.entries()) {
    const before = samples[index - 1];
    if (before === undefined || atMs <= before[0]) continue;
    const found = perSecond({ bytesIn, bytesOut }, { bytesIn: before[3], bytesOut: before[4] }, atMs - before[0]);
    if (found !== undefined) rates.push(found);
  }
  return rates;
}
