/** PLACES: ports that are given to nobody twice in a run. Owns the counter. Below the range from which the kernel takes ports
 *  for outgoing connections, so that none of those sits on a port that a restarted server or client has to bind. */
import { once } from 'node:events';
import { createServer } from 'node:net';

const FIRST_PORT = 20_000;
const LAST_PORT = 32_000;

export class Places {
  #next: number;

  /** @param start where to begin: two runs at a time begin elsewhere */
  constructor(start: number) {
    this.#next = FIRST_PORT + (start % (LAST_PORT - FIRST_PORT));
  }

  async port(): Promise<number> {
    for (;;) {
      const port = this.#next;
      this.#next = port < LAST_PORT ? port + 1 : FIRST_PORT;
      if (await isFree(port)) return port;
    }
  }
}

/** Can somebody listen there? */
export async function isFree(port: number): Promise<boolean> {
  const server = createServer();
  const outcome = new Promise<boolean>((resolve) => {
    server.once('listening', () => resolve(true)).once('error', () => resolve(false));
  });
  server.listen({ port, host: '127.0.0.1' });
  const free = await outcome;
  if (free) {
    server.close();
    await once(server, 'close');
  }
  return free;
}
