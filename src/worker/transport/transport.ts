/** TRANSPORT: RFC 4253 for one connection, driven through ssh2's `Protocol`: key exchange, ciphers, packets.
 *  Owns the SSH socket, the sealing of what we send and the queue while keys are exchanged. Above it only payloads are
 *  known. Promises `onClose` exactly once, no payload after it, and never throws on a peer's bytes. */
import type { Socket } from 'node:net';
import type { CloseReason } from '../../shared/errors.js';
import { reasonOf } from '../../shared/errors.js';
import { writeQueueBytes } from '../../shared/handles.js';
import { DISCONNECT, type DisconnectReason, MSG, message } from '../../shared/protocol.js';
import { isTerrapinExposed, USER_SIGNATURE_ALGORITHMS } from './algorithms.js';
import type { Buffers, ReadLease } from './buffers.js';
import type { HostKeys } from './host_key.js';
import type { SocketReader } from './reader.js';
import { makeSealer, PACKET_HEADER_BYTES, PACKET_OVERHEAD_BYTES, type Sealer } from './sealer.js';
import type { Negotiated, ParseStep, Ssh2, Ssh2Protocol } from './ssh2.js';

/** What follows `SSH-2.0-` in our identification (RFC 4253 §4.2): constant, no version to look up holes by. */
export const SERVER_SOFTWARE = 'Sallyport';

/** Bytes queued on the SSH socket at which data stops being sealed, and at which it starts again. */
const WRITE_HIGH_BYTES = 512 * 1024;
const WRITE_LOW_BYTES = 128 * 1024;
/** Bytes of control messages that may wait (unread socket, or a key exchange under way) before the peer is cut. */
const MAX_CONTROL_BYTES = 1024 * 1024;
/** A batch up to this size is copied out of its slab, so that a stalled peer pins its bytes and not a whole slab. */
const SMALL_BATCH_BYTES = 8 * 1024;
/** After `disconnect` the peer gets this long to read it (ssh2 would leave the descriptor open for ever). */
const LINGER_MS = 2_000;
/** RFC 4253 §9 leaves the pace of re-keying open; a key exchange costs us 0.2 ms, so idle re-keying is bounded. */
const MIN_BYTES_BETWEEN_REKEYS = 64 * 1024;
const MAX_IDLE_REKEYS = 10;
/** RFC 4344 §3.1: packets under one key, either way. */
const MAX_PACKETS_PER_KEY = 2 ** 31;

export interface TransportHandlers {
  /** The first key exchange is done: payloads follow. */
  onReady(negotiated: Negotiated): void;
  /** One decrypted payload (never empty), valid during the call; `lease` lets it live longer (buffers.ts). */
  onPayload(payload: Buffer, lease: ReadLease | null): void;
  /** All payloads of one read have been handed over. */
  onReadEnd(): void;
  /** `writable` has become true again. */
  onWritable(): void;
  onClose(reason: CloseReason, detail: string): void;
}

export interface TransportOptions {
  readonly ssh2: Ssh2;
  readonly offer: object;
  readonly hostKeys: HostKeys;
  readonly buffers: Buffers;
  readonly rekey: { readonly bytes: number; readonly timeMs: number };
  /** Deadline of each key exchange. */
  readonly kexTimeoutMs: number;
  /** Monotonic milliseconds. */
  now(): number;
}

export class Transport {
  readonly #socket: Socket;
  readonly #reader: SocketReader;
  readonly #options: TransportOptions;
  readonly #handlers: TransportHandlers;
  readonly #protocol: Ssh2Protocol;
  readonly #ssh2OnPayload: (payload: Buffer) => ParseStep;
  #sealer: Sealer | null = null;
  #keyed = false;
  #authenticated = false;
  #closed = false;
  /** Of the read that is being parsed. */
  #lease: ReadLease | null = null;

