/** OUTBOX: the write side of one SSH socket: packets sealed into a slab, one write per turn of the event loop.
 *  Owns the batch under way and the mark at which data has to wait. A slab goes back to the pool when the kernel has it. */
import type { Socket } from 'node:net';
import { writeQueueBytes } from '../../shared/handles.js';
import { MSG } from '../../shared/protocol.js';
import type { MemoryAccount } from '../memory.js';
import type { Buffers } from './buffers.js';
import { PACKET_HEADER_BYTES, PACKET_OVERHEAD_BYTES, type Sealer } from './sealer.js';
import type { Ssh2Cipher } from './ssh2.js';

/** Bytes queued on the SSH socket at which data stops being sealed, and at which it starts again. */
export const WRITE_HIGH_BYTES = 512 * 1024;
const WRITE_LOW_BYTES = 128 * 1024;
/** While memory is scarce a connection's part takes the place of the upper mark, but so much may always wait. */
const LEAST_HIGH_BYTES = 64 * 1024;
const LEAST_LOW_BYTES = 16 * 1024;
/** A batch up to this size is copied out of its slab, so that a stalled peer pins its bytes and not a whole slab. */
const SMALL_BATCH_BYTES = 8 * 1024;
/** `byte CHANNEL_DATA`, `uint32 recipient channel`, `uint32 length`. */
const DATA_HEADER_BYTES = 9;

type OutboxAccount = Pick<MemoryAccount, 'add' | 'took' | 'partBytes'>;

export class Outbox {
  readonly #socket: Socket;
  readonly #buffers: Buffers;
  readonly #account: OutboxAccount;
  readonly #onUnblocked: () => void;
  #cipher: Ssh2Cipher;
  #sealer: Sealer | null = null;
  /** The batch: sealed packets up to `#slabBytes`. */
  #slab: Buffer | null = null;
  #slabBytes = 0;
  #payloadAt = 0;
  #flushScheduled = false;
  #blocked = false;
  /** Of slabs on their way: what stands behind their batches. */
  #unusedBytes = 0;
  /** What the account was told. */
  #countedBytes = 0;

  /** @param onUnblocked the peer has read enough: data may be sealed again */
  constructor(socket: Socket, buffers: Buffers, account: OutboxAccount, cipher: Ssh2Cipher, onUnblocked: () => void) {
    this.#socket = socket;
    this.#buffers = buffers;
    this.#account = account;
    this.#cipher = cipher;
    this.#onUnblocked = onUnblocked;
    socket.on('drain', this.#onWritten); // for what ssh2 wrote by itself
  }

  /** New keys are in force. Without the native binding there is no sealer, and ssh2's own `encrypt` serves. */
  useKeys(cipher: Ssh2Cipher, sealer: Sealer | null): void {
    this.#cipher = cipher;
    this.#sealer = sealer;
  }

  /** Data has to wait: the peer does not read as fast as we seal. */
  get blocked(): boolean {
    return this.#blocked;
  }
  /** Bytes that wait for the peer to read them. */
  get queuedBytes(): number {
    return this.#socket.writableLength + this.#slabBytes;
  }
  /** Changes whenever the kernel has taken something. */
  get progress(): number {
    return this.#socket.bytesWritten - this.#socket.writableLength - writeQueueBytes(this.#socket);
  }

  append(payload: Uint8Array): void {
    const packet = this.#open(payload.length);
    packet.set(payload, this.#payloadAt);
    this.#seal(packet, payload.length);
    // Data for stderr comes this way too. (Without a mark for it, a peer that does not read would be cut for our writing.)
    this.#blockIfHigh();
  }

  /** CHANNEL_DATA straight from `source[start..end)` (RFC 4254 §5.2), with no copy but the one into the slab. */
  appendData(recipientChannel: number, source: Uint8Array, start: number, end: number): void {
    const bytes = end - start;
    const packet = this.#open(DATA_HEADER_BYTES + bytes);
    const at = this.#payloadAt;
    packet[at] = MSG.CHANNEL_DATA;
    packet.writeUInt32BE(recipientChannel, at + 1);
    packet.writeUInt32BE(bytes, at + 5);
    packet.set(start === 0 && end === source.length ? source : source.subarray(start, end), at + DATA_HEADER_BYTES);
    this.#seal(packet, DATA_HEADER_BYTES + bytes);
    this.#blockIfHigh();
  }

  get #isScarce(): boolean {
    return this.#account.partBytes !== Number.POSITIVE_INFINITY;
  }

  #blockIfHigh(): void {
    const bytes = this.queuedBytes;
    if (bytes < LEAST_HIGH_BYTES) return;
    if (bytes >= WRITE_HIGH_BYTES || bytes >= this.#account.partBytes) this.#blocked = true;
  }

  /** What ssh2 writes itself: the key exchange and, without the binding, everything. Our batch was sealed before it. */
  write(data: Buffer): void {
    this.flush();
    this.#socket.write(data);
    this.#count();
  }

  /** Writes the batch now: before anything that ssh2 encrypts by itself, and before the end. */
  flush(): void {
    const slab = this.#slab;
    if (slab === null) return;
    const bytes = this.#slabBytes;
    this.#slab = null;
    this.#slabBytes = 0;
    // Behind others it will wait: ten KiB a turn in slabs of 272 made a queue of 1.5 MiB one of ten.
    const isWaste = bytes <= slab.length / 2 && (this.#socket.writableLength > 0 || this.#isScarce);
    if (bytes <= SMALL_BATCH_BYTES || isWaste) {
      this.#socket.write(Buffer.from(slab.subarray(0, bytes)), this.#onWritten);
      this.#buffers.returnSlab(slab);
    } else {
      const unused = slab.length - bytes;
      this.#unusedBytes += unused;
      this.#socket.write(slab.subarray(0, bytes), () => {
        this.#unusedBytes -= unused;
        this.#buffers.returnSlab(slab);
        this.#onWritten();
      });
    }
    this.#count();
  }

