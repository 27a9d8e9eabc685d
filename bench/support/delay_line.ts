/** DELAY LINE: one direction of a long path: what comes in goes out again `delayMs` later, in order. It reads at
 *  once and keeps what is on its way, so that neither side is held back by it: the path is long, not narrow. Owns
 *  the queue. */
import type { Socket } from 'node:net';

/** A full path of 20 GB/s at 10 ms, or of 2.5 GB/s at 100 ms. Only a receiver that stops can fill it. */
const QUEUE_BYTES = 256 * 1024 * 1024;

export class DelayLine {
  readonly #from: Socket;
  readonly #to: Socket;
  readonly #delayMs: number;
  #queue: { readonly bytes: Buffer | null; readonly dueMs: number }[] = [];
  #queuedBytes = 0;
  #timer: NodeJS.Timeout | undefined;

  constructor(from: Socket, to: Socket, delayMs: number) {
    this.#from = from;
    this.#to = to;
    this.#delayMs = delayMs;
    from.on('data', (bytes) => this.#take(bytes));
    from.on('end', () => this.#take(null));
    from.on('error', () => to.destroy());
    from.on('close', (hadError) => hadError && to.destroy());
    to.on('drain', () => this.#letIn());
    to.on('close', () => clearTimeout(this.#timer));
  }

  /** @param bytes null = the end of the stream */
  #take(bytes: Buffer | null): void {
    this.#queue.push({ bytes, dueMs: performance.now() + this.#delayMs });
    this.#queuedBytes += bytes?.length ?? 0;
    if (this.#queuedBytes + this.#to.writableLength > QUEUE_BYTES) this.#from.pause();
    if (this.#timer === undefined) this.#arm();
  }

  #arm(): void {
    const next = this.#queue[0];
    this.#timer =
      next === undefined ? undefined : setTimeout(() => this.#deliver(), Math.max(1, next.dueMs - performance.now()));
  }

  /** All that is due goes out in one write. */
  #deliver(): void {
    if (this.#to.destroyed) return;
    const nowMs = performance.now();
    let due = this.#queue.findIndex(({ dueMs }) => dueMs > nowMs);
    if (due === -1) due = this.#queue.length;
    this.#to.cork();
    for (const { bytes } of this.#queue.splice(0, due)) {
      if (bytes === null) this.#to.end();
      else this.#to.write(bytes);
      this.#queuedBytes -= bytes?.length ?? 0;
    }
    this.#to.uncork();
    this.#letIn();
    this.#arm();
  }

  #letIn(): void {
    if (this.#from.isPaused() && this.#queuedBytes + this.#to.writableLength < QUEUE_BYTES / 2) this.#from.resume();
  }
}
