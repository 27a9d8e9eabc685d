/** OFFERING TARGET: sends as fast as it is let, up to a bound, and reads on. Owns its sockets until `close()`. The bound is
 *  there because some servers take all that is offered into memory: the machine must survive the measurement. */
import type { Socket } from 'node:net';
import { Target } from './flow.js';

/** One block for all connections: nobody looks at what is sent. */
const BLOCK_BYTES = 64 * 1024;

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

  close(): void {
    this.#target.close();
    for (const socket of this.#sockets) socket.destroy();
  }
}
