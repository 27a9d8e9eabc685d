/** ACCEPTING: a target whose sockets a test takes one by one. Owns nothing that the target does not. */
import type { Socket } from 'node:net';
import type { Test } from 'tap';
import { deferred, within } from './deadline.js';
import { startTarget } from './targets.js';

export interface Accepting {
  readonly port: number;
  /** The next connection, come or to come. */
  accepted(): Promise<Socket>;
}

export async function startAccepting(t: Test): Promise<Accepting> {
  const sockets: Socket[] = [];
  let came = deferred<void>();
  const { port } = await startTarget(t, (socket) => {
    sockets.push(socket);
    came.resolve();
  });
  return {
    port,
    async accepted() {
      for (;;) {
        const socket = sockets.shift();
        if (socket !== undefined) return socket;
        came = deferred<void>();
        await within(came.promise, 'a connection at the target');
      }
    },
  };
}
