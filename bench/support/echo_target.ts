/** ECHO TARGET: where tunnels end that are checked by what comes back. Owns its sockets until `close()`. */
import type { Socket } from 'node:net';
import { connect } from 'node:net';
import { VerificationFailed } from '../types.js';
import { Target } from './flow.js';

export class EchoTarget {
  readonly #sockets: Set<Socket>;
  readonly #target: Target;

  private constructor(target: Target, sockets: Set<Socket>) {
    this.#target = target;
    this.#sockets = sockets;
  }

  static async listen(): Promise<EchoTarget> {
    const sockets = new Set<Socket>();
    const target = await Target.listen((socket) => {
      sockets.add(socket);
      socket.on('error', () => {}).on('close', () => sockets.delete(socket));
      socket.pipe(socket);
    });
    return new EchoTarget(target, sockets);
  }

  get port(): number {
    return this.#target.port;
  }
  /** Connections that stand now. */
  get connections(): number {
    return this.#sockets.size;
  }

  close(): void {
    this.#target.close();
    for (const socket of this.#sockets) socket.destroy();
  }
}

/** Sends a word into a port behind which somebody echoes. @throws VerificationFailed when something else comes back */
export async function requireEcho(port: number): Promise<void> {
  const socket = connect({ port, host: '127.0.0.1', noDelay: true });
  socket.setTimeout(ECHO_MS, () => socket.destroy(new Error(`port ${port} did not answer within ${ECHO_MS / 1000} s`)));
  const word = `through port ${port}`;
  socket.write(word);
  let back = '';
  for await (const bytes of socket) {
    back += String(bytes);
    if (back.length >= word.length) break; // it also destroys the socket
  }
  if (back !== word) throw new VerificationFailed(`port ${port}: sent "${word}", got "${back}"`);
}

const ECHO_MS = 10_000;
