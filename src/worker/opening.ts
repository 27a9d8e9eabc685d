/** OPENING: what the steps before SSH have in common: bytes in any number of pieces, a deadline, and a peer that may leave.
 *  Owns what has come, the timer, and the listeners on the socket, until the step is over. Promises that it is over once: by
 *  its step, by `cancel`, or by `onGone`. Whatever comes then is dropped, until the next step takes the reader. */
import type { SocketReader } from './transport/reader.js';

/** A peer that was told something may read it; then its socket is closed, whether or not it has. */
const LINGER_MS = 1_000;

export interface OpeningStep {
  readonly timeoutMs: number;
  /** @param received all of it, a copy */
  onBytes(received: Buffer): void;
  onTimeout(): void;
  /** The peer has left, and the socket is destroyed. */
  onGone(): void;
}

export class Opening {
  readonly #reader: SocketReader;
  readonly #step: OpeningStep;
  readonly #timer: NodeJS.Timeout;
  #received: Buffer = Buffer.alloc(0);
  #over = false;

  constructor(reader: SocketReader, step: OpeningStep) {
    this.#reader = reader;
    this.#step = step;
    for (const event of GONE) reader.socket.on(event, this.#onGone);
    reader.consumer = (bytes) => {
      this.receive(bytes);
      return true;
    };
    this.#timer = setTimeout(() => step.onTimeout(), step.timeoutMs);
  }

  /** What has come: by the reader, or before this step began. */
  receive(bytes: Buffer): void {
    if (this.#over) return;
    this.#received = Buffer.concat([this.#received, bytes]);
    this.#step.onBytes(this.#received);
  }

  /** Enough has come: nothing more is read, and no deadline runs. While it is paused nobody hears of the peer, not even that it is
   *  gone: whoever holds it has to finish it. */
  hold(): void {
    clearTimeout(this.#timer);
    this.#reader.socket.pause();
    this.#reader.consumer = () => true; // nothing comes while it is paused
  }

  /** @returns false when it was over already */
  finish(): boolean {
    if (this.#over) return false;
    this.#over = true;
    clearTimeout(this.#timer);
    this.#reader.consumer = () => true;
    for (const event of GONE) this.#reader.socket.off(event, this.#onGone);
    return true;
  }

  /** Gives the connection up from outside (drain, grace time). */
  cancel(): void {
    if (this.finish()) this.#reader.socket.destroy();
  }

  /** Ends the connection. @param lastWords '': at once and without any @returns false when it was over already */
  end(lastWords: string): boolean {
    if (!this.finish()) return false;
    const { socket } = this.#reader;
    socket.on('error', ignore);
    if (lastWords === '') {
      socket.destroy();
      return true;
    }
    socket.end(lastWords);
    socket.resume(); // its FIN is to be seen
    setTimeout(() => socket.destroy(), LINGER_MS).unref();
    return true;
  }

  readonly #onGone = (): void => {
    if (!this.finish()) return;
    this.#reader.socket.destroy();
    this.#step.onGone();
  };
}

const GONE = ['error', 'close', 'end'] as const;

function ignore(): void {}
