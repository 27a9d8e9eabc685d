/** DERIVE: what the views show of a state: rows in their order, users added up, lines of the charts. Owns nothing. Pure. */
import type { ChannelView, ConnectionView, LoggedEvent, Sample } from '../shared/admin.js';
import type { Sort, State } from './state.js';
import { type RefusalWords, refusalWords } from './words.js';

/** Columns as uPlot takes them: x in unix seconds, then one list for each line; null is a gap. */
export type Lines = readonly [readonly number[], readonly (number | null)[], readonly (number | null)[]];

export interface UserRow {
  readonly user: string;
  readonly connections: number;
  readonly channels: number;
  readonly bytes: number;
  /** Bytes a second; undefined before the second look. */
  readonly rate: number | undefined;
}

/** A pause between two samples that is drawn as one: the server was busy, away, or the page was hidden. */
const GAP_MS = 5_000;

/** Bytes a second, in and out. A counter that falls belongs to another server: a gap. */
export function throughput(samples: readonly Sample[]): Lines {
  const ins: (number | null)[] = [];
  const outs: (number | null)[] = [];
  for (const [index, sample] of samples.entries()) {
    const before = samples[index - 1];
    ins.push(before === undefined ? null : perSecond(before, sample, 3));
    outs.push(before === undefined ? null : perSecond(before, sample, 4));
  }
  return [samples.map(([unixMs]) => unixMs / 1_000), ins, outs];
}

/** Connections and channels. */
export function population(samples: readonly Sample[]): Lines {
  return [samples.map(([unixMs]) => unixMs / 1_000), samples.map((each) => each[1]), samples.map((each) => each[2])];
}

function perSecond(before: Sample, sample: Sample, column: 3 | 4): number | null {
  const elapsedMs = sample[0] - before[0];
  const moved = sample[column] - before[column];
  return elapsedMs <= 0 || elapsedMs > GAP_MS || moved < 0 ? null : (moved * 1_000) / elapsedMs;
}

/** The last value of a line, or undefined where there is none. */
export function latest(line: readonly (number | null)[]): number | undefined {
  return line.at(-1) ?? undefined;
}

export function highest(line: readonly (number | null)[]): number | undefined {
  const values = line.filter((value) => value !== null);
  return values.length === 0 ? undefined : Math.max(...values);
}

/** The connections in the order that was asked for; the server's own, by number, decides between equals. */
export function sortedConnections(state: State): readonly ConnectionView[] {
  const connections = state.details?.connections.connections ?? [];
  return [...connections].sort(ordered(state.sort, state.rates));
}

function ordered({ key, descending }: Sort, rates: ReadonlyMap<number, number>) {
  const sign = descending ? -1 : 1;
  return (a: ConnectionView, b: ConnectionView): number => {
    switch (key) {
      case 'user':
        return sign * byName(a.user, b.user);
      case 'age':
        return sign * (a.ageMs - b.ageMs) || b.id - a.id;
      case 'rate':
        return sign * ((rates.get(a.id) ?? 0) - (rates.get(b.id) ?? 0));
      default:
        return key satisfies never;
    }
  };
}

/** Who has not logged in yet comes last. */
function byName(a: string | undefined, b: string | undefined): number {
  if (a === b) return 0;
  if (a === undefined) return 1;
  return b === undefined ? -1 : a < b ? -1 : 1;
}

/** Of the connections that the page has, by who moves most, then by who has most. */
export function users(state: State): readonly UserRow[] {
  const rows = new Map<string, UserRow>();
  for (const { id, user, channelsTotal, bytesIn, bytesOut } of state.details?.connections.connections ?? []) {
    if (user === undefined) continue;
    const row = rows.get(user);
    rows.set(user, {
      user,
      connections: (row?.connections ?? 0) + 1,
      channels: (row?.channels ?? 0) + channelsTotal,
      bytes: (row?.bytes ?? 0) + bytesIn + bytesOut,
      rate: sum(row?.rate, state.rates.get(id)),
    });
  }
  // In steps of a power of two, so that two who move about the same do not change places at every look.
  const step = ({ rate = 0 }: UserRow): number => Math.ceil(Math.log2(rate + 1));
  return [...rows.values()].sort(
    (a, b) => step(b) - step(a) || b.connections - a.connections || (a.user < b.user ? -1 : 1),
  );
}

function sum(a: number | undefined, b: number | undefined): number | undefined {
  return a === undefined && b === undefined ? undefined : (a ?? 0) + (b ?? 0);
}

/** Channels of one connection that go the same way. */
export interface ChannelGroup {
  readonly kind: string;
  readonly destination: string;
  readonly count: number;
}

/** The oldest first: a browser's forty channels to one place are one line. */
export function channelGroups(channels: readonly ChannelView[]): readonly ChannelGroup[] {
  const groups = new Map<string, ChannelGroup>();
  for (const { kind, destination } of channels) {
    const key = `${kind} ${destination}`;
    groups.set(key, { kind, destination, count: (groups.get(key)?.count ?? 0) + 1 });
  }
  return [...groups.values()];
}

export interface RefusalRow extends RefusalWords {
  readonly key: string;
  readonly unixMs: number;
}

/** Events have no number: what they say is their key, and a counter where two say the same. */
export function refusalRows(refusals: readonly LoggedEvent[]): readonly RefusalRow[] {
  const seen = new Map<string, number>();
  const rows: RefusalRow[] = [];
  // From the oldest on: a newer one leaves the keys of those that are in the page as they are.
  for (const event of refusals.toReversed()) {
    const words = refusalWords(event);
    if (words === undefined) continue;
    const text = [event.time, words.who, words.what, words.code].join('\n');
    const times = (seen.get(text) ?? 0) + 1;
    seen.set(text, times);
    rows.push({ ...words, key: `${text}\n${times}`, unixMs: Date.parse(event.time) });
  }
  return rows.reverse();
}

export interface RefusalReason {
  readonly reason: string;
  readonly count: number;
}

/** The most frequent first; whatever was refused for one reason is one. */
export function refusalReasons(refusals: readonly RefusalReason[]): readonly RefusalReason[] {
  const counts = new Map<string, number>();
  for (const { reason, count } of refusals) counts.set(reason, (counts.get(reason) ?? 0) + count);
  return [...counts].map(([reason, count]) => ({ reason, count })).sort((a, b) => b.count - a.count);
}