  /** Tells the account what is held now: once a write and once for its end. */
  #count(): void {
    const before = this.#countedBytes;
    this.#countedBytes = this.#socket.writableLength + this.#unusedBytes;
    if (this.#countedBytes < before) this.#account.took(before - this.#countedBytes);
    else this.#account.add(this.#countedBytes - before);
  }

  /** Throws the batch away. */
  discard(): void {
    if (this.#slab !== null) this.#buffers.returnSlab(this.#slab);
    this.#slab = null;
    this.#slabBytes = 0;
  }

  /** Room for one packet at the end of the batch; its payload goes to `#payloadAt` of the buffer that is returned. */
  #open(payloadBytes: number): Buffer {
    this.#scheduleFlush();
    if (this.#sealer === null) {
      this.#payloadAt = PACKET_HEADER_BYTES;
      return this.#cipher.allocPacket(payloadBytes);
    }
    if (this.#slab !== null && this.#slab.length - this.#slabBytes < payloadBytes + PACKET_OVERHEAD_BYTES) this.flush();
    this.#slab ??= this.#buffers.borrowSlab();
    this.#payloadAt = this.#slabBytes + PACKET_HEADER_BYTES;
    return this.#slab;
  }

  #seal(packet: Buffer, payloadBytes: number): void {
    if (this.#sealer === null) this.#cipher.encrypt(packet);
    else this.#slabBytes = this.#sealer.seal(packet, this.#slabBytes, payloadBytes);
  }

  #scheduleFlush(): void {
    if (this.#flushScheduled) return;
    this.#flushScheduled = true;
    if (this.#sealer === null) this.#socket.cork(); // ssh2 writes each packet by itself, without its binding in pieces
    // Not process.nextTick: that runs after each socket's callback, and 64 answers that came in one turn were 64 writes.
    setImmediate(this.#onFlush);
  }

  readonly #onFlush = (): void => {
    this.#flushScheduled = false;
    this.#socket.uncork(); // counts from cork() only; without one it does nothing
    this.flush();
  };

  readonly #onWritten = (): void => {
    this.#count();
    if (!this.#blocked || this.queuedBytes > (this.#isScarce ? LEAST_LOW_BYTES : WRITE_LOW_BYTES)) return;
    this.#blocked = false;
    this.#onUnblocked();
  };
}
