/** STATE SOCKET: a Unix socket in `stateDir` by which processes of this server that it has not forked find it.
 *  Owns the listening socket and its file. The file has mode 0600 from the moment in which it has its name, and takes the
 *  place of one that a dead process left in one step. */
import { chmod, lstat, mkdir, rename, stat, unlink } from 'node:fs/promises';
import net from 'node:net';
import { dirname } from 'node:path';
import { errnoOf, reasonOf } from '../shared/errors.js';
import { MAX_PATH_BYTES } from '../shared/socket_path.js';
import { removeStaleSocket } from '../shared/stale_socket.js';

export interface StateSocket {
  /** Nobody new comes in, and the file goes, unless it is another's by now. Who has come stays. */
  close(): Promise<void>;
}

export type StateSocketOutcome =
  /** `wasLeft`: in the place of a socket that a process left which died. */
  | { readonly kind: 'open'; readonly socket: StateSocket; readonly wasLeft: boolean }
  /** A living process answers there. */
  | { readonly kind: 'taken' }
  | { readonly kind: 'failed'; readonly why: string };

export interface StateSocketOptions {
  /** What stands there and is no socket is somebody's, and stays: the outcome is `failed`. For a path that an operator may have
   *  mistyped. Default false: the name is ours, in our folder. */
  readonly keepsOthers?: boolean;
}

/** @param server listens there from now on, if the outcome is `open`; it is closed if the outcome is `failed` */
export async function openStateSocket(
  path: string,
  server: net.Server,
  { keepsOthers = false }: StateSocketOptions = {},
): Promise<StateSocketOutcome> {
  const aside = `${path}.${process.pid}`;
  // libuv cuts what is longer, without a word.
  if (Buffer.byteLength(aside) > MAX_PATH_BYTES)
    return { kind: 'failed', why: `longer than the ${MAX_PATH_BYTES} bytes that the path of a Unix socket may have` };
  try {
    await mkdir(dirname(path), { recursive: true, mode: 0o700 });
    if (keepsOthers && (await isOther(path))) return { kind: 'failed', why: 'what stands there is no socket' };
    const there = await whoIsAt(path);
    if (there === 'somebody') return { kind: 'taken' };
    await removeStaleSocket(aside); // of one that had our number and died while it stood there: in a container all have the same
    await new Promise<void>((resolve, reject) => {
      server.once('error', reject).listen(aside, resolve);
    });
    server.on('error', ignore); // a failed accept: whoever came tries again
    await chmod(aside, 0o600);
    const { ino } = await stat(aside);
    await rename(aside, path);
    const socket = { close: () => closeAndUnlink(server, path, ino) };
    return { kind: 'open', socket, wasLeft: there === 'a dead one' };
  } catch (error) {
    server.close(); // it may listen already, and would keep the process alive
    await unlink(aside).catch(ignore);
    return { kind: 'failed', why: reasonOf(error) };
  }
}

/** A link is not followed: whoever renames replaces the link. */
async function isOther(path: string): Promise<boolean> {
  try {
    return !(await lstat(path)).isSocket();
  } catch (error) {
    if (errnoOf(error) === 'ENOENT') return false;
    throw error;
  }
}

/** Is a process there that listens, or has one listened there that could not take its socket away? */
function whoIsAt(path: string): Promise<'somebody' | 'a dead one' | 'nobody'> {
  return new Promise((resolve, reject) => {
    const socket = net.connect({ path });
    socket.once('connect', () => {
      socket.destroy();
      resolve('somebody');
    });
    socket.once('error', (error) => {
      switch (errnoOf(error)) {
        case 'ENOENT':
        case 'ENOTSOCK':
          resolve('nobody');
          return;
        case 'ECONNREFUSED':
          resolve('a dead one');
          return;
        case 'EAGAIN':
          resolve('somebody'); // its backlog is full
          return;
        default:
          reject(error);
      }
    });
  });
}

async function closeAndUnlink(server: net.Server, path: string, ino: number): Promise<void> {
  server.close(); // its callback would wait for those who have come
  const left = await stat(path).catch(() => undefined);
  if (left?.ino === ino) await unlink(path).catch(ignore);
}

function ignore(): void {}
