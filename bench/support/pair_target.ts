/** PAIR TARGET: a target for tunnels of which both ends are wanted: who connects through a tunnel gets its far end too.
 *  Owns the sockets of both ends. */
import type { Socket } from 'node:net';
import { Target } from './flow.js';
import { open } from './ssh_client.js';

export interface Pair {
  /** At the client's end of the tunnel. Paused. */
  readonly near: Socket;
  /** At the target's. Paused. */
  readonly far: Socket;
}

const CONNECT_LIMIT_MS = 30_000;

export class PairTarget {
  readonly #target: Target;
  readonly #waiting: ((socket: Socket) => void)[];
  readonly #sockets: Socket[] = [];

  private constructor(target: Target, waiting: ((socket: Socket) => void)[]) {
    this.#target = target;
    this.#waiting = waiting;
  }

  static async listen(): Promise<PairTarget> {
    const waiting: ((socket: Socket) => void)[] = [];
    const target = await Target.listen((socket) => {
      const taker = waiting.shift();
      if (taker === undefined) socket.destroy();
      else taker(socket);
    });
    return new PairTarget(target, waiting);
  }

  get port(): number {
    return this.#target.port;
  }

  /** Not two at once: the next that arrives is taken for the partner. @throws when none arrives */
  async connect(tunnelPort: number): Promise<Pair> {
    const arrival = new Promise<Socket>((resolve) => this.#waiting.push(resolve));
    const near = (await open(tunnelPort)).pause();
    this.#sockets.push(near);
    const far = await arrived(near, arrival);
    this.#sockets.push(far);
    for (const socket of [near, far]) socket.on('error', () => {}); // whoever uses it sees the end of the stream
    return { near, far };
  }

  /** With all ends that it gave out. */
  close(): void {
    for (const socket of this.#sockets) socket.destroy();
    this.#target.close();
  }
}

/** A refused channel shows only as the near end's end. */
async function arrived(near: Socket, arrival: Promise<Socket>): Promise<Socket> {
  let timer: NodeJS.Timeout | undefined;
  const lost = new Promise<never>((_, reject) => {
    const fail = (why: string): void => reject(new Error(`the tunnel did not reach its target: ${why}`));
    timer = setTimeout(() => fail(`nothing arrived within ${CONNECT_LIMIT_MS} ms`), CONNECT_LIMIT_MS);
    near.once('close', () => fail('closed before it'));
  });
  try {
    return await Promise.race([arrival, lost]);
  } finally {
    clearTimeout(timer);
  }
}
