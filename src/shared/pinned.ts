/** PINNED: a file or folder that stays what it was found to be, from the check of its real path to its use.
 *  Owns one descriptor for each until it is closed. A tenant may have the right to put links where his sockets are: between
 *  realpath() and connect() or bind() such a link can come to lead elsewhere. On Linux a descriptor opened with O_PATH
 *  keeps what was found, tells its real path and is a path itself, below /proc/self/fd (proc(5)). Elsewhere the real path is
 *  used, and the gap stays. */
import { constants } from 'node:fs';
import { open, readlink, realpath } from 'node:fs/promises';

export interface Pinned {
  /** With every symbolic link resolved; what is checked. */
  readonly realPath: string;
  /** Leads there whatever has become of the real path; what is used. Not after `close`. */
  readonly path: string;
  close(): void;
}

/** Not among Node's constants. The same on every architecture for which there is a Node. */
const O_PATH = 0o10_000_000;

/** Finds a file of any kind, without opening it: a device or a pipe does not notice.
 *  @throws as open(2) does */
export function pinFile(path: string): Promise<Pinned> {
  return pin(path, 0);
}

/** @throws as open(2) does; ENOTDIR for what is no folder */
export function pinFolder(path: string): Promise<Pinned> {
  return pin(path, constants.O_DIRECTORY);
}

async function pin(path: string, flags: number): Promise<Pinned> {
  if (process.platform !== 'linux') {
    const realPath = await realpath(path);
    return { realPath, path: realPath, close() {} };
  }
  const handle = await open(path, O_PATH | flags);
  const close = (): void => void handle.close().catch(() => {}); // nothing was written: nothing can be lost
  try {
    const link = `/proc/self/fd/${handle.fd}`;
    return { realPath: await readlink(link), path: link, close };
  } catch (error) {
    close();
    throw error;
  }
}
