/** ADMIN TEXT: what `status`, `ps` and `reload` print for people.
 *  Owns nothing. Pure. What was a peer's is escaped once more: this goes to a terminal. */
import type { ConnectionList, ConnectionView, ForwardList, Reloaded, ServerStatus } from '../shared/admin.js';
import { safeText } from '../shared/log.js';

export function statusLines(status: ServerStatus): readonly string[] {
  const { state, uptimeMs, version, node, pid, listeners, connections, unauthenticated, waiting } = status;
  const { channels, forwards, workers, bytesIn, bytesOut, bufferedBytes, refusals, penalisedSources } = status;
  const refused = [...refusals].sort((a, b) => b.count - a.count);
  return [
    `${state} for ${durationText(uptimeMs)}: version ${version}, node ${node}, process ${pid}`,
    `listens on   ${listeners.join(', ')}`,
    `connections  ${connections}, of these ${unauthenticated} not logged in and ${waiting} waiting for a worker`,
    `channels     ${channels}, forwards ${forwards}, workers ${workers}`,
    `payload      ${bytesText(bytesIn)} in, ${bytesText(bytesOut)} out, ${bytesText(bufferedBytes)} buffered`,
    `refusals     ${refused.length === 0 ? 'none' : refused.map(({ what, reason, count }) => `${what} ${reason} ${count}`).join(', ')}`,
    ...(penalisedSources === 0
      ? []
      : [
          `penalties    ${penalisedSources} ${penalisedSources === 1 ? 'source is' : 'sources are'} refused for what they have earned`,
        ]),
  ].map((line) => safeText(line, MAX_LINE));
}

/** Characters of a line. */
export const MAX_LINE = 2_000;

export function connectionLines({ total, connections }: ConnectionList, withChannels: boolean): readonly string[] {
  if (connections.length === 0) return ['no connections'];
  const head = ['ID', 'USER', 'PEER', 'CLIENT', 'AGE', 'IN', 'OUT', 'CHANNELS', 'WORKER'];
  const rows = connections.map((one) => ({ row: connectionRow(one), below: withChannels ? channelLines(one) : [] }));
  const [first = '', ...lines] = table([head, ...rows.map(({ row }) => row)]);
  const body = rows.flatMap(({ below }, index) => [lines[index] ?? '', ...below]);
  return [first, ...body, ...moreLine(total, connections.length)];
}

function connectionRow(one: ConnectionView): readonly string[] {
  const { id, user, peer, client, ageMs, bytesIn, bytesOut, channelsTotal, worker } = one;
  return [
    String(id),
    user ?? '(login)',
    peer,
    (client ?? '').replace(/^SSH-2\.0-/, ''),
    durationText(ageMs),
    bytesText(bytesIn),
    bytesText(bytesOut),
    String(channelsTotal),
    String(worker),
  ];
}

function channelLines({ channels, channelsTotal }: ConnectionView): readonly string[] {
  const lines = channels.map(({ kind, destination, ageMs, bytesIn, bytesOut }) =>
    safeText(
      `    ${kind} ${destination}, ${durationText(ageMs)}, ${bytesText(bytesIn)} in, ${bytesText(bytesOut)} out`,
      MAX_LINE,
    ),
  );
  const more = channelsTotal - channels.length;
  return more > 0 ? [...lines, `    and ${more} more`] : lines;
}

export function forwardLines({ total, forwards }: ForwardList): readonly string[] {
  if (forwards.length === 0) return ['no forwards'];
  const head = ['CONN', 'USER', 'BOUND', 'AGE', 'IN', 'OUT', 'CHANNELS', 'WORKER'];
  const rows = forwards.map(({ conn, user, destination, ageMs, bytesIn, bytesOut, channels, worker }) => [
    String(conn),
    user,
    destination,
    durationText(ageMs),
    bytesText(bytesIn),
    bytesText(bytesOut),
    String(channels),
    String(worker),
  ]);
  return [...table([head, ...rows]), ...moreLine(total, forwards.length)];
}

function moreLine(total: number, shown: number): readonly string[] {
  return total > shown ? [`and ${total - shown} more: --limit, --user and --search say which are shown`] : [];
}

/** For stderr: the list is not the whole. */
export function silentLine({ silentWorkers }: { readonly silentWorkers: readonly number[] }): string | null {
  if (silentWorkers.length === 0) return null;
  return `warning: no answer of worker ${silentWorkers.join(', ')} within a second: what is there is missing here`;
}

export function reloadLine({ changed }: Reloaded): string {
  return changed.length === 0 ? 'reloaded: nothing has changed' : safeText(`reloaded: ${changed.join(', ')}`, MAX_LINE);
}

function table(rows: ReadonlyArray<readonly string[]>): readonly string[] {
  const safe = rows.map((row) => row.map((cell) => safeText(cell, MAX_CELL)));
  const widths = (safe[0] ?? []).map((_, column) => Math.max(...safe.map((row) => row[column]?.length ?? 0)));
  return safe.map((row) =>
    row
      .map((cell, column) => cell.padEnd(widths[column] ?? 0))
      .join('  ')
      .trimEnd(),
  );
}

const MAX_CELL = 60;

const BYTE_UNITS = ['B', 'KiB', 'MiB', 'GiB', 'TiB'] as const;

/** `0 B`, `999 B`, `1.5 MiB` */
export function bytesText(bytes: number): string {
  let value = bytes;
  let unit = 0;
  while (value >= 1_000 && unit < BYTE_UNITS.length - 1) {
    value /= 1_024;
    unit++;
  }
  const digits = unit === 0 || value >= 100 ? 0 : 1;
  return `${value.toFixed(digits)} ${BYTE_UNITS[unit]}`;
}

/** The two largest units: `12s`, `3m 5s`, `2h 7m`, `41d 3h` */
export function durationText(ms: number): string {
  const seconds = Math.floor(ms / 1_000);
  const parts = [
    [Math.floor(seconds / 86_400), 'd'],
    [Math.floor(seconds / 3_600) % 24, 'h'],
    [Math.floor(seconds / 60) % 60, 'm'],
    [seconds % 60, 's'],
  ] as const;
  const from = parts.findIndex(([count]) => count > 0);
  if (from === -1) return '0s';
  return parts
    .slice(from, from + 2)
    .filter(([count]) => count > 0)
    .map(([count, unit]) => `${count}${unit}`)
    .join(' ');
}
