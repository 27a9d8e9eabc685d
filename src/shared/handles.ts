/** HANDLES: the one place that touches `socket._handle`, the raw TCP handle under a net.Socket.
 *  Owns nothing. Takes a handle out of a socket that nobody has read, sends it to another process, and puts it into a
 *  new socket there. We send raw handles ('net.Native'), since a net.Socket would build a list of sockets for each worker
 *  inside Node (child_process.js SocketList). Price: `_handle` is not public; `requireHandles` checks its shape at start. */
import { readSync, writeSync } from 'node:fs';
import net from 'node:net';
import { getSystemErrorName } from 'node:util';
import { errnoOf, TunnelError } from './errors.js';

/** What we use of Node's internal TCP handle. Holds one file descriptor until it is closed. */
export interface TcpHandle {
  /** close(2) only: copies in other processes keep the connection open, and no FIN is sent for them. */
  close(callback?: () => void): void;
  readStart(): number;
  readStop(): number;
  onread: unknown;
  /** Negative once closed. */
  readonly fd: number;
  readonly bytesRead: number;
}

/** Reads into memory of ours: the shape of net's OnReadOpts. A false result of `callback` pauses the socket. */
export interface OnRead {
  readonly buffer: Uint8Array | (() => Uint8Array);
  readonly callback: (bytesRead: number, buffer: Uint8Array) => boolean;
}

export interface AdoptOptions {
  /** Without it the socket emits 'data' like any other. */
  readonly onread?: OnRead;
  /** Default true: a FIN of the peer ends one direction only. */
  readonly allowHalfOpen?: boolean;
  /** Default false. True: nothing is read before `resume()`. */
  readonly paused?: boolean;
}

/** True for a raw TCP handle, such as comes with an IPC message. */
export function isTcpHandle(value: unknown): value is TcpHandle {
  return isStreamHandle(value) && 'getpeername' in value; // a pipe handle has none
}

/** True for the handle of a TCP or a Unix socket: both read and close alike. */
function isStreamHandle(value: unknown): value is TcpHandle {
  return (
    typeof value === 'object' &&
    value !== null &&
    'close' in value &&
    typeof value.close === 'function' &&
    'readStart' in value &&
    typeof value.readStart === 'function' &&
    'readStop' in value &&
    typeof value.readStop === 'function' &&
    'fd' in value &&
    typeof value.fd === 'number'
  );
}

/** The handle under a TCP or Unix socket, which stays there; undefined when it is closed. */
export function handleOf(socket: net.Socket): TcpHandle | undefined {
  const handle: unknown = '_handle' in socket ? socket._handle : undefined;
  return isStreamHandle(handle) ? handle : undefined;
}

/** Takes the handle out of a paused socket of which nothing was read, and disposes of the empty socket: its server
 *  counts one connection less (`getConnections`, `maxConnections`, `close`). The caller closes the handle.
 *  @returns undefined when the connection has gone already; then the socket is destroyed and nothing is left open. */
export function takeHandle(socket: net.Socket): TcpHandle | undefined {
  const handle = handleOf(socket);
  if (handle !== undefined && '_handle' in socket) {
    handle.readStop();
    handle.onread = ignore;
    socket._handle = null;
  }
  socket.destroy();
  return handle;
}

/** Gives each accepted connection to `onHandle` as it is, unread and unwrapped: a net.Socket around it that is thrown away
 *  at once is a third of what an accept costs. The receiver closes the handle. Failed accepts are 'error' events of the
 *  server, as ever; its 'connection' events and counts stay away. For a server that listens. */
export function acceptHandles(server: net.Server, onHandle: (handle: TcpHandle) => void): void {
  const listening = listeningHandle(server);
  if (listening === undefined || !('onconnection' in listening))
    throw new TunnelError('INTERNAL', `this Node (${process.version}) has no listening handles that we know`);
  listening.onconnection = (errno: number, handle: unknown): void => {
    if (errno !== 0) server.emit('error', acceptError(errno));
    else if (isTcpHandle(handle)) onHandle(handle);
  };
}

/** The handle under a server that listens; undefined when it is closed. */
export function listeningHandle(server: net.Server): object | undefined {
  const handle: unknown = '_handle' in server ? server._handle : undefined;
  return typeof handle === 'object' && handle !== null ? handle : undefined;
}

/** As node:net words it, with the name of the error as its `code`. */
function acceptError(errno: number): Error {
  const code = getSystemErrorName(errno);
  return Object.assign(new Error(`accept ${code}`), { errno, code, syscall: 'accept' });
}

/** Where the other end of a connected handle is; undefined when it has gone already. */
export function peerOfHandle(handle: TcpHandle): { readonly address: string; readonly port: number } | undefined {
  const peer: { address?: string; port?: number } = {};
  if (!('getpeername' in handle) || typeof handle.getpeername !== 'function' || handle.getpeername(peer) !== 0)
    return undefined;
  const { address, port } = peer;
  return address === undefined || port === undefined ? undefined : { address, port };
}

