/** SFTP FOLDER: one folder of the disk for one SFTP client, on any Duplex.
 *  Owns the files that the client has open: all are closed when the stream ends, however it ends. No path leads out of
 *  the folder: '..' stops at its top, and symbolic links that leave it lead nowhere. Paths are checked first
 *  and used then: with such a link in the folder, whoever renames things in between (a second session, say) may win that
 *  race, so a folder for people who are not trusted should hold none. */
import { constants, Dir, type Stats } from 'node:fs';
import { chmod, type FileHandle, lstat, mkdir, open, opendir, realpath, rename, rmdir, unlink } from 'node:fs/promises';
import { join, posix, sep } from 'node:path';
import type { Duplex } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { OPEN_MODE, type SftpAttributes, type SftpName, type SftpRequests, sftpReplies } from './sftp_adapter.js';

/** More than any client opens at a time, and little of what the process may open. */
const MAX_OPEN = 64;
/** OpenSSH's client takes packets of at most 256 KiB, and may ask for more. */
const MAX_READ_BYTES = 255 * 1024;
/** Names in one answer to READDIR: the longest that there are fit into a packet. */
const NAMES_AT_ONCE = 100;

/** Serves `folder` until the client ends the stream. Owns the stream from the call on: ends it when the client has ended
 *  its side, and destroys it, with the error, when the client sends what is no SFTP. */
export function serveSftp(stream: Duplex, folder: string): void {
  // Without `destroyOnReturn: false` the last answers would be lost: the iterator would destroy both sides at the end
  // of one. `pipeline` waits for 'drain' wherever that is needed, and meanwhile nothing is read.
  pipeline(repliesOf(stream.iterator({ destroyOnReturn: false }), folder), stream).catch(() => {
    // Whoever gave us the stream sees the same error there.
  });
}

async function* repliesOf(incoming: AsyncIterable<Buffer>, folder: string): AsyncGenerator<Buffer> {
  const handles = new Handles();
  try {
    yield* sftpReplies(incoming, requestsOf(new Paths(await realpath(folder)), handles));
  } finally {
    await handles.closeAll();
  }
}

function requestsOf(paths: Paths, handles: Handles): SftpRequests {
  return {
    async OPEN(path, flags, { mode = 0o666 }) {
      if (handles.full) return 'FAILURE';
      // A new file has no real path yet. Where there is a link that leads nowhere, O_NOFOLLOW keeps it from being made.
      const place = await paths.real(path).catch((error) => {
        if ((flags & OPEN_MODE.CREAT) === 0) throw error;
        return paths.entry(path);
      });
      return { handle: handles.add(await open(place, openFlags(flags), mode & 0o777)) };
    },
    async CLOSE(handle) {
      await handles.close(handle);
      return 'OK';
    },
    async READ(handle, offset, length) {
      const buffer = Buffer.allocUnsafe(Math.min(length, MAX_READ_BYTES));
      const { bytesRead } = await handles.file(handle).read(buffer, 0, buffer.length, exact(offset));
      return bytesRead === 0 ? 'EOF' : { data: buffer.subarray(0, bytesRead) };
    },
    async WRITE(handle, offset, data) {
      const { bytesWritten } = await handles.file(handle).write(data, 0, data.length, exact(offset));
      // Less is written only where there is no room for the rest.
      return bytesWritten === data.length ? 'OK' : 'FAILURE';
    },
    // The path is real: `lstat` follows no link that came to be in the meantime.
    STAT: async (path) => ({ attrs: await lstat(await paths.real(path)) }),
    LSTAT: async (path) => ({ attrs: await lstat(await paths.entry(path)) }),
    FSTAT: async (handle) => ({ attrs: await handles.file(handle).stat() }),
    async SETSTAT(path, attributes) {
      const place = await paths.real(path);
      return await setMode(attributes, (mode) => chmod(place, mode));
    },
    async FSETSTAT(handle, { size, ...attributes }) {
      const file = handles.file(handle);
      if (size !== undefined) await file.truncate(exact(size)); // scp's last word on each file
      return await setMode(attributes, (mode) => file.chmod(mode));
    },
    async OPENDIR(path) {
      if (handles.full) return 'FAILURE';
      return { handle: handles.add(await opendir(await paths.real(path))) };
    },
    async READDIR(handle) {
      const dir = handles.dir(handle);
      const names: SftpName[] = [];
      for (let entry = await dir.read(); entry !== null; entry = await dir.read()) {
        // A file that was removed since it was listed has no attributes any more.
        const stats = await lstat(join(dir.path, entry.name)).catch(() => undefined);
        if (stats !== undefined)
          names.push({ filename: entry.name, longname: longName(entry.name, stats), attrs: stats });
        if (names.length === NAMES_AT_ONCE) break;
      }
      return names.length === 0 ? 'EOF' : { names };
    },
    async REMOVE(path) {
      await unlink(await paths.entry(path));
      return 'OK';
    },
    async MKDIR(path, { mode = 0o777 }) {
      await mkdir(await paths.entry(path), mode & 0o777);
      return 'OK';
    },
    async RMDIR(path) {
      if (inFolder(path) === '/') return 'PERMISSION_DENIED';
      await rmdir(await paths.entry(path));
      return 'OK';
    },
    async REALPATH(path) {
      const filename = inFolder(path);
      return { names: [{ filename, longname: filename, attrs: {} }] };
    },
    async RENAME(from, to) {
      const [source, target] = [await paths.entry(from), await paths.entry(to)];
      // Draft §6.5: it is an error if the new name is taken. `rename` alone would replace that file.
      const taken = await lstat(target).catch(() => undefined);
      if (taken !== undefined) return 'FAILURE';
      await rename(source, target);
      return 'OK';
    },
  };
}

