/** LOAD CLIENT: one SSH connection of the many that a load test holds in one process. Owns the socket. No call waits longer
 *  than the connection lives: what is under way when it ends is rejected, and a channel ends with it, so that only a digest
 *  tells a whole stream from a cut one. */
import type { Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import { reasonOf } from '../shared/errors.js';
import { LoadError, openFailureName } from './errors.js';
import { type Agreed, Attempt, type ConnectOptions, type Credential, type Login } from './login.js';
import type { ForwardedDetails, Ssh2Channel, Ssh2Client, Ssh2Error } from './ssh2_client.js';

/** A connection that came through a forwarded port. The handler owns the channel. */
export type ForwardedHandler = (channel: Duplex, from: { readonly host: string; readonly port: number }) => void;

export interface RemoteForward {
  /** The port that the server listens on. */
  readonly port: number;
  /** Without a handler connections are refused. */
  onConnection(handler: ForwardedHandler): void;
  close(): Promise<void>;
}

/** RFC 4254 §5.2: a window is a uint32. */
export const MAX_WINDOW_BYTES = 2 ** 32 - 1;
/** What ssh2 announces by itself; it adjusts a window back to this when half of it is used. */
const WINDOW_BYTES = 2 * 1024 * 1024;
const PACKET_BYTES = 32 * 1024;
/** A peer that does not end its side after our DISCONNECT is left to itself. */
const END_MS = 2_000;

export class LoadClient {
  readonly socket: Socket;
  readonly #client: Ssh2Client;
  readonly #forwards = new Map<number, ForwardedHandler | null>();
  #lost: LoadError | undefined;
  /** Resolves when the connection has ended, with what was wrong; undefined after `end()`. */
  readonly closed: Promise<LoadError | undefined>;
  #ending = false;
  /** What let us in. */
  readonly credential: Credential | undefined;
  readonly agreed: Agreed;

  private constructor(socket: Socket, client: Ssh2Client, login: Login) {
    this.socket = socket;
    this.#client = client;
    this.credential = login.credential;
    this.agreed = login.agreed;
    client.on('error', (error: Ssh2Error) => {
      this.#lost ??= new LoadError('CONNECTION_LOST', `the connection was lost: ${reasonOf(error)}`, { cause: error });
    });
    client.on('tcp connection', (details: ForwardedDetails, accept: () => Duplex, reject: () => void) => {
      const handler = this.#forwards.get(details.destPort);
      if (handler) handler(accept(), { host: details.srcIP, port: details.srcPort });
      else reject();
    });
    this.closed = new Promise((resolve) => {
      socket.once('close', () => {
        this.#lost ??= new LoadError('CONNECTION_LOST', 'the server closed the connection');
        resolve(this.#ending ? undefined : this.#lost);
      });
    });
  }

  /** Connects and logs in. @throws LoadError; nothing is left open then */
  static async connect(options: ConnectOptions): Promise<LoadClient> {
    const attempt = new Attempt(options);
    return new LoadClient(attempt.socket, attempt.client, await attempt.outcome);
  }

  /** Opens a `direct-tcpip` channel. @throws LoadError OPEN_REFUSED with the reason of RFC 4254 §5.1, CONNECTION_LOST */
  openDirect(host: string, port: number): Promise<Duplex> {
    return this.openDirectWithWindow(host, port, WINDOW_BYTES);
  }

  /** The same with a window of any size for a peer that never reads: what comes is buffered here without a bound, unless
   *  the caller pauses `socket`. @param windowBytes up to MAX_WINDOW_BYTES */
  openDirectWithWindow(host: string, port: number, windowBytes: number): Promise<Duplex> {
    return new Promise((resolve, reject) => {
      if (this.#lost !== undefined || !this.socket.writable) return reject(this.#gone());
      const answered = (error: Ssh2Error | undefined, channel: Ssh2Channel): void => {
        if (error !== undefined) return reject(this.#openError(error, host, port));
        channel.incoming.window = windowBytes; // ssh2 has just set its own
        resolve(channel);
      };
      const number = this.#client._chanMgr.add(Object.assign(answered, { type: 'direct-tcpip' as const }));
      const request = { srcIP: '127.0.0.1', srcPort: 0, dstIP: host, dstPort: port };
      this.#client._protocol.directTcpip(number, windowBytes, PACKET_BYTES, request);
    });
  }

  /** Asks for a `tcpip-forward`. @param port 0: the server chooses. @throws LoadError FORWARD_REFUSED, CONNECTION_LOST */
  async forward(bindHost: string, port: number): Promise<RemoteForward> {
    const bound = await new Promise<number>((resolve, reject) => {
      if (this.#lost !== undefined || !this.socket.writable) return reject(this.#gone());
      this.#client.forwardIn(bindHost, port, (error, realPort) => {
        if (error === undefined) return resolve(realPort);
        if (!this.socket.writable) return reject(this.#gone());
        reject(new LoadError('FORWARD_REFUSED', `the server refused to listen on ${bindHost}:${port} for us`));
      });
    });
    this.#forwards.set(bound, null);
    return {
      port: bound,
      onConnection: (handler) => this.#forwards.set(bound, handler),
      close: () => this.#unforward(bindHost, bound),
    };
  }

  /** Ends the connection with a DISCONNECT and waits for its end, 2 s at most. Safe to call twice. */
  async end(): Promise<void> {
    this.#ending = true;
    if (this.socket.closed) return;
    this.#client.end();
    this.socket.resume(); // a paused socket would never see the other side's end
    const timer = setTimeout(() => this.socket.destroy(), END_MS);
    await this.closed;
    clearTimeout(timer);
  }

  /** Closes the socket at once, without a word. */
  destroy(): void {
    this.#ending = true;
    this.socket.destroy();
  }

  #unforward(bindHost: string, port: number): Promise<void> {
    this.#forwards.delete(port);
    return new Promise((resolve) => {
      if (!this.socket.writable) return resolve();
      this.#client.unforwardIn(bindHost, port, () => resolve());
    });
  }

  #gone(): LoadError {
    return this.#lost ?? new LoadError('CONNECTION_LOST', 'the connection has ended');
  }

  #openError(error: Ssh2Error, host: string, port: number): LoadError {
    const { reason } = error;
    if (typeof reason !== 'number') return this.#gone();
    const text = error.message.replace(/^\(SSH\) Channel open failure: /, '');
    const words = `the server refused to open ${host}:${port}: ${openFailureName(reason)}${text === '' ? '' : ` (${text})`}`;
    return new LoadError('OPEN_REFUSED', words, { reason, cause: error });
  }
}
