/** STREAM: a channel as a Node Duplex: what the peer sends is read from it, what is written to it goes to the peer.
 *  Owns nothing but Node's own buffers; the pump moves the bytes. */
import { Duplex } from 'node:stream';
import type { ChannelPump, Done } from './pump.js';

/** Most that `write()` takes beyond what has gone out, before it says false. */
const MAX_BUFFERED_BYTES = 64 * 1024;

/** Half-open, with backpressure both ways: the peer gets credit for what was read, and `write()` answers false while the
 *  peer takes nothing. `end()` is EOF, `destroy()` is CLOSE; when both directions have ended the channel closes by itself
 *  (RFC 4254 §5.3). 'close' without 'end' before it: the peer closed the channel or left.
 *
 *  An 'error' is only ever what somebody passed to `destroy(error)`; with no listener of yours it is logged with the
 *  channel's end and ends no process. */
export class ChannelStream extends Duplex {
  readonly #pump: ChannelPump;

  /** @internal Streams are made by the server. */
  constructor(pump: ChannelPump) {
    const options = {
      allowHalfOpen: true,
      readableHighWaterMark: 1, // asked for more only when all is read: what waits, waits in the pump
      writableHighWaterMark: MAX_BUFFERED_BYTES,
      captureRejections: true, // an async listener's fault is its channel's, as that of any other; Duplex's types lack it
    };
    super(options);
    this.#pump = pump;
    this.on('error', ignore);
    pump.drive(this);
  }

  /** @internal Most listeners are called in a tick of their own, where one that throws would end the process. */
  override emit(event: string | symbol, ...args: unknown[]): boolean {
    return this.#pump.contain(() => super.emit(event, ...args)) ?? true;
  }

  /** As `net.Socket` has it: 'timeout' is emitted when nothing has moved for so many milliseconds, and the channel stays open.
   *  0 switches it off. `http.Server` ends idle connections by it (`keepAliveTimeout`, `timeout`). */
  setTimeout(timeoutMs: number, listener?: () => void): this {
    if (listener !== undefined) {
      if (timeoutMs > 0) this.once('timeout', listener);
      else this.off('timeout', listener);
    }
    this.#pump.watch(timeoutMs, () => this.emit('timeout'));
    return this;
  }

  /** Reading to the end leaves the other direction open; Node's own iterator would destroy both. */
  override [Symbol.asyncIterator](): ReturnType<Duplex['iterator']> {
    return this.iterator({ destroyOnReturn: false });
  }

  /** @internal */
  override _read(): void {
    this.#pump.wanted();
  }
  /** @internal */
  override _write(chunk: Buffer, _encoding: BufferEncoding, done: Done): void {
    this.#pump.send('data', chunk, done);
  }
  /** @internal One packet instead of a small one per piece: what was corked belongs together. */
  override _writev(chunks: ReadonlyArray<{ readonly chunk: Buffer }>, done: Done): void {
    this.#pump.send('data', Buffer.concat(chunks.map(({ chunk }) => chunk)), done);
  }
  /** @internal */
  override _final(done: Done): void {
    this.#pump.eof(done);
  }
  /** @internal */
  override _destroy(error: Error | null, done: Done): void {
    this.#pump.destroyed(error);
    done(error);
  }
}

function ignore(): void {}
