/** BIND UNIX: from a path to a Unix socket that listens in this worker.
 *  Owns the folder in which the socket stands, from the check until the socket is gone: what was checked is where it is made,
 *  and where it is removed. The socket is its owner's alone, mode 0600. */
import { basename, dirname, join } from 'node:path';
import { type Pinned, pinFolder } from '../../shared/pinned.js';
import { isSocketPathLength } from '../../shared/socket_path.js';
import { removeStaleSocket } from '../../shared/stale_socket.js';
import { type BindOutcome, bindFailed, Listeners, listen, type OnAccept } from './bind.js';

export class SocketPlace {
  /** Of the socket, with the symbolic links of its folder resolved. */
  readonly realPath: string;
  readonly #folder: Pinned;
  readonly #path: string;

  private constructor(folder: Pinned, name: string) {
    this.realPath = join(folder.realPath, name);
    this.#folder = folder;
    this.#path = join(folder.path, name);
  }

  /** @returns null where there is no such folder */
  static async find(path: string): Promise<SocketPlace | null> {
    try {
      return new SocketPlace(await pinFolder(dirname(path)), basename(path));
    } catch {
      return null;
    }
  }

  /** False for a name that is too long behind the folder's descriptor (some 85 bytes), which takes the place of its path. */
  get isUsable(): boolean {
    return isSocketPathLength(this.#path);
  }

  /** A socket that is left from a crash (nobody listens) is replaced; anything else in its place stays, and the bind fails.
   *  The place belongs to the listeners then. */
  async bind(onAccept: OnAccept): Promise<BindOutcome> {
    const path = this.#path;
    try {
      if (!(await removeStaleSocket(path))) return { ok: false, code: 'PORT_TAKEN' };
      // bind(2) happens within listen(), before it returns, so nobody can connect before the mode is in force.
      const mask = process.umask(0o177);
      const listening = listen({ path, exclusive: true }, onAccept);
      process.umask(mask);
      return { ok: true, listeners: new Listeners([await listening], () => this.close()) };
    } catch (error) {
      return bindFailed(error);
    }
  }

  /** Lets go of the folder. Safe to call twice. */
  close(): void {
    this.#folder.close();
  }
}
