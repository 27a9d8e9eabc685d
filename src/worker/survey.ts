/** SURVEY: what a worker tells of its connections to whoever looks: those that are asked for, and of these a bounded part.
 *  Owns nothing. A look must not cost more than it shows: what does not match is never written out. It comes in parts, between which
 *  whoever sends them lets others have their turn: with ten thousand connections at once a worker's longest pause was 462 ms on a
 *  loaded machine, in parts 165. That nobody is held up is not shown (DECISIONS 82). */
import { MAX_CHANNELS_SHOWN } from '../shared/admin.js';
import type { OfLogin, Payload } from '../shared/events.js';
import type { AuthMethod } from '../shared/identity.js';
import type { ConnId, LookQuery, SeenConnection, SeenForward, SeenPart } from '../shared/ipc.js';
import type { Channel } from './channel/channel.js';
import { kindOfBind, nameOfBind } from './connection/names.js';
import type { ForwardSight } from './forward/remote.js';

/** Channels of all connections of one answer: beyond it connections tell how many they have, and no more. Some megabytes are the
 *  most that the channel to the primary should carry for one who looks. */
const MAX_CHANNELS = 20_000;

/** Connections with their channels, or forwards, of one part: some 75 KB, and the channels of one connection more at most. */
const PART_ENTRIES = 250;
/** Connections, channels and forwards that one part has gone through, shown or not, and those of one connection more at most: a
 *  search in vain is work as well. */
const PART_WORK = 1_000;

/** A connection as it stands. */
export interface Sight extends Payload {
  readonly id: ConnId;
  readonly peer: string;
  /** The peer's ident line; null until it has come. */
  readonly client: string | null;
  /** Unix time. */
  readonly openedAtMs: number;
  /** Monotonic. */
  readonly startedMs: number;
  readonly login: (OfLogin & { readonly method: AuthMethod }) | null;
  readonly channelCount: number;
  channels(): Iterable<Pick<Channel, 'label' | 'bytesIn' | 'bytesOut'>>;
  forwards(): readonly ForwardSight[];
}

/** @param sights the oldest first; what ends before its part is made is not in it
 *  @param now monotonic milliseconds
 *  @returns one part or more, the last one marked; `total` is of each part */
export function survey(sights: Iterable<Sight>, query: LookQuery, now: () => number): Iterator<SeenPart, undefined> {
  return query.kind === 'connections' ? connections(sights, query, now) : forwards(sights, query.limit, now);
}

type ConnectionQuery = Extract<LookQuery, { kind: 'connections' }>;

function* connections(
  sights: Iterable<Sight>,
  query: ConnectionQuery,
  now: () => number,
): Generator<SeenPart, undefined> {
  let [left, channelsLeft] = [query.limit, MAX_CHANNELS];
  let [work, entries, total] = [0, 0, 0];
  let shown: SeenConnection[] = [];
  for (const sight of sights) {
    if (work >= PART_WORK || entries >= PART_ENTRIES) {
      yield { seen: { kind: 'connections', total, connections: shown }, isLast: false };
      [work, entries, total] = [0, 0, 0];
      shown = [];
    }
    work += 1 + sight.channelCount;
    if (!matches(sight, query)) continue;
    total++;
    if (left <= 0) continue;
    left--;
    const seen = connection(sight, Math.min(MAX_CHANNELS_SHOWN, channelsLeft), now());
    channelsLeft -= seen.channels.length;
    entries += 1 + seen.channels.length;
    shown.push(seen);
  }
  yield { seen: { kind: 'connections', total, connections: shown }, isLast: true };
  return undefined;
}

function matches(sight: Sight, { user, search }: ConnectionQuery): boolean {
  if (user !== null && sight.login?.user !== user) return false;
  if (search === null) return true;
  const wanted = search.toLowerCase();
  const has = (text: string): boolean => text.toLowerCase().includes(wanted);
  if (has(sight.peer) || (sight.login !== null && has(sight.login.user))) return true;
  for (const { label } of sight.channels()) if (label !== null && has(label.destination)) return true;
  return sight.forwards().some(({ bind }) => has(nameOfBind(bind)));
}

function connection(sight: Sight, maxChannels: number, nowMs: number): SeenConnection {
  const { id, peer, client, login, openedAtMs, startedMs, bytesIn, bytesOut, channelCount } = sight;
  const channels: SeenConnection['channels'][number][] = [];
  for (const { label, bytesIn, bytesOut } of sight.channels()) {
    if (channels.length >= maxChannels) break;
    if (label === null) continue;
    const { channel, kind, destination, openedMs } = label;
    channels.push({ channel, kind, destination, ageMs: Math.round(nowMs - openedMs), bytesIn, bytesOut });
  }
  return {
    id,
    peer,
    state: login === null ? 'login' : 'open',
    ...(login === null ? {} : { user: login.user, method: login.method }),
    ...(login?.fingerprint === undefined ? {} : { fingerprint: login.fingerprint }),
    ...(client === null ? {} : { client }),
    openedAtMs,
    ageMs: Math.round(nowMs - startedMs),
    bytesIn,
    bytesOut,
    channels,
    channelsTotal: channelCount,
  };
}

function* forwards(sights: Iterable<Sight>, limit: number, now: () => number): Generator<SeenPart, undefined> {
  let left = limit;
  let [work, total] = [0, 0];
  let shown: SeenForward[] = [];
  for (const { id, login, forwards } of sights) {
    if (work >= PART_WORK || shown.length >= PART_ENTRIES) {
      yield { seen: { kind: 'forwards', total, forwards: shown }, isLast: false };
      [work, total] = [0, 0];
      shown = [];
    }
    work++;
    if (login === null) continue;
    for (const { bind, sinceMs, open, bytesIn, bytesOut } of forwards()) {
      work++;
      total++;
      if (left <= 0) continue;
      left--;
      shown.push({
        conn: id,
        user: login.user,
        kind: kindOfBind(bind),
        destination: nameOfBind(bind),
        ageMs: Math.round(now() - sinceMs),
        channels: open,
        bytesIn,
        bytesOut,
      });
    }
  }
  yield { seen: { kind: 'forwards', total, forwards: shown }, isLast: true };
  return undefined;
}
