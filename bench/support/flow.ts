/** FLOW: a stream of a known pattern through a socket, checked where it arrives. Owns the sockets while it runs. */
import { once } from 'node:events';
import { createServer, type Server, type Socket } from 'node:net';
import { type Digest, equalDigests, PatternSink, PatternSource } from '../../src/load/pattern.js';
import { VerificationFailed } from '../types.js';

/** A target whose connections are given to `onConnection`. Reads go into one large buffer, so that the target is
 *  not what is measured. */
export class Target {
  readonly #server: Server;
  readonly port: number;

  private constructor(server: Server, port: number) {
    this.#server = server;
    this.port = port;
  }

  static async listen(onConnection: (socket: Socket) => void): Promise<Target> {
    const server = createServer({ allowHalfOpen: true, pauseOnConnect: true, noDelay: true }, onConnection);
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    const address = server.address();
    if (address === null || typeof address === 'string') throw new Error('a TCP server without a port');
    return new Target(server, address.port);
  }

  close(): void {
    this.#server.close();
  }
}

/** Sends through a pair of sockets and checks. @throws VerificationFailed */
export async function transfer(from: Socket, to: Socket, bytes: number): Promise<void> {
  const [sent, received] = await Promise.all([sendPattern(from, bytes), receivePattern(to)]);
  requireEqual(sent, received);
}

/** Writes the whole pattern, or as much as it comes to until `stop`, and ends the socket's own side. */
export async function sendPattern(socket: Socket, bytes: number, stop?: AbortSignal): Promise<Digest> {
  socket.on('error', () => {}); // the write's own callback tells it
  const source = new PatternSource(bytes);
  // Two blocks in flight at most: the source re-uses a block after the one behind it.
  let before: Promise<void> = Promise.resolve();
  while (stop?.aborted !== true) {
    const part = source.next();
    if (part === null) break;
    const written = new Promise<void>((resolve, reject) =>
      socket.write(part, (error) => (error ? reject(error) : resolve())),
    );
    await before;
    before = written;
  }
  await before;
  socket.end();
  return source.digest;
}

/** Reads to the end of the other side. @param socket paused */
export async function receivePattern(socket: Socket): Promise<Digest> {
  const sink = new PatternSink();
  socket.on('data', (bytes) => sink.take(bytes));
  socket.resume();
  await once(socket, 'end');
  return sink.digest;
}

/** @throws VerificationFailed */
export function requireEqual(sent: Digest, received: Digest): void {
  if (equalDigests(sent, received)) return;
  throw new VerificationFailed(
    `sent ${sent.bytes} bytes (CRC-32 ${hex(sent.crc32)}), received ${received.bytes} (${hex(received.crc32)})`,
  );
}

function hex(crc: number): string {
  return crc.toString(16).padStart(8, '0');
}