  /** The batch under way: sealed packets up to `#slabBytes`. */
  #slab: Buffer | null = null;
  #slabBytes = 0;
  #payloadAt = 0;
  #flushScheduled = false;
  #blocked = false;
  /** Payloads that wait for the end of a key exchange (RFC 4253 §7.1 forbids sending them within). */
  #held: Buffer[] = [];
  #heldBytes = 0;

  #bytesSinceKeys = 0;
  #packetsSinceKeys = 0;
  #keysAtMs: number;
  #idleRekeys = 0;
  #kexTimer: NodeJS.Timeout | null;

  constructor(reader: SocketReader, options: TransportOptions, handlers: TransportHandlers) {
    this.#reader = reader;
    this.#socket = reader.socket;
    this.#options = options;
    this.#handlers = handlers;
    this.#keysAtMs = options.now();
    this.#protocol = new options.ssh2.Protocol({
      server: true,
      ident: SERVER_SOFTWARE,
      hostKeys: options.hostKeys.byAlgorithm,
      offer: options.offer,
      onWrite: (data) => this.#onSsh2Write(data),
      onError: (error) => this.#fail(this.#keyed ? 'PROTOCOL_ERROR' : 'KEX_FAILED', error.message),
      messageHandlers: {
        DISCONNECT: (_protocol, reason, text) => this.#fail('PEER_DISCONNECTED', `${reason} ${text}`),
      },
    });
    // All payloads behind the key exchange come to us unparsed: ssh2's own parsers answer unknown methods with a
    // disconnect, and two of them can be made to throw before login (DECISIONS 2).
    this.#ssh2OnPayload = this.#protocol._onPayload;
    this.#protocol._onPayload = (payload) => this.#onPayload(payload);
    this.#protocol._onHandshakeComplete = (negotiated) => this.#onKeys(negotiated);

    this.#kexTimer = setTimeout(() => this.#fail('KEX_TIMEOUT', 'key exchange took too long'), options.kexTimeoutMs);
    this.#socket.on('close', () => this.#fail('PEER_CLOSED', ''));
    this.#socket.on('end', () => this.#fail('PEER_CLOSED', ''));
    this.#socket.on('error', (error) => this.#fail('PEER_CLOSED', error.message));
    this.#socket.on('drain', this.#onSocketWritten);
  }

  /** Goes on where intake ended, which has sent our ident: the peer's line with its line end, then whatever came behind
   *  it. (ssh2's own reading of idents loses bytes when one comes in three pieces.) */
  start(identLine: Buffer, rest: Buffer): void {
    this.#reader.consumer = (bytes, lease) => this.#onBytes(bytes, lease);
    this.#onBytes(identLine, null);
    if (rest.length > 0) this.#onBytes(rest, null);
  }

  /** The exchange hash of the first key exchange (RFC 4253 §7.2). Only after `onReady`. */
  get sessionId(): Buffer {
    return this.#protocol._kex?.sessionID ?? EMPTY;
  }
  get isClosed(): boolean {
    return this.#closed;
  }
  /** May channel data be sealed now? False within a key exchange and while the peer reads too slowly. */
  get writable(): boolean {
    return !this.#closed && !this.#blocked && this.#protocol._kexinit === undefined;
  }
  /** Bytes that wait for the peer to read them. */
  get queuedBytes(): number {
    return this.#socket.writableLength + this.#slabBytes + this.#heldBytes;
  }
  /** Changes whenever the peer has read something; for the watch on stalled peers. */
  get writeProgress(): number {
    return this.#socket.bytesWritten - this.#socket.writableLength - writeQueueBytes(this.#socket);
  }
  /** From now on the peer may re-key. */
  setAuthenticated(): void {
    this.#authenticated = true;
  }

  /** Sends one control message, in order, with the batch of this turn. A peer that lets too much of them pile up is cut. */
  send(payload: Uint8Array): void {
    if (this.#closed) return;
    if (this.#protocol._kexinit !== undefined) {
      this.#held.push(Buffer.from(payload));
      this.#heldBytes += payload.length;
    } else {
      const packet = this.#openPacket(payload.length);
      packet.set(payload, this.#payloadAt);
      this.#sealPacket(packet, payload.length);
    }
    if (this.queuedBytes > WRITE_HIGH_BYTES + MAX_CONTROL_BYTES) this.#fail('OVERFLOW', 'the peer does not read');
  }

  /** Seals CHANNEL_DATA straight from `source` into the batch (RFC 4254 §5.2). Only while `writable`. */
  sendData(recipientChannel: number, source: Uint8Array, start: number, end: number): void {
    const bytes = end - start;
    const payloadBytes = DATA_HEADER_BYTES + bytes;
    const packet = this.#openPacket(payloadBytes);
    const at = this.#payloadAt;
    packet[at] = MSG.CHANNEL_DATA;
    packet.writeUInt32BE(recipientChannel, at + 1);
    packet.writeUInt32BE(bytes, at + 5);
    packet.set(start === 0 && end === source.length ? source : source.subarray(start, end), at + DATA_HEADER_BYTES);
    this.#sealPacket(packet, payloadBytes);
    if (this.#slabBytes + this.#socket.writableLength >= WRITE_HIGH_BYTES) this.#blocked = true;
  }

  /** RFC 4253 §11.4, for the message being handled. */
  sendUnimplemented(): void {
    const sequence = ((this.#protocol._decipher?.inSeqno ?? 1) - 1) >>> 0;
    this.send(message(MSG.UNIMPLEMENTED, sequence));
  }

  /** Begins a key exchange where one is due; called now and then by the connection's timer. */
  rekeyIfDue(): void {
    if (this.#closed || !this.#keyed || this.#protocol._kexinit !== undefined) return;
    const { bytes, timeMs } = this.#options.rekey;
    const due =
      (bytes > 0 && this.#bytesSinceKeys >= bytes) ||
      (timeMs > 0 && this.#options.now() - this.#keysAtMs >= timeMs) ||
      this.#packetsSinceKeys >= MAX_PACKETS_PER_KEY;
    if (!due) return;
    this.#flush();
    this.#protocol.rekey();
    this.#armKexTimer();
  }

  /** Says why, then closes: RFC 4253 §11.1. `text` is for the peer and stays terse. */
  disconnect(reason: DisconnectReason, text: string, closeReason: CloseReason, detail: string = text): void {
    if (this.#closed) return;
    const payload = message(MSG.DISCONNECT, reason, text, '');
    try {
      // Past the batch and past a key exchange: DISCONNECT may be sent at any time.
      this.#flush();
      const packet = this.#protocol._cipher.allocPacket(payload.length);
      packet.set(payload, PACKET_HEADER_BYTES);
      this.#protocol._cipher.encrypt(packet);
    } catch {
      // Without keys there is nobody to tell; the close below says enough.
    }
    this.#fail(closeReason, detail);
  }

  /** Ends the connection at once with a reset: nothing that is still queued is delivered. */
  abort(reason: CloseReason, detail = ''): void {
    if (this.#closed) return;
    this.#fail(reason, detail);
    this.#socket.resetAndDestroy();
  }

  // --- receiving ---------------------------------------------------------------------------------------------------

  #onBytes(bytes: Buffer, lease: ReadLease | null): void {
    if (this.#closed) return;
    this.#bytesSinceKeys += bytes.length;
    this.#lease = lease;
    try {
      // The first key exchange keeps slices of what it parsed (the peer's KEXINIT, its public key) until its end.
      this.#protocol.parse(this.#keyed ? bytes : Buffer.from(bytes), 0, bytes.length);
      this.#keepPartialPacket(bytes);
    } catch (error) {
      const closeReason = this.#keyed ? 'PROTOCOL_ERROR' : 'KEX_FAILED';
      this.disconnect(DISCONNECT.PROTOCOL_ERROR, 'protocol error', closeReason, reasonOf(error));
    }
    this.#lease = null;
    if (this.#closed) return;
    this.#handlers.onReadEnd();
    if (this.#bytesSinceKeys >= this.#options.rekey.bytes) this.rekeyIfDue();
  }

  /** A packet that lies whole in this read, but whose tag does not, is kept by ssh2 as a view of our buffer. */
  #keepPartialPacket(bytes: Buffer): void {
    const decipher = this.#protocol._decipher;
    const packet = decipher?._packet;
    if (decipher && packet && packet.buffer === bytes.buffer) decipher._packet = Buffer.from(packet);
  }

  #onPayload(payload: Buffer): ParseStep {
    if (this.#closed) return Number.POSITIVE_INFINITY;
    const type = payload[0];
    this.#packetsSinceKeys++;
    switch (type) {
      case undefined: // an empty payload: RFC 4253 §6 allows no such message, ssh2 passes it over
      case MSG.IGNORE:
      case MSG.UNIMPLEMENTED:
      case MSG.DEBUG:
      case MSG.EXT_INFO: // RFC 8308 §2.5: extensions that we do not know are ignored, and we need none of a client's
        return undefined;
      case MSG.DISCONNECT:
        return this.#ssh2OnPayload(payload);
      case MSG.KEXINIT:
        return this.#onPeerKexInit(payload);
      default:
        if (type < 50 && type !== MSG.SERVICE_REQUEST && type !== MSG.SERVICE_ACCEPT)
          this.disconnect(DISCONNECT.PROTOCOL_ERROR, 'unexpected message', 'PROTOCOL_ERROR');
        else this.#handlers.onPayload(payload, this.#lease);
        return this.#closed ? Number.POSITIVE_INFINITY : undefined;
    }
  }

  #onPeerKexInit(payload: Buffer): ParseStep {
    if (!this.#authenticated) {
      // Each exchange costs a signature; before login there is no honest need for a second one.
      this.disconnect(DISCONNECT.PROTOCOL_ERROR, 'too early to re-key', 'PROTOCOL_ERROR');
      return Number.POSITIVE_INFINITY;
    }
    this.#idleRekeys = this.#bytesSinceKeys < MIN_BYTES_BETWEEN_REKEYS ? this.#idleRekeys + 1 : 0;
    if (this.#idleRekeys > MAX_IDLE_REKEYS) {
      this.disconnect(DISCONNECT.PROTOCOL_ERROR, 'too many key exchanges', 'PROTOCOL_ERROR');
      return Number.POSITIVE_INFINITY;
    }
    this.#flush(); // what is sealed under the old keys goes out before our KEXINIT does
    this.#armKexTimer();
    return this.#ssh2OnPayload(Buffer.from(payload)); // kept until the exchange hash is made
  }

  /** NEWKEYS went both ways: the new cipher is in force. */
  #onKeys(negotiated: Negotiated): void {
    if (this.#kexTimer) clearTimeout(this.#kexTimer);
    this.#kexTimer = null;
    const first = !this.#keyed;
    const strict = this.#protocol._strictMode === true;
    this.#sealer = makeSealer(this.#protocol._cipher, negotiated);
    if (isTerrapinExposed(negotiated.cs.cipher, strict) || isTerrapinExposed(negotiated.sc.cipher, strict)) {
      this.disconnect(DISCONNECT.KEY_EXCHANGE_FAILED, 'chacha20-poly1305 needs strict key exchange', 'KEX_FAILED');
      return;
    }
    this.#keyed = true;
    this.#bytesSinceKeys = 0;
    this.#packetsSinceKeys = 0;
    this.#keysAtMs = this.#options.now();
    // RFC 8308 §2.4: EXT_INFO is the first message behind our first NEWKEYS, or is not sent.
    if (first && this.#protocol._kex?.remoteExtInfoEnabled)
      this.send(message(MSG.EXT_INFO, 1, 'server-sig-algs', USER_SIGNATURE_ALGORITHMS.join(',')));
    const held = this.#held;
    this.#held = [];
    this.#heldBytes = 0;
    for (const payload of held) this.send(payload);
    if (first) this.#handlers.onReady(negotiated);
    else if (this.writable) this.#handlers.onWritable();
  }

  #armKexTimer(): void {
    this.#kexTimer ??= setTimeout(
      () => this.#fail('KEX_TIMEOUT', 'key exchange took too long'),
      this.#options.kexTimeoutMs,
    );
  }

  // --- sending -----------------------------------------------------------------------------------------------------

  /** Room for one packet at the end of the batch; its payload goes to `#payloadAt` of the buffer that is returned. */
  #openPacket(payloadBytes: number): Buffer {
    this.#scheduleFlush();
    if (this.#sealer === null) {
      // No native binding (or no keys yet): ssh2 allocates and writes each packet; cork keeps that to one write a turn.
      this.#payloadAt = PACKET_HEADER_BYTES;
      return this.#protocol._cipher.allocPacket(payloadBytes);
    }
    if (this.#slab !== null && this.#slab.length - this.#slabBytes < payloadBytes + PACKET_OVERHEAD_BYTES)
      this.#flush();
    this.#slab ??= this.#options.buffers.borrowSlab();
    this.#payloadAt = this.#slabBytes + PACKET_HEADER_BYTES;
    return this.#slab;
  }

  #sealPacket(packet: Buffer, payloadBytes: number): void {
    this.#bytesSinceKeys += payloadBytes;
    this.#packetsSinceKeys++;
    if (this.#sealer === null) this.#protocol._cipher.encrypt(packet);
    else this.#slabBytes = this.#sealer.seal(packet, this.#slabBytes, payloadBytes);
  }

  /** One write per turn of the event loop, however many packets it made. */
  #scheduleFlush(): void {
    if (this.#flushScheduled) return;
    this.#flushScheduled = true;
    if (this.#sealer === null) this.#socket.cork();
    process.nextTick(this.#onFlush);
  }

  readonly #onFlush = (): void => {
    this.#flushScheduled = false;
    this.#socket.uncork(); // counts from cork() only; without one it does nothing
    this.#flush();
  };

  #flush(): void {
    const slab = this.#slab;
    if (slab === null) return;
    const bytes = this.#slabBytes;
    this.#slab = null;
    this.#slabBytes = 0;
    if (bytes <= SMALL_BATCH_BYTES) {
      this.#socket.write(Buffer.from(slab.subarray(0, bytes)), this.#onSocketWritten);
      this.#options.buffers.returnSlab(slab);
      return;
    }
    this.#socket.write(slab.subarray(0, bytes), () => {
      this.#options.buffers.returnSlab(slab);
      this.#onSocketWritten();
    });
  }

  readonly #onSocketWritten = (): void => {
    if (!this.#blocked || this.#closed || this.#socket.writableLength + this.#slabBytes > WRITE_LOW_BYTES) return;
    this.#blocked = false;
    if (this.writable) this.#handlers.onWritable();
  };

  /** ssh2 writes ident, key exchange and, without the binding, everything. Order: our batch first. */
  #onSsh2Write(data: Buffer): void {
    this.#flush();
    this.#socket.write(data);
  }

  // --- the end -----------------------------------------------------------------------------------------------------

  #fail(reason: CloseReason, detail: string): void {
    if (this.#closed) return;
    this.#flush();
    this.#closed = true;
    if (this.#kexTimer) clearTimeout(this.#kexTimer);
    this.#held = [];
    this.#heldBytes = 0;
    this.#reader.consumer = () => {};
    if (!this.#socket.destroyed) {
      this.#socket.uncork();
      if (reason === 'PEER_CLOSED') this.#socket.destroy();
      else {
        // What was said last gets its chance to arrive; a peer that does not read it is not waited for.
        this.#socket.end();
        setTimeout(() => this.#socket.destroy(), LINGER_MS).unref();
      }
    }
    setImmediate(() => this.#protocol.cleanup()); // not while its parser is on the stack
    this.#handlers.onClose(reason, detail);
  }
}

const EMPTY = Buffer.alloc(0);
/** `byte CHANNEL_DATA`, `uint32 recipient channel`, `uint32 length`. */
const DATA_HEADER_BYTES = 9;
