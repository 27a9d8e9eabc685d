/** READER: the read side of one SSH socket.
 *  Owns which buffer the next read goes into: the worker's small shared one while little comes, a large one on loan while
 *  reads fill it. Promises its consumer bytes that are valid during the call, and longer only under a retained lease. */
import type { Socket } from 'node:net';
import { adoptHandle, type TcpHandle } from '../../shared/handles.js';
import type { Buffers, ReadLease } from './buffers.js';

/** `lease` is null when the bytes stand in the shared buffer and must be copied by whoever keeps them.
 *  @returns false to let others have their turn of the event loop before the next read */
export type ByteConsumer = (bytes: Buffer, lease: ReadLease | null) => boolean;

export class SocketReader {
  readonly socket: Socket;
  readonly #buffers: Buffers;
  #consumer: ByteConsumer;
  #lease: ReadLease | null = null;
  #mayBorrow = false;
  #wantLarge = false;

  /** Starts reading at once. The caller must have an 'error' listener on `socket` before this tick ends. */
  constructor(handle: TcpHandle, buffers: Buffers, consumer: ByteConsumer) {
    this.#buffers = buffers;
    this.#consumer = consumer;
    this.socket = adoptHandle(handle, {
      allowHalfOpen: true,
      onread: { buffer: () => this.#nextBuffer(), callback: (bytes, buffer) => this.#onRead(bytes, buffer) },
    });
    this.socket.setNoDelay(true);
    this.socket.once('close', () => this.#letGo());
  }

  /** From now on a bulk flow may borrow. Not before login: the loans are few, and a stranger could take them all. */
  allowLarge(): void {
    this.#mayBorrow = true;
  }

  /** Hands the stream to the next step of the way (ident, then transport). */
  set consumer(consumer: ByteConsumer) {
    this.#consumer = consumer;
  }

  #onRead(bytes: number, buffer: Uint8Array): boolean {
    const lease = this.#lease;
    // Full reads tell of more to come; a read below a quarter tells that the flow has become small again.
    this.#wantLarge = lease === null ? bytes === buffer.length : bytes >= buffer.length / 4;
    const goOn = this.#consumer(Buffer.from(buffer.buffer, buffer.byteOffset, bytes), lease);
    // libuv reads one socket up to 32 times in a row: a hundred thousand small messages before anybody else is heard.
    if (!goOn) setImmediate(this.#resume);
    return goOn;
  }

  readonly #resume = (): void => {
    if (!this.socket.destroyed) this.socket.resume();
  };

  /** Node asks before the first read and after each one; what it gets stays in use until the next call. */
  #nextBuffer(): Uint8Array {
    const lease = this.#lease;
    if (lease !== null) {
      if (this.#wantLarge && !lease.isShared) return lease.buffer;
      this.#letGo(); // small again, or a write still refers to it: then it goes back when that write is done
    }
    if (this.#wantLarge && this.#mayBorrow) this.#lease = this.#buffers.borrowLarge();
    return this.#lease?.buffer ?? this.#buffers.smallRead;
  }

  #letGo(): void {
    this.#lease?.release();
    this.#lease = null;
  }
}
