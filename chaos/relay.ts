/** RELAY: a stretch of network between one client and the server, which can stall, cut in pieces, break and go silent.
 *  Owns its listener and the one connection through it. What it does at rest is to hand on bytes, ends and resets. */
import { once } from 'node:events';
import { connect, createServer, type Server, type Socket } from 'node:net';
import { resetSocket } from '../src/shared/handles.js';
import type { Dice } from './dice.js';

export class Relay {
  readonly #server: Server;
  readonly #lanes: Lane[] = [];
  readonly #sockets: Socket[] = [];
  readonly #dice: Dice;
  #silent = false;
  /** The connection's port towards the server: the server's log names its peer by it. */
  peerPort: number | null = null;

  private constructor(server: Server, dice: Dice) {
    this.#server = server;
    this.#dice = dice;
  }

  /** @param source address that the server sees */
  static async start(to: { readonly port: number }, source: string, dice: Dice): Promise<Relay> {
    const server = createServer({ allowHalfOpen: true, noDelay: true });
    const relay = new Relay(server, dice);
    server.on('connection', (near) => relay.#join(near, to.port, source));
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    return relay;
  }

  get port(): number {
    const address = this.#server.address();
    return address !== null && typeof address === 'object' ? address.port : 0;
  }

  #join(near: Socket, port: number, source: string): void {
    const far = connect({ host: '127.0.0.1', port, localAddress: source, allowHalfOpen: true, noDelay: true });
    far.on('connect', () => {
      this.peerPort = far.localPort ?? null;
    });
    this.#sockets.push(near, far);
    for (const [from, to] of [
      [near, far],
      [far, near],
    ] as const) {
      this.#lanes.push(new Lane(from, to, this.#dice));
      from.on('error', ignore);
      // Without an end of stream it was a reset, and is handed on as one. Who is silent hands on nothing.
      from.on('close', () => {
        if (!this.#silent && !(from.readableEnded && from.writableFinished)) resetSocket(to);
      });
    }
  }

  /** Nothing moves until `resume`. */
  stall(): void {
    for (const lane of this.#lanes) lane.hold();
  }
  /** In small pieces, each on its own, until `resume`. */
  fragment(): void {
    for (const lane of this.#lanes) lane.cutUp();
  }
  resume(): void {
    for (const lane of this.#lanes) lane.release();
  }

  /** Both sides see a reset. */
  reset(): void {
    for (const socket of this.#sockets) resetSocket(socket);
  }
  /** Both sides see an end of stream, wherever in a packet that is. */
  end(): void {
    for (const socket of this.#sockets) socket.destroy();
  }
  /** Nothing is handed on any more, and nobody is told: the line is dead. */
  vanish(): void {
    this.#silent = true;
    this.stall();
  }

  /** The client has ended. A silent relay does not let the server know. */
  stop(): void {
    this.#server.close();
    if (!this.#silent) this.end();
  }
}

type Mode = 'pass' | 'held' | 'pieces';

/** One direction. */
class Lane {
  readonly #from: Socket;
  readonly #to: Socket;
  readonly #dice: Dice;
  readonly #waiting: Buffer[] = [];
  #mode: Mode = 'pass';
  #working = false;
  #ended = false;

  constructor(from: Socket, to: Socket, dice: Dice) {
    this.#from = from;
    this.#to = to;
    this.#dice = dice;
    from.on('data', (bytes: Buffer) => {
      this.#waiting.push(bytes);
      from.pause();
      void this.#work();
    });
    from.on('end', () => {
      this.#ended = true;
      void this.#work();
    });
  }

  hold(): void {
    this.#mode = 'held';
  }
  cutUp(): void {
    this.#mode = 'pieces';
    void this.#work();
  }
  release(): void {
    this.#mode = 'pass';
    void this.#work();
  }

  async #work(): Promise<void> {
    if (this.#working) return;
    this.#working = true;
    while (this.#mode !== 'held') {
      const bytes = this.#waiting.shift();
      if (bytes === undefined) break;
      const piece = this.#mode === 'pieces' ? bytes.subarray(0, this.#dice.magnitude(1, MOST_PIECE_BYTES)) : bytes;
      if (piece.length < bytes.length) this.#waiting.unshift(bytes.subarray(piece.length));
      await new Promise<void>((resolve) => this.#to.write(piece, () => resolve()));
    }
    this.#working = false;
    if (this.#mode === 'held' || this.#waiting.length > 0) return;
    if (this.#ended) this.#to.end();
    else this.#from.resume();
  }
}

const MOST_PIECE_BYTES = 20_000;

function ignore(): void {}
