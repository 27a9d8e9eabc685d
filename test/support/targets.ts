/** TARGETS: the far ends of tunnels, TCP or Unix, and plain connections to the near ends.
 *  Owns its listeners and sockets until the test ends. All are half-open: an end of one direction is a message, and
 *  whether it arrives is part of what is tested. */
import { once } from 'node:events';
import { type AddressInfo, connect as connectSocket, createServer, type Server, type Socket } from 'node:net';
import type { Test } from 'tap';
import { collect, type Digest, send } from './bytes.js';
import { DEADLINE_MS, deferred, within } from './deadline.js';

/** A TCP port of 127.0.0.1, or a Unix socket's path. */
export type Place = number | string;

export interface Target {
  /** 0 for a Unix socket. */
  readonly port: number;
  readonly server: Server;
}

/** A server that hands each connection to `serve`. */
export async function startTarget(t: Test, serve: (socket: Socket) => void, path?: string): Promise<Target> {
  const sockets = new Set<Socket>();
  const server = createServer({ allowHalfOpen: true, noDelay: true }, (socket) => {
    sockets.add(socket);
    socket.on('close', () => sockets.delete(socket));
    // A client that is killed mid-way resets its connections; the flows look at the near end.
    socket.on('error', () => socket.destroy());
    serve(socket);
  });
  if (path === undefined) server.listen(0, '127.0.0.1', 1024);
  else server.listen(path);
  await once(server, 'listening');
  t.teardown(async () => {
    for (const socket of sockets) socket.destroy();
    await new Promise((resolve) => server.close(resolve));
  });
  return { port: portOf(server), server };
}

/** Sends back what it gets, and the end of it. */
export async function startEcho(t: Test, path?: string): Promise<Target> {
  return await startTarget(t, (socket) => socket.pipe(socket), path);
}

/** Says nothing until the client's end of stream, then sends `totalBytes` of `seed` and ends. */
export async function startAnswerAfterEnd(t: Test, seed: string, totalBytes: number): Promise<Target> {
  return await startTarget(t, (socket) => {
    socket.resume().on('end', () => {
      send(socket, seed, totalBytes).then(
        () => socket.end(),
        () => socket.destroy(),
      );
    });
  });
}

/** Ends its own direction at once and goes on reading: `received` tells what the first client sent after that. */
export async function startListenAfterEnd(t: Test): Promise<Target & { readonly received: Promise<Digest> }> {
  const { promise: received, resolve, reject } = deferred<Digest>();
  received.catch(() => {}); // a flow that fails earlier never asks
  const target = await startTarget(t, (socket) => {
    socket.end();
    collect(socket).then(resolve, reject);
  });
  return { ...target, received };
}

/** A connection to the near end of a tunnel. @param from address of this machine that it comes from */
export async function connect(t: Test, place: Place, host = '127.0.0.1', from?: string): Promise<Socket> {
  const source = from === undefined ? {} : { localAddress: from };
  const options = typeof place === 'number' ? { port: place, host, noDelay: true, ...source } : { path: place };
  const socket = connectSocket({ ...options, allowHalfOpen: true });
  // Whoever reads or writes hears of an error there; a connection that is only held open may break unheard.
  socket.on('error', () => {});
  t.teardown(() => socket.destroy());
  await within(once(socket, 'connect'), `connection to ${place}`);
  return socket;
}

/** `connect` for a program that never says when its listener is up. There is no event to wait for: asks the kernel
 *  again and again, a little apart so that the program gets the CPU, until the deadline. */
export async function connectWhenUp(t: Test, place: Place, deadlineMs: number = DEADLINE_MS): Promise<Socket> {
  const end = performance.now() + deadlineMs;
  while (!(await isUp(place)) && performance.now() < end) await new Promise((resolve) => setTimeout(resolve, RETRY_MS));
  return await connect(t, place);
}

const RETRY_MS = 10;

async function isUp(place: Place): Promise<boolean> {
  const socket = typeof place === 'number' ? connectSocket(place, '127.0.0.1') : connectSocket(place);
  const up = await new Promise<boolean>((resolve) => {
    socket.once('connect', () => resolve(true)).once('error', () => resolve(false));
  });
  socket.destroy();
  return up;
}

/** Resolves once the peer has closed or reset the connection; bytes that come before are dropped. */
export async function cut(socket: Socket): Promise<void> {
  if (socket.closed) return;
  const closing = new Promise((resolve) => socket.once('close', resolve));
  if (socket.readableEnded) socket.end();
  else socket.on('end', () => socket.end()).resume();
  await within(closing, 'close of the connection');
}

/** What a server says first, without its end of line; '' where it ends without a line. */
export async function firstLine(socket: Socket): Promise<string> {
  const { promise, resolve } = deferred<void>();
  let text = '';
  socket.on('end', () => socket.end()).on('close', () => resolve());
  socket.on('data', (chunk: Buffer) => {
    text += chunk.toString('latin1');
    if (text.includes('\n')) resolve();
  });
  await within(promise, 'first line');
  return text.split(/\r?\n/, 1)[0] ?? '';
}

/** A TCP port that was free a moment ago, for programs that cannot be told "any". */
export async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const port = portOf(server);
  await new Promise((resolve) => server.close(resolve));
  return port;
}

/** Whether a listener of our own gets the port: true the moment that nobody holds it. */
export async function canBind(port: number): Promise<boolean> {
  const server = createServer();
  const outcome = new Promise<boolean>((resolve) => {
    server.once('listening', () => resolve(true)).once('error', () => resolve(false));
  });
  server.listen({ port, host: '127.0.0.1', exclusive: true });
  const free = await outcome;
  if (free) await new Promise((resolve) => server.close(resolve));
  return free;
}

function portOf(server: Server): number {
  const address: AddressInfo | string | null = server.address();
  return address !== null && typeof address === 'object' ? address.port : 0;
}
