/** READER: the read side of one SSH socket.
 *  Owns which buffer the next read goes into: the worker's small shared one while little comes, a large one on loan while
 *  reads fill it; and the bytes of a packet that has come in part, which the next read stands behind. Promises its consumer
 *  bytes that are valid during the call, and longer only under a retained lease. */
import type { Socket } from 'node:net';
import { adoptHandle, type TcpHandle } from '../../shared/handles.js';
import { type Buffers, type ReadLease, SMALL_READ_BYTES } from './buffers.js';
import type { TurnShare } from './turns.js';

/** `lease` is null when the bytes stand in the shared buffer and must be copied by whoever keeps them.
 *  @returns false to let others have their turn of the event loop before the next read */
export type ByteConsumer = (bytes: Buffer, lease: ReadLease | null) => boolean;

/** Room for a packet of unknown length: of its four bytes of length less have come. */
const UNKNOWN_PACKET_BYTES = 256;

export class SocketReader {
  readonly socket: Socket;
  readonly #buffers: Buffers;
  readonly #turn: TurnShare;
  #consumer: ByteConsumer;
  #lease: ReadLease | null = null;
  #mayBorrow = false;
  #wantLarge = false;
  #wantSmall = false;
  /** The read under way is a small one in a loan. */
  #isSmall = false;
  /** What the consumer was given last. */
  #read: Buffer = EMPTY;
  /** So many bytes at its end are to stand before the next read. */
  #carriedBytes = 0;
  #wantedBytes = 0;
  /** For a packet in pieces on a connection that has no loan. */
  #own: Buffer | null = null;

  /** Starts reading at once. The caller must have an 'error' listener on `socket` before this tick ends. */
  constructor(handle: TcpHandle, buffers: Buffers, consumer: ByteConsumer) {
    this.#buffers = buffers;
    this.#turn = buffers.turns.share();
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

  /** The next read is a small one, however much waits: what came costs by the number of its packets and not by their bytes. To
   *  be said within the consumer's call. A loan is kept: without one the read behind a packet in part is no longer than that packet. */
  readSmall(): void {
    this.#wantSmall = true;
  }

  /** The last `bytes` of what the consumer has been given begin a packet of `wantedBytes` (0 = not known yet): it gets them
   *  again, before those of the next read. To be said within the consumer's call. */
  carry(bytes: number, wantedBytes: number): void {
    this.#carriedBytes = bytes;
    this.#wantedBytes = wantedBytes;
  }

  #onRead(bytes: number, buffer: Uint8Array): boolean {
    const lease = this.#lease;
    const carried = this.#carriedBytes;
    this.#carriedBytes = 0;
    this.#read = Buffer.from(buffer.buffer, buffer.byteOffset - carried, carried + bytes);
    // Full reads tell of more to come; a read below a quarter tells that the flow has become small again.
    const isFull = bytes === buffer.length;
    this.#wantLarge =
      lease === null
        ? isFull && this.#read.length >= SMALL_READ_BYTES
        : this.#read.length >= lease.buffer.length / 4 || (this.#isSmall && isFull);
    const mayGoOn = this.#consumer(this.#read, lease);
    if (!this.#turn.isUsedUp(bytes) && mayGoOn) return true;
    this.#turn.wait(this.#resume);
    return false;
  }

  readonly #resume = (): void => {
    if (!this.socket.destroyed) this.socket.resume();
  };

  /** Node asks before the first read and after each one; what it gets stays in use until the next call. */
  #nextBuffer(): Uint8Array {
    const before = this.#lease;
    const staysLent = before !== null && this.#wantLarge && !before.isShared;
    const lease = staysLent ? before : this.#wantLarge && this.#mayBorrow ? this.#buffers.borrowLarge() : null;
    const buffer = this.#behindCarried(lease);
    this.#lease = lease;
    // Small again, or a write still refers to it: then it goes back when that write is done.
    if (!staysLent) before?.release();
    this.#isSmall = this.#wantSmall && lease !== null;
    this.#wantSmall = false;
    return this.#isSmall ? buffer.subarray(0, SMALL_READ_BYTES) : buffer;
  }

  /** The room for the next read, with what is carried before it. */
  #behindCarried(lease: ReadLease | null): Uint8Array {
    const bytes = this.#carriedBytes;
    const read = this.#read;
    this.#read = EMPTY;
    if (bytes === 0) {
      this.#own = null;
      return lease?.buffer ?? this.#buffers.smallRead;
    }
    const buffer = lease?.buffer ?? this.#ownFor(bytes);
    this.#own = lease === null ? buffer : null;
    // They may stand there already: a packet that comes byte by byte is not copied byte by byte.
    const carried = read.subarray(read.length - bytes);
    if (carried.buffer !== buffer.buffer || carried.byteOffset !== buffer.byteOffset) buffer.set(carried);
    return buffer.subarray(bytes);
  }

  /** Costs the packet's length once, while it comes. */
  #ownFor(carriedBytes: number): Buffer {
    const needed = Math.max(this.#wantedBytes, carriedBytes + 1);
    if (this.#own !== null && this.#own.length >= needed) return this.#own;
    return Buffer.allocUnsafeSlow(Math.max(this.#wantedBytes, carriedBytes + UNKNOWN_PACKET_BYTES));
  }

  #letGo(): void {
    this.#lease?.release();
    this.#lease = null;
    this.#own = null;
    this.#read = EMPTY;
  }
}

const EMPTY = Buffer.alloc(0);
