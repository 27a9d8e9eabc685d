/** LOST WORKER: what a dead worker cannot do any more: remove its sockets, and say the end of its connections and of their forwards.
 *  Owns nothing. */
import { basename, dirname, join } from 'node:path';
import { formatHostPort } from '../shared/address.js';
import type { EventSink } from '../shared/events.js';
import { safeText } from '../shared/log.js';
import { pinFolder } from '../shared/pinned.js';
import { isSocketPathLength } from '../shared/socket_path.js';
import { removeStaleSocket } from '../shared/stale_socket.js';
import type { Clock } from './clock.js';
import type { Freed } from './ledger.js';
import { peerText } from './listener.js';

/** @param event where it is told */
export function tellLost({ connection, leases }: Freed, nowMs: number, event: EventSink): void {
  const common = {
    conn: connection.id,
    peer: peerText(connection.peer),
    ...(connection.user === null ? {} : { user: connection.user }),
    reason: 'WORKER_LOST' as const,
  };
  for (const { target, user } of leases) {
    const destination = target.kind === 'unix' ? target.path : formatHostPort(target.host, target.port);
    const kind = target.kind === 'unix' ? 'streamlocal-forward@openssh.com' : 'tcpip-forward';
    event({ ...common, event: 'forward.released', kind, user, destination: safeText(destination) });
  }
  event({ ...common, event: 'connection.closed', durationMs: Math.round(nowMs - connection.sinceMs) });
}

/** A tenant's folder may hang: then its owner waits, and no other. */
const REMOVAL_MS = 1_000;

/** Before the paths may be granted again: whoever binds one of them meanwhile would lose the new socket to this, and look bound all
 *  the same.
 *  @returns when it is done, or has taken too long. Never rejects */
export async function removeSockets(paths: readonly string[], clock: Clock): Promise<void> {
  const late = new Promise<void>((resolve) => clock.after(REMOVAL_MS, resolve));
  await Promise.race([Promise.allSettled(paths.map(removeLeft)), late]);
}

/** A dead process leaves the file of its socket. Its owner may have put something else there since, or be back already; or a
 *  link in the place of the folder, which must not lead to a socket of another's.
 *  @param path real, as it was when it was bound */
async function removeLeft(path: string): Promise<void> {
  const folder = await pinFolder(dirname(path));
  try {
    const left = join(folder.path, basename(path));
    if (folder.realPath === dirname(path) && isSocketPathLength(left)) await removeStaleSocket(left);
  } finally {
    folder.close();
  }
}
