/** FAR END: where the tunnels of a load test come out: one listener in this process. The first bytes of a connection say
 *  what it is for. Owns the listener and its sockets, and keeps what arrived, so that a tunnel that lost or doubled
 *  something is found out here and not by the side that sent it. */
import { once } from 'node:events';
import { createServer, type Server, type Socket } from 'node:net';
import { errnoOf } from '../shared/errors.js';
import { LoadError } from './errors.js';
import type { Digest } from './pattern.js';
import { receivePattern, sendPattern } from './streams.js';

/** What a tunnel is for: sent as its first byte, the number of the tunnel behind it as a uint32. HTTP sends no such head:
 *  its `G` is that of GET. */
export type Purpose = 'arrive' | 'echo' | 'sink' | 'source';

const LETTERS: { readonly [purpose in Purpose]: number } = { arrive: 0x41, echo: 0x45, sink: 0x53, source: 0x52 };
const HEAD_BYTES = 5;
const GET = 0x47;

/** Bytes of the body of an HTTP answer: the number of the request, then filling. */
const BODY_BYTES = 1024;

export class FarEnd {
  readonly #server: Server;
  readonly #sockets = new Set<Socket>();
  readonly #arrived = new Map<number, number>();
  readonly #streams = new Map<number, Promise<Digest>>();
  #numbers = 0;
  readonly host: string;
  readonly port: number;
  /** Told of the bytes of every sink. */
  onSinkBytes: (bytes: number) => void = () => {};

  private constructor(server: Server, host: string, port: number) {
    this.#server = server;
    this.host = host;
    this.port = port;
    server.on('connection', (socket: Socket) => this.#serve(socket));
  }

  /** @param port 0: the kernel chooses. @throws LoadError BAD_DESTINATION when it is no address of this machine */
  static async listen(host: string, port: number): Promise<FarEnd> {
    const server = createServer({ allowHalfOpen: true, noDelay: true });
    server.listen({ host, port });
    try {
      await once(server, 'listening');
    } catch (thrown) {
      const errno = errnoOf(thrown) ?? 'unknown error';
      throw new LoadError('BAD_DESTINATION', listenTrouble(errno, host, port), { errno, cause: thrown });
    }
    const address = server.address();
    if (address === null || typeof address === 'string')
      throw new LoadError('BAD_DESTINATION', 'a listener without a port');
    return new FarEnd(server, host, address.port);
  }

  /** A number for a tunnel. Never the same again: what comes late must not pass for another's. */
  nextNumber(): number {
    return this.#numbers++;
  }

  /** How often a tunnel of this number has come out here. */
  arrivals(number: number): number {
    return this.#arrived.get(number) ?? 0;
  }

  /** What a sink has received, or a source has sent, when it has ended. Undefined where no such tunnel came out here. */
  digest(number: number): Promise<Digest> | undefined {
    return this.#streams.get(number);
  }

  /** Forgets what arrived, and ends what is open. */
  reset(): void {
    for (const socket of this.#sockets) socket.destroy();
    this.#arrived.clear();
    this.#streams.clear();
    this.onSinkBytes = () => {};
  }

  close(): void {
    this.#server.close();
    this.reset();
  }

  #serve(socket: Socket): void {
    this.#sockets.add(socket);
    socket.on('error', () => {}); // a tunnel that was cut: whoever measures it knows
    socket.once('close', () => this.#sockets.delete(socket));
    const onEnd = (): unknown => socket.end();
    const onReadable = (): void => {
      const bytes: unknown = socket.read(HEAD_BYTES);
      if (!Buffer.isBuffer(bytes)) return; // not there yet
      socket.off('readable', onReadable).off('end', onEnd);
      if (bytes[0] === GET) {
        socket.unshift(bytes);
        serveHttp(socket);
      } else if (bytes.length === HEAD_BYTES) this.#begin(socket, bytes[0], bytes.readUInt32BE(1));
      else socket.destroy();
    };
    socket.on('readable', onReadable).once('end', onEnd);
  }

  #begin(socket: Socket, letter: number | undefined, number: number): void {
    this.#arrived.set(number, this.arrivals(number) + 1);
    switch (letter) {
      case LETTERS.arrive:
        socket.resume().end();
        return;
      case LETTERS.echo:
        socket.pipe(socket);
        return;
      case LETTERS.sink: {
        const received = receivePattern(socket, (bytes) => this.onSinkBytes(bytes));
        this.#keep(number, received);
        received.then(
          () => socket.end(),
          () => socket.destroy(),
        );
        return;
      }
      case LETTERS.source: {
        // Until another byte comes: an EOF would say the same, and not every server passes one on while data flows back.
        let goesOn = true;
        socket.once('data', () => (goesOn = false)).once('end', () => (goesOn = false));
        const sent = sendPattern(socket, () => goesOn);
        this.#keep(number, sent);
        sent.then(
          () => socket.end(),
          () => socket.destroy(),
        );
        return;
      }
      default:
        socket.destroy(); // nobody of ours
    }
  }

  #keep(number: number, stream: Promise<Digest>): void {
    stream.catch(() => {}); // heard by whoever asks for the digest
    this.#streams.set(number, stream);
  }
}

export function head(purpose: Purpose, number: number): Buffer {
  const bytes = Buffer.alloc(HEAD_BYTES, LETTERS[purpose]);
  bytes.writeUInt32BE(number, 1);
  return bytes;
}

export function httpRequest(number: number): Buffer {
  return Buffer.from(`GET /${number} HTTP/1.1\r\nHost: load\r\n\r\n`);
}

/** The whole answer to that request, so that one comparison checks it. */
export function httpAnswer(number: number): Buffer {
  const body = String(number).padEnd(BODY_BYTES, '.');
  return Buffer.from(`HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: ${BODY_BYTES}\r\n\r\n${body}`);
}

/** Keep-alive, and no more of HTTP than its own client asks for: a real server would be what is measured. */
function serveHttp(socket: Socket): void {
  let text = '';
  socket.on('data', (chunk: Buffer) => {
    text += chunk.toString('latin1');
    for (let end = text.indexOf('\r\n\r\n'); end !== -1; end = text.indexOf('\r\n\r\n')) {
      const number = /^GET \/(\d{1,10}) HTTP\/1\.1\r\n/.exec(text)?.[1];
      text = text.slice(end + 4);
      if (number === undefined) return void socket.destroy();
      socket.write(httpAnswer(Number(number)));
    }
    if (text.length > MAX_REQUEST_BYTES) socket.destroy();
  });
  socket.once('end', () => socket.end());
}

const MAX_REQUEST_BYTES = 4096;

function listenTrouble(errno: string, host: string, port: number): string {
  switch (errno) {
    case 'EADDRNOTAVAIL':
    case 'ENOTFOUND':
    case 'EAI_AGAIN':
      return `--destination ${host} is no address of this machine: this command listens there for the tunnels' other ends`;
    case 'EADDRINUSE':
      return `--destination: port ${port} of ${host} is in use; leave the port out, and a free one is taken`;
    case 'EACCES':
      return `--destination: port ${port} needs more rights than this command has; take one above 1023`;
    default:
      return `cannot listen on ${host} for the tunnels' other ends (${errno})`;
  }
}
