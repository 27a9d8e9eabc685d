/** SEGMENTER: a TCP proxy in this process that hands one direction on in pieces of odd sizes, one per turn of the event
 *  loop, so that a server in the same process reads exactly these pieces.
 *  Owns its listener and sockets until the test ends. */
import { once } from 'node:events';
import { connect, createServer, type Socket } from 'node:net';
import type { Test } from 'tap';
import { seededRandom } from './random.js';
import type { SshEndpoint } from './server.js';

/** One byte, a few, a packet's worth or more: each as often as the others. */
export function pieceSizes(seed: number): () => number {
  const random = seededRandom(seed);
  const most = [1, 20, 1500, 40_000];
  return () => 1 + Math.floor(random() * (most[Math.floor(random() * most.length)] ?? 1));
}

export interface Segmenter extends SshEndpoint {
  /** How many pieces went on so far. */
  readonly pieces: () => number;
}

/** @param sizes the next piece's size in bytes */
export async function startSegmenter(t: Test, to: SshEndpoint, sizes: () => number): Promise<Segmenter> {
  const sockets = new Set<Socket>();
  let pieces = 0;
  const server = createServer({ noDelay: true }, (near) => {
    const far = connect({ host: to.host, port: to.port, noDelay: true });
    for (const [socket, other] of [
      [near, far],
      [far, near],
    ] as const) {
      sockets.add(socket);
      socket.on('error', () => other.destroy());
      socket.on('close', () => other.destroy());
    }
    far.pipe(near);
    void cut(near, far);
  });
  async function cut(from: Socket, into: Socket): Promise<void> {
    try {
      for await (const chunk of from) {
        const bytes: Buffer = chunk;
        for (let at = 0; at < bytes.length; ) {
          const piece = bytes.subarray(at, at + sizes());
          at += piece.length;
          pieces++;
          await new Promise((resolve) => into.write(piece, resolve));
          await new Promise((resolve) => setImmediate(resolve));
        }
      }
      into.end();
    } catch {
      into.destroy(); // the connection was cut, which the test sees elsewhere
    }
  }
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  t.teardown(() => {
    for (const socket of sockets) socket.destroy();
    server.close();
  });
  const address = server.address();
  return {
    host: '127.0.0.1',
    port: address !== null && typeof address === 'object' ? address.port : 0,
    pieces: () => pieces,
  };
}