/** A client's path, seen from the top of the folder: absolute, without '.' and '..'. */
function inFolder(path: string): string {
  return posix.resolve('/', path);
}

/** Finds the place on disk of a client's path, or throws ENOENT. */
class Paths {
  readonly #root: string;

  /** @param root a real path */
  constructor(root: string) {
    this.#root = root;
  }

  /** Where the path leads when all links are followed. What cannot be reached and what lies outside is answered alike:
   *  otherwise a link that leads out would tell what there is. */
  async real(path: string): Promise<string> {
    const real = await realpath(join(this.#root, inFolder(path))).catch(() => '');
    if (join(real, sep).startsWith(join(this.#root, sep))) return real;
    throw Object.assign(new Error('not in the folder'), { code: 'ENOENT' });
  }

  /** The name itself, be it a link or not there yet, in a folder that is. */
  async entry(path: string): Promise<string> {
    const { dir, base } = posix.parse(inFolder(path));
    return join(await this.real(dir), base);
  }
}

/** What the client has open, under the names that it was given. A name is never used twice. */
class Handles {
  readonly #open = new Map<string, FileHandle | Dir>();
  #names = 0;

  get full(): boolean {
    return this.#open.size >= MAX_OPEN;
  }

  add(opened: FileHandle | Dir): Buffer {
    this.#names += 1;
    this.#open.set(String(this.#names), opened);
    return Buffer.from(String(this.#names));
  }

  file(handle: Buffer): FileHandle {
    const opened = this.#find(handle);
    if (opened instanceof Dir) throw new Error('not a file');
    return opened;
  }

  dir(handle: Buffer): Dir {
    const opened = this.#find(handle);
    if (opened instanceof Dir) return opened;
    throw new Error('not a folder');
  }

  async close(handle: Buffer): Promise<void> {
    const opened = this.#find(handle);
    this.#open.delete(handle.toString());
    await opened.close();
  }

  async closeAll(): Promise<void> {
    await Promise.allSettled([...this.#open.values()].map((opened) => opened.close()));
  }

  #find(handle: Buffer): FileHandle | Dir {
    const opened = this.#open.get(handle.toString());
    if (opened === undefined) throw new Error('no such handle');
    return opened;
  }
}

/** ssh2 makes a number of the 64 bits. One too large to be exact means to Node the place where the file stands. */
function exact(offset: number): number {
  if (Number.isSafeInteger(offset)) return offset;
  throw new RangeError('offset');
}

/** The flags of OPEN as the system has them. O_NONBLOCK is for a FIFO, whose opening would wait for its other end. */
function openFlags(flags: number): number {
  const has = (flag: number): boolean => (flags & flag) !== 0;
  let system = constants.O_NOFOLLOW | constants.O_NONBLOCK;
  if (has(OPEN_MODE.WRITE)) system |= has(OPEN_MODE.READ) ? constants.O_RDWR : constants.O_WRONLY;
  if (has(OPEN_MODE.APPEND)) system |= constants.O_APPEND;
  if (has(OPEN_MODE.CREAT)) system |= constants.O_CREAT;
  if (has(OPEN_MODE.TRUNC)) system |= constants.O_TRUNC;
  if (has(OPEN_MODE.EXCL)) system |= constants.O_EXCL;
  return system;
}

/** Only permissions can be set. Times and owners are passed over, since `put -p` would fail for their sake; a size is
 *  refused, since a client that was told OK would believe its file cut. */
async function setMode(
  { mode, size }: SftpAttributes,
  apply: (mode: number) => Promise<void>,
): Promise<'OK' | 'OP_UNSUPPORTED'> {
  if (size !== undefined) return 'OP_UNSUPPORTED';
  if (mode !== undefined) await apply(mode & 0o777);
  return 'OK';
}

/** A line of `ls -l`. Owners are numbers: names would need a look into the system's user list. */
function longName(name: string, stats: Stats): string {
  const type = stats.isDirectory() ? 'd' : stats.isSymbolicLink() ? 'l' : '-';
  const letters = [...'rwxrwxrwx'].map((letter, place) => ((stats.mode >> (8 - place)) & 1 ? letter : '-')).join('');
  const time = stats.mtime.toISOString().slice(0, 16).replace('T', ' ');
  return `${type}${letters} ${stats.nlink} ${stats.uid} ${stats.gid} ${String(stats.size).padStart(10)} ${time} ${name}`;
}