/** Puts a handle into a new socket, which owns it from now on. Nagle's delay is off. Bytes arrive from the next turn of
 *  the event loop, never within this call. */
export function adoptHandle(handle: TcpHandle, options: AdoptOptions = {}): net.Socket {
  const { onread, allowHalfOpen = true, paused = false } = options;
  const construct = {
    handle,
    allowHalfOpen,
    readable: true,
    writable: true,
    pauseOnCreate: paused,
    ...(onread === undefined ? {} : { onread }),
  };
  const socket = new net.Socket(construct);
  socket.setNoDelay(true);
  return socket;
}

/** A socket that is still to be connected, reads into memory of ours, and reads nothing before `resume()`. */
export function unconnectedSocket(onread: OnRead): net.Socket {
  const construct = { allowHalfOpen: true, onread }; // the constructor takes `onread`; only the types know it of connect alone
  return new net.Socket(construct).pause();
}

/** Bytes of the write under way that the kernel has not taken yet; shrinks while a slow peer reads a large write. */
export function writeQueueBytes(socket: net.Socket): number {
  const handle: unknown = '_handle' in socket ? socket._handle : undefined;
  if (typeof handle !== 'object' || handle === null || !('writeQueueSize' in handle)) return 0;
  return typeof handle.writeQueueSize === 'number' ? handle.writeQueueSize : 0;
}

/** For the moment of 'end': was it a reset? libuv takes bytes and a reset that come together for bytes and an end. The kernel
 *  still has the error, and a read(2) gets it, also where our own side has ended and getpeername(2) knows nothing any more. */
export function wasReset(socket: net.Socket): boolean {
  const handle: unknown = '_handle' in socket ? socket._handle : undefined;
  const fd = typeof handle === 'object' && handle !== null && 'fd' in handle ? handle.fd : undefined;
  if (typeof fd !== 'number' || fd < 0) return false;
  try {
    readSync(fd, Buffer.alloc(1)); // nothing is left to be read
    return false;
  } catch (error) {
    return errnoOf(error) === 'ECONNRESET';
  }
}

/** Resets a connection, whatever has become of our side of it, and destroys the socket. libuv refuses that while our end of
 *  stream is on its way to the kernel (uv_tcp_close_reset), and Node then forgets the socket and leaves it open for ever: so it
 *  is done when that is through, in the next turn of the event loop. A Unix socket, which knows no reset, is closed. */
export function resetSocket(socket: net.Socket): void {
  if (socket.destroyed) return;
  const { writableEnded, writableFinished, writableLength } = socket;
  if (socket.remoteAddress === undefined) socket.destroy();
  else if (writableEnded && !writableFinished && writableLength === 0) socket.once('finish', () => resetSocket(socket));
  else socket.resetAndDestroy();
}

/** Closes our copy of a handle. Other copies live on; may be called twice. */
export function closeHandle(handle: TcpHandle): void {
  if (handle.fd >= 0) handle.close();
}

/** Closes what another process has sent, whatever kind of handle it is. */
export function closeAny(handle: object | undefined): void {
  if (handle !== undefined && 'close' in handle && typeof handle.close === 'function') handle.close();
}

/** Says one short line to a peer that is about to be closed, without waiting: a new socket has room for it, and where it has
 *  not or the peer has gone already the line is lost. */
export function lastWords(handle: TcpHandle, line: string): void {
  if (handle.fd < 0) return;
  try {
    writeSync(handle.fd, line);
  } catch {
    // Gone already.
  }
}

/** Ends the connection itself: shutdown(2), which works through every copy of the handle, then close(2). For a socket
 *  that nobody will serve while a copy may still lie in a stopped worker's mailbox: the peer sees the end at once. */
export function endHandle(handle: TcpHandle): void {
  if (handle.fd < 0) return;
  const socket = adoptHandle(handle, { paused: true });
  socket.on('error', ignore); // the peer may have gone first
  socket.end(() => socket.destroy());
}

/** The side of a process that can carry a handle: `process`, a ChildProcess or a cluster.Worker. */
export interface HandleChannel {
  send(message: object, handle: unknown, callback: (error: Error | null) => void): boolean;
}

/** Sends a message with a copy of the handle; ours stays open. `done` is told an error where the channel refused it;
 *  no error means that it was queued or written, not that it was received. */
export function sendHandle(
  channel: HandleChannel,
  message: object,
  handle: TcpHandle,
  done: (error: Error | null) => void,
): void {
  channel.send(message, handle, done);
}

/** Fails at start, not at the first connection, on a Node whose sockets have another inside.
 *  @throws TunnelError INTERNAL */
export function requireHandles(): void {
  const probe = new net.Socket();
  const known = '_handle' in probe;
  probe.destroy();
  if (!known) throw new TunnelError('INTERNAL', `this Node (${process.version}) has no socket handles that we know`);
}

function ignore(): void {}
