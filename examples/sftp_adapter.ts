/** SFTP ADAPTER: ssh2's SFTP packets on any stream of bytes, without ssh2's own connection around them.
 *  Turns requests into calls and their answers into packets. Knows nothing of files; sftp_folder.ts does.
 *  Version 3 of the protocol is draft-ietf-secsh-filexfer-02; requests are called as they are called there. */
import { createRequire } from 'node:module';

export interface SftpAttributes {
  readonly size?: number | undefined;
  /** Permissions, and on the way out the file's type. */
  readonly mode?: number | undefined;
  readonly uid?: number | undefined;
  readonly gid?: number | undefined;
  readonly atime?: number | Date | undefined;
  readonly mtime?: number | Date | undefined;
}

export interface SftpName {
  readonly filename: string;
  /** The line that `ls -l` shows. */
  readonly longname: string;
  readonly attrs: SftpAttributes;
}

export type SftpStatus = 'OK' | 'EOF' | 'NO_SUCH_FILE' | 'PERMISSION_DENIED' | 'FAILURE' | 'OP_UNSUPPORTED';

export type SftpAnswer =
  | SftpStatus
  | { readonly handle: Buffer }
  | { readonly data: Buffer }
  | { readonly names: readonly SftpName[] }
  | { readonly attrs: SftpAttributes };

/** One function for each request that is served; all others are answered OP_UNSUPPORTED. What a function throws is
 *  answered by its `code`, without its text: the text would tell where on the disk the folder lies. */
export type SftpRequests = {
  OPEN(path: string, flags: number, attributes: SftpAttributes): Promise<SftpAnswer>;
  CLOSE(handle: Buffer): Promise<SftpAnswer>;
  READ(handle: Buffer, offset: number, length: number): Promise<SftpAnswer>;
  WRITE(handle: Buffer, offset: number, data: Buffer): Promise<SftpAnswer>;
  STAT(path: string): Promise<SftpAnswer>;
  LSTAT(path: string): Promise<SftpAnswer>;
  FSTAT(handle: Buffer): Promise<SftpAnswer>;
  SETSTAT(path: string, attributes: SftpAttributes): Promise<SftpAnswer>;
  FSETSTAT(handle: Buffer, attributes: SftpAttributes): Promise<SftpAnswer>;
  OPENDIR(path: string): Promise<SftpAnswer>;
  READDIR(handle: Buffer): Promise<SftpAnswer>;
  REMOVE(path: string): Promise<SftpAnswer>;
  MKDIR(path: string, attributes: SftpAttributes): Promise<SftpAnswer>;
  RMDIR(path: string): Promise<SftpAnswer>;
  REALPATH(path: string): Promise<SftpAnswer>;
  RENAME(from: string, to: string): Promise<SftpAnswer>;
};

/** The part of ssh2's SFTP class that is used here; a deep import has no types. */
interface Ssh2Sftp {
  /** Reads packets and emits each as an event. Throws for what is no packet: see `sftpReplies`. */
  push(chunk: Buffer): void;
  on(request: string, listener: (id: number, ...fields: never[]) => void): void;
  handle(id: number, handle: Buffer): void;
  status(id: number, code: number): void;
  data(id: number, data: Buffer): void;
  name(id: number, names: readonly SftpName[]): void;
  attrs(id: number, attributes: SftpAttributes): void;
}

interface Ssh2SftpModule {
  readonly SFTP: new (client: object, channel: object, options: { readonly server: true }) => Ssh2Sftp;
  readonly OPEN_MODE: Readonly<Record<'READ' | 'WRITE' | 'APPEND' | 'CREAT' | 'TRUNC' | 'EXCL', number>>;
  readonly STATUS_CODE: Readonly<Record<SftpStatus, number>>;
}

const ssh2: Ssh2SftpModule = createRequire(import.meta.url)('ssh2/lib/protocol/SFTP.js');

/** The flags of OPEN. */
export const OPEN_MODE = ssh2.OPEN_MODE;

/** Serves `requests` to the client that sends `incoming`: yields the bytes to send back. One request after the other,
 *  each only when the answer before it was taken: a client that does not read stops itself, and no request can change
 *  the disk while another is between its check and its work. The price is that a slow disk is waited for.
 *  Throws at a malformed packet. */
export async function* sftpReplies(incoming: AsyncIterable<Buffer>, requests: SftpRequests): AsyncGenerator<Buffer> {
  const outgoing: Buffer[] = [];
  const waiting: Array<() => Promise<void>> = [];
  // What ssh2 wants to see of a connection and a channel. The stream has a window of its own, so this one has no end.
  const client = { _protocol: { channelData: (_id: number, payload: Buffer) => outgoing.push(payload) } };
  const channel = { outgoing: { id: 0, state: 'open', window: Infinity, packetSize: Infinity } };
  const sftp = new ssh2.SFTP(client, channel, { server: true });

  for (const [name, answer] of Object.entries<(...fields: never[]) => Promise<SftpAnswer>>(requests)) {
    sftp.on(name, (id, ...fields) => {
      // ssh2 passes over a string that is longer than its packet and reads the next field in its place.
      if ((fields as readonly unknown[]).includes(undefined)) throw new Error(`malformed ${name}`);
      waiting.push(async () => send(sftp, id, await answer(...fields).catch(statusOf)));
    });
  }

  for await (const chunk of incoming) {
    // Nobody listens to 'error', so that `push` throws for a malformed packet what it would have emitted.
    sftp.push(chunk);
    yield* outgoing.splice(0);
    for (const request of waiting.splice(0)) {
      await request();
      yield* outgoing.splice(0);
    }
  }
}

function send(sftp: Ssh2Sftp, id: number, answer: SftpAnswer): void {
  if (typeof answer === 'string') sftp.status(id, ssh2.STATUS_CODE[answer]);
  else if ('handle' in answer) sftp.handle(id, answer.handle);
  else if ('data' in answer) sftp.data(id, answer.data);
  else if ('names' in answer) sftp.name(id, answer.names);
  else sftp.attrs(id, answer.attrs);
}

function statusOf(error: NodeJS.ErrnoException): SftpStatus {
  if (error.code === 'ENOENT' || error.code === 'ENOTDIR') return 'NO_SUCH_FILE';
  if (error.code === 'EACCES' || error.code === 'EPERM') return 'PERMISSION_DENIED';
  return 'FAILURE';
}
