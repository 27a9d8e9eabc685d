/** HTTP TARGET: a process that answers every request with the same page. No HTTP library: it should cost as little
 *  as can be of the two processors that the server under test shares with it. Owns its listener, and counts
 *  connections. */
import { once } from 'node:events';
import { createServer, type Socket } from 'node:net';
import { portOf, serveParent } from './helper_process.js';
import { RESPONSE } from './http_page.js';

const END_OF_REQUEST = Buffer.from('\r\n\r\n');

class HttpTarget {
  #connections = 0;

  get connections(): number {
    return this.#connections;
  }

  answerAll(socket: Socket): void {
    this.#connections++;
    let matched = 0; // bytes of END_OF_REQUEST seen at the end of what has come so far
    socket.on('error', () => socket.destroy());
    socket.on('data', (bytes) => {
      for (const byte of bytes) {
        if (byte === END_OF_REQUEST[matched]) matched++;
        else matched = byte === END_OF_REQUEST[0] ? 1 : 0;
        if (matched < END_OF_REQUEST.length) continue;
        matched = 0;
        socket.write(RESPONSE);
      }
    });
  }
}

const target = new HttpTarget();
const server = createServer({ noDelay: true }, (socket) => target.answerAll(socket));
server.listen({ port: 0, host: '127.0.0.1', backlog: 4096 });
await once(server, 'listening');
serveParent(portOf(server), { connections: () => ({ connections: target.connections }) });
