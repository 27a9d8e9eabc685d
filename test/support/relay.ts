/** RELAY: a TCP relay that stands for the network between a client and the server, and can fail as a network does: without a
 *  FIN, without a RST.
 *  Owns its listener and both halves of each connection until the test ends. The kernel of this machine goes on acknowledging
 *  what the server sends until the relay's buffers are full; a server sees no difference, since an acknowledgement of TCP is
 *  nothing that it could read. */
import { once } from 'node:events';
import { connect, createServer, type Socket } from 'node:net';
import type { Test } from 'tap';
import type { SshEndpoint } from './server.js';

export interface Relay extends SshEndpoint {
  /** From now on nothing passes in these directions. */
  silence(direction: 'both' | 'to server' | 'to client'): void;
}

/** @param from the address that the server sees its peers at */
export async function startRelay(t: Test, to: SshEndpoint, from = '127.0.0.1'): Promise<Relay> {
  const near = new Set<Socket>();
  const far = new Set<Socket>();
  const server = createServer({ noDelay: true }, (client) => {
    const upstream = connect({ host: to.host, port: to.port, localAddress: from, noDelay: true });
    for (const [socket, other] of [
      [client, upstream],
      [upstream, client],
    ] as const) {
      socket.pipe(other);
      socket.on('error', () => other.destroy());
    }
    near.add(client);
    far.add(upstream);
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  t.teardown(() => {
    for (const socket of [...near, ...far]) socket.destroy();
    server.close();
  });
  const address = server.address();
  return {
    host: '127.0.0.1',
    port: address !== null && typeof address === 'object' ? address.port : 0,
    silence(direction) {
      if (direction !== 'to client') for (const socket of near) socket.unpipe().pause();
      if (direction !== 'to server') for (const socket of far) socket.unpipe().pause();
    },
  };
}
