/** SURVEY: what a worker tells of its connections to whoever looks: those that are asked for, and of these a bounded part.
 *  Owns nothing. A look must not cost more than it shows: what does not match is never written out. */
import { MAX_CHANNELS_SHOWN } from '../shared/admin.js';
import type { OfLogin, Payload } from '../shared/events.js';
import type { AuthMethod } from '../shared/identity.js';
import type { ConnId, LookQuery, Seen, SeenConnection, SeenForward } from '../shared/ipc.js';
import type { Channel } from './channel/channel.js';
import { kindOfBind, nameOfBind } from './connection/names.js';
import type { ForwardSight } from './forward/remote.js';

/** Channels of all connections of one answer: beyond it connections tell how many they have, and no more. A message of some
 *  megabytes is the most that the channel to the primary should carry between two heartbeats. */
const MAX_CHANNELS = 20_000;

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
  channels(): Iterable<Channel>;
  forwards(): readonly ForwardSight[];
}

/** @param sights the oldest first */
export function survey(sights: Iterable<Sight>, query: LookQuery, nowMs: number): Seen {
  return query.kind === 'connections' ? connections(sights, query, nowMs) : forwards(sights, query.limit, nowMs);
}

type ConnectionQuery = Extract<LookQuery, { kind: 'connections' }>;

function connections(sights: Iterable<Sight>, query: ConnectionQuery, nowMs: number): Seen {
  const shown: SeenConnection[] = [];
  let total = 0;
  let channelsLeft = MAX_CHANNELS;
  for (const sight of sights) {
    if (!matches(sight, query)) continue;
    total++;
    if (shown.length >= query.limit) continue;
    const seen = connection(sight, Math.min(MAX_CHANNELS_SHOWN, channelsLeft), nowMs);
    channelsLeft -= seen.channels.length;
    shown.push(seen);
  }
  return { kind: 'connections', total, connections: shown };
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

function forwards(sights: Iterable<Sight>, limit: number, nowMs: number): Seen {
  const shown: SeenForward[] = [];
  let total = 0;
  for (const { id, login, forwards } of sights) {
    if (login === null) continue;
    for (const { bind, sinceMs, open, bytesIn, bytesOut } of forwards()) {
      total++;
      if (shown.length >= limit) continue;
      shown.push({
        conn: id,
        user: login.user,
        kind: kindOfBind(bind),
        destination: nameOfBind(bind),
        ageMs: Math.round(nowMs - sinceMs),
        channels: open,
        bytesIn,
        bytesOut,
      });
    }
  }
  return { kind: 'forwards', total, forwards: shown };
}
