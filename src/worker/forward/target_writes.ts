/** TARGET WRITES: the bytes of one channel on their way to its target's socket.
 *  Owns what the socket has not taken yet: the writes in its queue, what waits behind them in one piece, and the read buffer
 *  that they may stand in. Tells what has been taken, write by write. */
import type { Socket } from 'node:net';
import { writeQueueBytes } from '../../shared/handles.js';
import { Received } from '../channel/received.js';
import type { ReadLease } from '../transport/buffers.js';

/** Below this, data for the socket is copied rather than pinning a large read buffer for it. */
const MIN_PIN_BYTES = 16 * 1024;
/** Small writes in the socket's queue. Each costs some hundred bytes beside its own, and a peer that sent its window byte by
 *  byte to a target that does not read would have made 2 MiB half a GiB. Large ones have no limit but the window: behind a slow
 *  target a bulk flow has hundreds of them, and in one piece they would be copied twice more, for half as much CPU again. */
const MAX_SMALL_UNWRITTEN = 64;

export interface TargetWritesOptions {
  /** The target has taken so many bytes. */
  onTaken(bytes: number): void;
  /** More than this never waits. */
  maxBytes(): number;
}

export class TargetWrites {
  readonly #socket: Socket;
  readonly #options: TargetWritesOptions;
  #corked = false;
  #stopped = false;
  #ending = false;
  /** The lease under this read's bytes if they may be written without a copy. */
  #pinnable: ReadLease | null = null;
  /** Lengths of the writes that the socket has not taken yet. */
  readonly #unwritten: number[] = [];
  /** So many of them are small. */
  #smallUnwritten = 0;
  #pinned: ReadLease | null = null;
  #pinnedWrites = 0;
  /** Behind them; null when there is nothing. */
  #waiting: Received | null = null;

  constructor(socket: Socket, options: TargetWritesOptions) {
    this.#socket = socket;
    this.#options = options;
  }

  /** Bytes of ours that the socket's queue and what waits behind it hold. */
  get bytes(): number {
    return this.#socket.writableLength + (this.#waiting?.bytes ?? 0);
  }
  /** Falls whenever the kernel takes something. */
  get unsentBytes(): number {
    return this.bytes + writeQueueBytes(this.#socket);
  }

  write(bytes: Buffer, lease: ReadLease | null): void {
    const socket = this.#socket;
    if (this.#waiting !== null || this.#smallUnwritten >= MAX_SMALL_UNWRITTEN) {
      this.#waiting ??= new Received(() => this.#options.maxBytes());
      this.#waiting.append(bytes);
      return;
    }
    if (!this.#corked) {
      // One writev for all packets of this read. Only an empty socket may borrow the read buffer: what it cannot take at
      // once keeps the buffer from being re-used, and a slow target would pin one with each of its bytes.
      this.#pinnable = lease !== null && this.#pinned === null && socket.writableLength === 0 ? lease : null;
      this.#corked = true;
      socket.cork();
    }
    const pin = this.#pinnable !== null && bytes.length >= MIN_PIN_BYTES;
    this.#queue(bytes.length);
    if (pin) this.#pinnedWrites = this.#unwritten.length;
    socket.write(pin ? bytes : Buffer.from(bytes), this.#onWritten);
  }

  /** All packets of one read have been written. */
  readEnd(): void {
    if (!this.#corked) return;
    this.#corked = false;
    this.#socket.uncork();
    if (this.#pinnedWrites > 0 && this.#pinnable !== null) {
      if (this.#socket.writableLength > 0) {
        this.#pinned = this.#pinnable;
        this.#pinned.retain();
      } else this.#pinnedWrites = 0; // the kernel has it all
    }
    this.#pinnable = null;
  }

  /** A FIN, behind everything that was written. */
  end(): void {
    this.#ending = true;
    if (this.#waiting === null) this.#socket.end();
  }

  /** Nothing more is told. What a write still refers to stays pinned until it is done or the socket is closed. */
  stop(): void {
    this.#stopped = true;
    this.#waiting = null;
  }

  /** The socket is closed, and refers to nothing. */
  unpin(): void {
    this.#pinned?.release();
    this.#pinned = null;
    this.#pinnedWrites = 0;
  }

  readonly #onWritten = (error?: Error | null): void => {
    const bytes = this.#unwritten.shift() ?? 0;
    if (bytes < MIN_PIN_BYTES) this.#smallUnwritten--;
    if (this.#pinned !== null && --this.#pinnedWrites <= 0) this.unpin();
    if (error || this.#stopped) return;
    this.#options.onTaken(bytes);
    if (this.#unwritten.length === 0 && this.#waiting !== null) this.#writeWaiting(this.#waiting);
  };

  #writeWaiting(waiting: Received): void {
    this.#socket.cork();
    while (waiting.bytes > 0) {
      const piece = waiting.take();
      this.#queue(piece.length);
      this.#socket.write(piece, this.#onWritten);
    }
    this.#socket.uncork();
    this.#waiting = null;
    if (this.#ending) this.#socket.end();
  }

  #queue(bytes: number): void {
    this.#unwritten.push(bytes);
    if (bytes < MIN_PIN_BYTES) this.#smallUnwritten++;
  }
}
