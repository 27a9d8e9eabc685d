/** FAR ENDS: where tunnels come out: a TCP target and a Unix one. Each connection begins with a line that names its flow, so
 *  that whatever comes out at the wrong place, twice, or for nobody is seen.
 *  Owns the listeners and every connection to them. */
import { once } from 'node:events';
import { type AddressInfo, createServer, type Server, type Socket } from 'node:net';

/** Bytes that a near end sends first, and a far end as soon as it is there: before the flow's own. */
export const NAME_BYTES = 16;
export const BANNER = Buffer.from('here is a target');

export function nameOf(run: number, id: number): Buffer {
  const name = Buffer.alloc(NAME_BYTES);
  name.write('flow');
  name.writeUInt32BE(run, 4);
  name.writeUInt32BE(id, 8);
  return name;
}

export interface FarEndsOptions {
  /** Number of the run: another's flows are strangers. */
  readonly run: number;
  readonly unixPath: string;
  /** A flow has come out. The socket is paused, and stands behind its name. */
  readonly arrived: (id: number, place: 'tcp' | 'unix', socket: Socket) => void;
  readonly strange: (what: string) => void;
}

export class FarEnds {
  readonly port: number;
  readonly #servers: readonly Server[];
  readonly #sockets: Set<Socket>;

  private constructor(servers: readonly Server[], sockets: Set<Socket>) {
    const address: AddressInfo | string | null | undefined = servers[0]?.address();
    this.port = address !== null && typeof address === 'object' ? address.port : 0;
    this.#servers = servers;
    this.#sockets = sockets;
  }

  static async start(options: FarEndsOptions): Promise<FarEnds> {
    const sockets = new Set<Socket>();
    const serverFor = (place: 'tcp' | 'unix'): Server =>
      createServer({ allowHalfOpen: true, noDelay: true, pauseOnConnect: true }, (socket) => {
        sockets.add(socket);
        socket.on('close', () => sockets.delete(socket));
        socket.on('error', ignore); // of one that goes before its name is read
        socket.write(BANNER);
        void greet(socket, place, options);
      });
    const servers = [
      serverFor('tcp').listen({ port: 0, host: '127.0.0.1', backlog: BACKLOG }),
      serverFor('unix').listen({ path: options.unixPath, backlog: BACKLOG }),
    ];
    await Promise.all(servers.map((server) => once(server, 'listening')));
    return new FarEnds(servers, sockets);
  }

  /** Connections that are there, named or not. */
  get open(): number {
    return this.#sockets.size;
  }

  async stop(): Promise<void> {
    for (const socket of this.#sockets) socket.destroy();
    await Promise.all(this.#servers.map((server) => new Promise((resolve) => server.close(resolve))));
  }
}

const BACKLOG = 512;

async function greet(socket: Socket, place: 'tcp' | 'unix', { run, arrived, strange }: FarEndsOptions): Promise<void> {
  const name = await take(socket, NAME_BYTES);
  // The near end went before its name was through: nobody's.
  if (name === null) return void socket.destroy();
  const id = name.readUInt32BE(8);
  if (name.equals(nameOf(run, id))) return arrived(id, place, socket);
  strange(`a connection to the ${place} target that began with ${JSON.stringify(name.toString('latin1'))}`);
  socket.destroy();
}

/** @returns null when the stream ends before; else the socket is paused, and what came after is read next */
export async function take(socket: Socket, bytes: number): Promise<Buffer | null> {
  for (;;) {
    const taken: Buffer | null = socket.read(bytes);
    if (taken !== null && taken.length === bytes) return taken;
    if (taken !== null || socket.readableEnded || socket.destroyed) return null;
    await new Promise<void>((resolve) => {
      const done = (): void => {
        for (const event of EVENTS) socket.off(event, done);
        resolve();
      };
      for (const event of EVENTS) socket.on(event, done);
    });
  }
}

const EVENTS = ['readable', 'end', 'close', 'error'] as const;

function ignore(): void {}
