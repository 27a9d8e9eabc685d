/** READER: the read side of one SSH socket.
 *  Owns which buffer the next read goes into: the worker's small shared one while little comes, a large one on loan while
 *  reads fill it. Promises its consumer bytes that are valid during the call, and longer only under a retained lease. */
import type { Socket } from 'node:net';
import { adoptHandle, type TcpHandle } from '../../shared/handles.js';
import type { Buffers, ReadLease } from './buffers.js';

/** `lease` is null when the bytes stand in the shared buffer and must be copied by whoever keeps them. */
export type ByteConsumer = (bytes: Buffer, lease: ReadLease | null) => void;

export class SocketReader {
  readonly socket: Socket;
  readonly #buffers: Buffers;
  #consumer: ByteConsumer;
  #lease: ReadLease | null = null;
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

  /** Hands the stream to the next step of the way (ident, then transport). */
  set consumer(consumer: ByteConsumer) {
    this.#consumer = consumer;
  }

  #onRead(bytes: number, buffer: Uint8Array): boolean {
    const lease = this.#lease;
    // Full reads tell of more to come; a read below a quarter tells that the flow has become small again.
    this.#wantLarge = lease === null ? bytes === buffer.length : bytes >= buffer.length / 4;
    this.#consumer(Buffer.from(buffer.buffer, buffer.byteOffset, bytes), lease);
    return true;
  }

  /** Node asks before the first read and after each one; what it gets stays in use until the next call. */
  #nextBuffer(): Uint8Array {
    const lease = this.#lease;
    if (lease !== null) {
      if (this.#wantLarge && !lease.isShared) return lease.buffer;
      this.#letGo(); // small again, or a write still refers to it: then it goes back when that write is done
    }
    if (this.#wantLarge) this.#lease = this.#buffers.borrowLarge();
    return this.#lease?.buffer ?? this.#buffers.smallRead;
  }

  #letGo(): void {
    this.#lease?.release();
    this.#lease = null;
  }
}
