/** OFFERING TARGET: sends as fast as it is let, up to a bound, and reads on. Owns its sockets until `close()`. The bound is
 *  there because some servers take all that is offered into memory: the machine must survive the measurement. */
import type { Socket } from 'node:net';
import { setTimeout as delay } from 'node:timers/promises';
import { VerificationFailed } from '../types.js';
import { Target } from './flow.js';

/** One block for all connections: nobody looks at what is sent. */
const BLOCK_BYTES = 64 * 1024;
const LOOK_EVERY_MS = 50;
const PATIENCE_MS = 120_000;

export class OfferingTarget {
  readonly #sockets: Set<Socket>;
  readonly #target: Target;

  private constructor(target: Target, sockets: Set<Socket>) {
    this.#target = target;
    this.#sockets = sockets;
  }

  /** @param bytes at least a block, offered on each connection */
  static async listen(bytes: number): Promise<OfferingTarget> {
    const block = Buffer.alloc(BLOCK_BYTES);
    const sockets = new Set<Socket>();
    const target = await Target.listen((socket) => {
      const send = (): void => {
        while (socket.bytesWritten < bytes && socket.write(block));
      };
      sockets.add(socket);
      socket.on('error', () => {}).on('close', () => sockets.delete(socket));
      socket.on('drain', send).resume(); // resumed: a close from the other side must be seen
      send();
    });
    return new OfferingTarget(target, sockets);
  }

  get port(): number {
    return this.#target.port;
  }

  /** Bytes that each connection has got rid of so far. Connections that have gone are not in it. */
  get taken(): number[] {
    return [...this.#sockets].map((socket) => socket.bytesWritten - socket.writableLength);
  }

  /** Resolves when `count` connections have taken something. A server that runs hundreds of busy processes leaves this one
   *  little of the processor, so that their connects are accepted late. @throws when they do not come */
  async reached(count: number): Promise<void> {
    const deadlineMs = performance.now() + PATIENCE_MS;
    while (this.taken.filter((bytes) => bytes > 0).length < count) {
      if (performance.now() > deadlineMs)
        throw new VerificationFailed(
          `${count} tunnels were to reach their target, ${this.#sockets.size} did in ${PATIENCE_MS / 1000} s`,
        );
      await delay(LOOK_EVERY_MS);
    }
  }

  close(): void {
    this.#target.close();
    for (const socket of this.#sockets) socket.destroy();
  }
}
