/** STALE SOCKET: removes what a process that died has left of its Unix socket, and nothing else.
 *  Owns nothing. Both sides ask it: the primary for a worker that died, a worker for a path that it is to bind. */
import { lstat, unlink } from 'node:fs/promises';
import { connect } from 'node:net';
import { errnoOf } from './errors.js';

/** Removes a socket of this process's user on which nobody listens. Files, folders, links, sockets of others and living ones
 *  stay.
 *  @returns true when nothing stands at the path any more
 *  @throws what lstat(2) and unlink(2) say, but for a path that is free already */
export async function removeStaleSocket(path: string): Promise<boolean> {
  let found: Awaited<ReturnType<typeof lstat>>;
  try {
    found = await lstat(path);
  } catch (error) {
    if (errnoOf(error) === 'ENOENT') return true;
    throw error;
  }
  if (!found.isSocket() || found.uid !== process.getuid?.()) return false;
  if (await hasListener(path)) return false;
  await unlink(path);
  return true;
}

function hasListener(path: string): Promise<boolean> {
  return new Promise((resolve) => {
    const probe = connect({ path });
    probe.once('connect', () => {
      probe.destroy();
      resolve(true);
    });
    probe.once('error', (error) => resolve(errnoOf(error) !== 'ECONNREFUSED'));
  });
}
