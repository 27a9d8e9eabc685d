/** HANDLE PIPE: a connected Unix socket by which listening sockets go from one process to another that is neither its parent
 *  nor its child, with one JSON text a line beside them.
 *  Owns the pipe, and the handle that has come with a line whose end has not. Node sends descriptors only between a process
 *  and those that it forked; the pipe under that is reached by `process.binding`, here alone, and nothing that serves a
 *  connection depends on it. Price: `process.binding` is deprecated in Node's documents; where it is gone, there is no takeover. */
import type net from 'node:net';
import { StringDecoder } from 'node:string_decoder';
import { getSystemErrorName } from 'node:util';
import { TunnelError } from './errors.js';
import { closeAny, listeningHandle, takeHandle } from './handles.js';
import { LineParser } from './line_parser.js';

export interface HandlePipeEvents {
  /** `handle` is a listening socket where one came with the value; whoever hears of it closes it. */
  value(value: unknown, handle: object | undefined): void;
  /** Once. */
  closed(): void;
}

interface RawPipe {
  onread: (bytes: ArrayBuffer | undefined) => void;
  pendingHandle?: object | null;
  open(fd: number): number;
  connect(request: Request, path: string): number;
  readStart(): number;
  writeUtf8String(request: Request, text: string, handle: object | undefined): number;
  close(): void;
}

interface Request {
  oncomplete: (status: number) => void;
}

interface Internals {
  newPipe(): RawPipe;
  newConnect(): Request;
  newWrite(): Request;
}

export class HandlePipe {
  readonly #internals: Internals;
  readonly #pipe: RawPipe;
  readonly #events: HandlePipeEvents;
  readonly #lines = new LineParser();
  readonly #decoder = new StringDecoder('utf8');
  #handle: object | undefined;
  #open = true;

  private constructor(internals: Internals, pipe: RawPipe, events: HandlePipeEvents) {
    this.#internals = internals;
    this.#pipe = pipe;
    this.#events = events;
    pipe.onread = (bytes) => this.#read(bytes);
    pipe.readStart();
  }

  /** @throws TunnelError INTERNAL where this Node has no such pipes */
  static require(): void {
    internals();
  }

  /** Over an accepted Unix socket of which nothing was read. libuv's handle of it cannot carry descriptors, so a second one is
   *  put over the same descriptor; the first is never used or closed, which would close the descriptor twice. */
  static over(socket: net.Socket, events: HandlePipeEvents): HandlePipe | undefined {
    const handle = takeHandle(socket);
    if (handle === undefined) return undefined;
    const inner = internals();
    const pipe = inner.newPipe();
    if (pipe.open(handle.fd) !== 0) {
      pipe.close();
      handle.close();
      return undefined;
    }
    return new HandlePipe(inner, pipe, events);
  }

  /** Rejects with an error whose `code` is that of the failed connect. */
  static connect(path: string, events: HandlePipeEvents): Promise<HandlePipe> {
    const inner = internals();
    const pipe = inner.newPipe();
    const request = inner.newConnect();
    return new Promise((resolve, reject) => {
      const failed = (status: number): void => {
        pipe.close();
        const code = getSystemErrorName(status);
        reject(Object.assign(new Error(`connect ${code} ${path}`), { code }));
      };
      request.oncomplete = (status) => {
        if (status === 0) resolve(new HandlePipe(inner, pipe, events));
        else failed(status);
      };
      const status = pipe.connect(request, path);
      if (status !== 0) failed(status);
    });
  }

  /** A copy of the listening socket goes with it; ours stays open. */
  send(value: object, listening?: net.Server): void {
    if (!this.#open) return;
    const handle = listening === undefined ? undefined : listeningHandle(listening);
    const request = this.#internals.newWrite();
    const written = (status: number): void => {
      if (status !== 0 && !GONE.has(getSystemErrorName(status))) this.close();
    };
    request.oncomplete = written;
    const text = `${JSON.stringify(value)}\n`;
    written(this.#pipe.writeUtf8String(request, text, handle));
  }

  close(): void {
    if (!this.#open) return;
    this.#open = false;
    this.#pipe.close();
    closeAny(this.#handle);
    this.#handle = undefined;
    this.#events.closed();
  }

  #read(bytes: ArrayBuffer | undefined): void {
    const came = this.#pipe.pendingHandle ?? undefined;
    this.#pipe.pendingHandle = null;
    if (this.#handle === undefined) this.#handle = came;
    else closeAny(came); // a line has one at most
    if (bytes === undefined) return this.close();
    const complete = this.#lines.push(this.#decoder.write(Buffer.from(bytes)), (value) => {
      const handle = this.#handle;
      this.#handle = undefined;
      if (this.#open) this.#events.value(value, handle);
      else closeAny(handle);
    });
    if (!complete) this.close();
  }
}

/** What the other side said before it went is still to be read, and its end follows. */
const GONE: ReadonlySet<string> = new Set(['EPIPE', 'ECONNRESET']);

function internals(): Internals {
  const { Pipe, PipeConnectWrap, constants } = binding('pipe_wrap');
  const { WriteWrap } = binding('stream_wrap');
  const ipc: unknown = typeof constants === 'object' && constants !== null ? Reflect.get(constants, 'IPC') : undefined;
  if (typeof Pipe !== 'function' || typeof PipeConnectWrap !== 'function' || typeof WriteWrap !== 'function')
    throw unknownNode();
  const made = {
    newPipe: (): RawPipe => checked(Reflect.construct(Pipe, [ipc]), isRawPipe),
    newConnect: (): Request => checked(Reflect.construct(PipeConnectWrap, []), isRequest),
    newWrite: (): Request => checked(Reflect.construct(WriteWrap, []), isRequest),
  };
  made.newPipe().close();
  return made;
}

function binding(name: string): Readonly<Record<string, unknown>> {
  const get: unknown = Reflect.get(process, 'binding');
  if (typeof get !== 'function') throw unknownNode();
  const found: unknown = Reflect.apply(get, process, [name]);
  if (typeof found !== 'object' || found === null) throw unknownNode();
  return { ...found };
}

function checked<Shape>(value: unknown, fits: (value: unknown) => value is Shape): Shape {
  if (!fits(value)) throw unknownNode();
  return value;
}

function isRawPipe(value: unknown): value is RawPipe {
  if (typeof value !== 'object' || value === null) return false;
  return ['open', 'connect', 'readStart', 'writeUtf8String', 'close'].every(
    (name) => typeof Reflect.get(value, name) === 'function',
  );
}

/** Ours to fill in. */
function isRequest(value: unknown): value is Request {
  return typeof value === 'object' && value !== null;
}

function unknownNode(): TunnelError {
  return new TunnelError('INTERNAL', `this Node (${process.version}) has no pipes for handles that we know`);
}
