/** TRANSPORT: RFC 4253 for one connection, driven through ssh2's `Protocol`: key exchange, ciphers, packets.
 *  Owns the SSH socket's life, the state of the key exchange and what has to wait for its end. Above it only payloads are
 *  known. Promises `onClose` exactly once, no payload after it, and never throws on a peer's bytes. */
import type { Socket } from 'node:net';
import type { CloseReason } from '../../shared/errors.js';
import { reasonOf } from '../../shared/errors.js';
import { resetSocket } from '../../shared/handles.js';
import { DISCONNECT, type DisconnectReason, MSG, message, WireReader } from '../../shared/protocol.js';
import type { MemoryAccount } from '../memory.js';
import { isTerrapinExposed } from './algorithms.js';
import type { Buffers, ReadLease } from './buffers.js';
import { ExchangeDeadline } from './exchange_deadline.js';
import { Exchanges } from './exchanges.js';
import { Hold } from './hold.js';
import type { HostKeys, RsaAlgorithm } from './host_key.js';
import { SERVER_IDENT, softwareOf } from './ident.js';
import { KeyAge, type RekeyLimits } from './key_age.js';
import type { MlKem } from './ml_kem.js';
import { Outbox, WRITE_HIGH_BYTES } from './outbox.js';
import type { SocketReader } from './reader.js';
import { makeSealer, PACKET_HEADER_BYTES } from './sealer.js';
import {
  forgetExchange,
  isBetweenKeys,
  type Negotiated,
  type ParseStep,
  type Ssh2,
  type Ssh2KexInit,
  type Ssh2Protocol,
} from './ssh2.js';
import { makeUnsealer, type Unsealer } from './unsealer.js';
import { isCareless, within } from './within_exchange.js';

/** Bytes of control messages that may wait (unread socket, or a key exchange under way) before the peer is cut. */
const MAX_CONTROL_BYTES = 1024 * 1024;
/** Messages of one connection after which the event loop turns: small ones get here within one read, a hundred thousand before
 *  anybody else is heard. Bulk data gives way by its bytes (turns.ts). */
const MESSAGES_PER_YIELD = 256;
/** A read whose messages are smaller, on average, is not followed by a large one: 256 KiB may hold nine thousand. Ten connections of one
 *  user that sent such had an echo beside them take three quarters of a second. */
const SMALL_MESSAGE_BYTES = 256;
/** Both ways, IGNORE and DEBUG among them. A login with a dozen keys takes some sixty. */
const MAX_PACKETS_BEFORE_LOGIN = 400;
/** What a peer may say before there are keys. KEXINIT and a guess may take 35 KB each; behind them strict key exchange allows
 *  nothing else, but without it IGNORE is passed over, for as long as the deadline allows. */
const MAX_BYTES_BEFORE_KEYS = 128 * 1024;
/** What is encrypted beside a payload, at most: header and padding (RFC 4253 §6), and the head of CHANNEL_DATA. */
const SEALED_BESIDE_BYTES = PACKET_HEADER_BYTES + 19;
const SEALED_BESIDE_DATA_BYTES = SEALED_BESIDE_BYTES + 9;
/** After `disconnect` the peer gets this long to read it (ssh2 would leave the descriptor open for ever). */
const LINGER_MS = 2_000;

/** OpenSSH PROTOCOL §1.9: an extension and its version. */
const PING = ['ping@openssh.com', '0'] as const;

/** What becomes of the socket: `linger` lets what was said last arrive, `reset` throws it away, `close` is for a peer that
 *  has gone. */
type Parting = 'linger' | 'reset' | 'close';

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
  readonly offer: Ssh2KexInit;
  /** The names of key exchanges in it. */
  readonly kex: readonly string[];
  /** Null only where `kex` has no hybrid. */
  readonly mlKem: MlKem | null;
  readonly hostKeys: HostKeys;
  readonly buffers: Buffers;
  /** What a user's key may sign with, for `server-sig-algs` (RFC 8308 §3.1). ssh2's own list lacks a comma and advertises
   *  SHA-1; this one replaces it. */
  readonly userSignatureAlgorithms: readonly string[];
  readonly rekey: RekeyLimits;
  /** For a peer's part of a key exchange (exchange_deadline.ts): of the first one, and of each later one. */
  readonly firstKexTimeoutMs: number;
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
  readonly #exchanges: Exchanges;
  readonly #outbox: Outbox;
  /** In the place of ssh2's decipher, where the cipher allows it. */
  #unsealer: Unsealer | null = null;
  readonly #keyAge: KeyAge;
  #keyed = false;
  #authenticated = false;
  #closed = false;
  /** Of the read that is being parsed. */
  #lease: ReadLease | null = null;
  #messagesSinceYield = 0;
  /** Of a packet in part, at the end of the last read. */
  #carriedBytes = 0;
  #bytesBeforeKeys = 0;
  readonly #hold: Hold;
  #careless = false;
  readonly #deadline: ExchangeDeadline;

  /** @param account where this connection's bytes are counted */
  constructor(reader: SocketReader, account: MemoryAccount, options: TransportOptions, handlers: TransportHandlers) {
    this.#reader = reader;
    this.#socket = reader.socket;
    this.#hold = new Hold(account);
    this.#options = options;
    this.#handlers = handlers;
    this.#keyAge = new KeyAge(options.rekey, options.now());
    this.#protocol = new options.ssh2.Protocol({
      server: true,
      hostKeys: options.hostKeys.byAlgorithm,
      offer: options.offer,
      onWrite: (data) => this.#outbox.write(data),
      onError: (error) => this.#fail(this.#keyed ? 'PROTOCOL_ERROR' : 'KEX_FAILED', error.message),
      messageHandlers: {
        DISCONNECT: (_protocol, reason, text) => this.#fail('PEER_DISCONNECTED', `${reason} ${text}`),
      },
    });
    this.#exchanges = new Exchanges(this.#protocol, options.kex, options.hostKeys, options.mlKem);
    this.#protocol._identRaw = SERVER_IDENT; // given as an option, each connection would hold slices of Node's pool for it
    // All payloads behind the key exchange come to us unparsed: ssh2's own parsers answer unknown methods with a
    // disconnect, and two of them can be made to throw before login (DECISIONS 2).
    this.#ssh2OnPayload = this.#protocol._onPayload;
    this.#protocol._onPayload = (payload) => this.#onPayload(payload);
    this.#protocol._onHandshakeComplete = (negotiated) => this.#onKeys(negotiated);

    this.#socket.on('close', () => this.#fail('PEER_CLOSED', ''));
    this.#socket.on('end', () => this.#fail('PEER_CLOSED', ''));
    this.#socket.on('error', (error) => this.#fail('PEER_CLOSED', error.message));
    this.#outbox = new Outbox(this.#socket, options.buffers, account, this.#protocol._cipher, () => {
      if (this.writable) handlers.onWritable();
    });
    this.#deadline = new ExchangeDeadline({
      queue: this.#outbox,
      now: options.now,
      onExpired: () => this.disconnect(DISCONNECT.KEY_EXCHANGE_FAILED, 'key exchange took too long', 'KEX_TIMEOUT'),
    });
    this.#deadline.start(options.firstKexTimeoutMs, false); // whoever is not logged in has no patience to ask for
  }

  /** Goes on where intake ended, which has sent our ident: the peer's line with its line end, then whatever came behind
   *  it. (ssh2's own reading of idents loses bytes when one comes in three pieces.) */
  start(identLine: Buffer, rest: Buffer): void {
    this.#reader.consumer = (bytes, lease) => this.#onBytes(bytes, lease);
    this.#careless = isCareless(softwareOf(identLine.toString('latin1')));
    this.#onBytes(identLine, null);
    this.#exchanges.readFirstOf(this.#protocol);
    if (rest.length > 0) this.#onBytes(rest, null);
  }

  /** The exchange hash of the first key exchange (RFC 4253 §7.2). Only after `onReady`. */
  get sessionId(): Buffer {
    return this.#protocol._kex?.sessionID ?? EMPTY;
  }
  /** What an RSA host key signs with for this peer. Only after `onReady`. */
  get rsaAlgorithm(): RsaAlgorithm {
    return this.#exchanges.rsaAlgorithm;
  }
  /** Has a key exchange begun, and not ended? It has a deadline of its own, and nothing that we say meanwhile reaches the peer. */
  get isExchanging(): boolean {
    return this.#protocol._kexinit !== undefined;
  }
  /** May channel data be sealed now? False within a key exchange and while the peer reads too slowly. */
  get writable(): boolean {
    return !this.#closed && !this.#outbox.blocked && !this.isExchanging;
  }
  /** Bytes that wait for the peer to read them. */
  get queuedBytes(): number {
    return this.#outbox.queuedBytes + this.#hold.bytes;
  }
  /** Changes whenever the peer has read something; for the watch on stalled peers. */
  get writeProgress(): number {
    return this.#outbox.progress;
  }
  /** From now on the peer may re-key, and a bulk flow may borrow memory. */
  setAuthenticated(): void {
    this.#authenticated = true;
    this.#reader.allowLarge();
  }

  /** Sends one control message, in order, with the batch of this turn. A peer that lets too much of them pile up is cut. */
  send(payload: Uint8Array): void {
    if (this.#closed) return;
    if (this.isExchanging) this.#hold.keep(payload);
    else {
      this.#keyAge.countSent(payload.length + SEALED_BESIDE_BYTES);
      this.#outbox.append(payload);
      if (this.#keyAge.isWorn) this.rekeyIfDue(); // as with data
    }
    if (this.queuedBytes > WRITE_HIGH_BYTES + MAX_CONTROL_BYTES) this.#fail('OVERFLOW', 'the peer does not read');
  }

  /** Seals CHANNEL_DATA straight from `source` into the batch (RFC 4254 §5.2). Only while `writable`. */
  sendData(recipientChannel: number, source: Uint8Array, start: number, end: number): void {
    this.#keyAge.countSent(end - start + SEALED_BESIDE_DATA_BYTES);
    this.#outbox.appendData(recipientChannel, source, start, end);
    if (this.#keyAge.isWorn) this.rekeyIfDue(); // a peer that only downloads may say nothing for long
  }

  /** RFC 4253 §11.4, for the message being handled. */
  sendUnimplemented(): void {
    const sequence = ((this.#protocol._decipher?.inSeqno ?? 1) - 1) >>> 0;
    this.send(message(MSG.UNIMPLEMENTED, sequence));
  }

  /** Begins a key exchange where one is due; called now and then by the connection's timer. */
  rekeyIfDue(): void {
    // Not before login: the peer's answer would be refused like any KEXINIT then.
    if (this.#closed || !this.#authenticated || this.isExchanging) return;
    if (!this.#keyAge.isDue(this.#options.now())) return;
    this.#outbox.flush();
    this.#protocol.rekey();
    this.#deadline.start(this.#options.kexTimeoutMs, true);
  }

  /** Says why, then closes: RFC 4253 §11.1. `text` is for the peer and stays terse. */
  disconnect(reason: DisconnectReason, text: string, closeReason: CloseReason, detail: string = text): void {
    if (this.#closed) return;
    // A person who looks at our host key for longer than the grace time would read of a corrupted packet.
    if (!isBetweenKeys(this.#protocol)) this.#sayAtOnce(message(MSG.DISCONNECT, reason, text, ''));
    this.#fail(closeReason, detail);
  }

  /** Past a key exchange that is under way, within which DISCONNECT may be sent (RFC 4253 §7.1). */
  #sayAtOnce(payload: Buffer): void {
    try {
      this.#outbox.flush();
      const packet = this.#protocol._cipher.allocPacket(payload.length);
      packet.set(payload, PACKET_HEADER_BYTES);
      this.#protocol._cipher.encrypt(packet);
    } catch {
      // Without keys there is nobody to tell; the close says enough.
    }
  }

  /** Ends the connection at once with a reset: nothing that is still queued is delivered. */
  abort(reason: CloseReason, detail = ''): void {
    this.#fail(reason, detail, 'reset');
  }

  // --- receiving ---------------------------------------------------------------------------------------------------

  /** @returns false when so many messages came that others should have their turn */
  #onBytes(bytes: Buffer, lease: ReadLease | null): boolean {
    if (this.#closed) return true;
    const newBytes = bytes.length - this.#carriedBytes; // the others were counted with the read before
    this.#carriedBytes = 0;
    if (!this.#keyed) this.#bytesBeforeKeys += newBytes;
    this.#deadline.heard();
    if (this.#bytesBeforeKeys > MAX_BYTES_BEFORE_KEYS && !this.#keyed) {
      this.disconnect(DISCONNECT.PROTOCOL_ERROR, 'too much before the keys', 'KEX_FAILED');
      return true;
    }
    this.#lease = lease;
    const messagesBefore = this.#messagesSinceYield;
    try {
      // The first key exchange keeps slices of what it parsed (the peer's KEXINIT, its public key) until its end.
      this.#protocol.parse(this.#keyed ? bytes : Buffer.from(bytes), 0, bytes.length);
      if (this.#unsealer === null) this.#keepPartialPacket(bytes);
      else this.#carry(this.#unsealer);
    } catch (error) {
      const closeReason = this.#keyed ? 'PROTOCOL_ERROR' : 'KEX_FAILED';
      this.disconnect(DISCONNECT.PROTOCOL_ERROR, 'protocol error', closeReason, reasonOf(error));
    }
    this.#lease = null;
    if (this.#closed) return true;
    this.#handlers.onReadEnd();
    if (this.#keyAge.isWorn) this.rekeyIfDue();
    if (this.#messagesSinceYield < MESSAGES_PER_YIELD) return true;
    const messages = this.#messagesSinceYield - messagesBefore;
    if (newBytes < messages * SMALL_MESSAGE_BYTES) this.#reader.readSmall();
    this.#messagesSinceYield = 0;
    return false;
  }

  #carry({ leftBytes, wantedBytes }: Unsealer): void {
    this.#carriedBytes = leftBytes;
    this.#reader.carry(leftBytes, wantedBytes);
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
    this.#countMessage(payload);
    if (!this.#authenticated && this.#keyAge.packets > MAX_PACKETS_BEFORE_LOGIN) {
      this.disconnect(DISCONNECT.PROTOCOL_ERROR, 'too many messages before login', 'PROTOCOL_ERROR');
      return Number.POSITIVE_INFINITY;
    }
    switch (type) {
      case undefined: // an empty payload: RFC 4253 §6 allows no such message, ssh2 passes it over
      case MSG.IGNORE:
      case MSG.UNIMPLEMENTED:
      case MSG.DEBUG:
      case MSG.EXT_INFO: // RFC 8308 §2.5: extensions that we do not know are ignored, and we need none of a client's
        return undefined;
      case MSG.PING:
        if (this.#authenticated) return this.#pong(payload);
        break;
      case MSG.DISCONNECT:
        return this.#ssh2OnPayload(payload);
      case MSG.KEXINIT:
        return this.#onPeerKexInit(payload);
    }
    if (type < 50 && type !== MSG.SERVICE_REQUEST && type !== MSG.SERVICE_ACCEPT)
      this.disconnect(DISCONNECT.PROTOCOL_ERROR, 'unexpected message', 'PROTOCOL_ERROR');
    else this.#handlers.onPayload(payload, this.#lease);
    return this.#closed ? Number.POSITIVE_INFINITY : undefined;
  }

  /** OpenSSH PROTOCOL §1.9: `byte SSH2_MSG_PONG`, and the same `string data`. Pongs count as control messages: who sends pings and
   *  does not read, or sends them all through a key exchange (CVE-2025-26466), is cut like with any other. */
  #pong(payload: Buffer): ParseStep {
    const reader = new WireReader(payload, 1);
    const data = reader.bytes();
    if (reader.atEnd) this.send(message(MSG.PONG, data));
    else this.disconnect(DISCONNECT.PROTOCOL_ERROR, 'a ping that is none', 'PROTOCOL_ERROR');
    return this.#closed ? Number.POSITIVE_INFINITY : undefined;
  }

  #onPeerKexInit(payload: Buffer): ParseStep {
    if (!this.#authenticated) {
      // Each exchange costs a signature; before login there is no honest need for a second one.
      this.disconnect(DISCONNECT.PROTOCOL_ERROR, 'too early to re-key', 'PROTOCOL_ERROR');
      return Number.POSITIVE_INFINITY;
    }
    // An exchange that we have begun is not counted against the peer, which only answers.
    if (!this.isExchanging && this.#keyAge.isStorm(this.#options.now())) {
      this.disconnect(DISCONNECT.PROTOCOL_ERROR, 'too many key exchanges', 'PROTOCOL_ERROR');
      return Number.POSITIVE_INFINITY;
    }
    this.#outbox.flush(); // what is sealed under the old keys goes out before our KEXINIT does
    this.#deadline.start(this.#options.kexTimeoutMs, true);
    const step = this.#ssh2OnPayload(this.#exchanges.read(payload));
    this.#watchExchange();
    return step;
  }

  /** ssh2 has taken over the payloads, up to the peer's NEWKEYS. As in the first exchange it would end a strict one for IGNORE, which
   *  is allowed in later ones, and say KEY_EXCHANGE_FAILED for data, which is not. */
  #watchExchange(): void {
    const decipher = this.#protocol._decipher;
    if (decipher === undefined) return;
    const onward = decipher._onPayload;
    decipher._onPayload = (payload) => this.#onPayloadWithin(payload, onward);
  }

  #onPayloadWithin(payload: Buffer, onward: (payload: Buffer) => ParseStep): ParseStep {
    if (this.#closed) return Number.POSITIVE_INFINITY;
    this.#countMessage(payload);
    switch (within(payload[0], this.#careless)) {
      case 'ignored':
        return undefined;
      case 'exchange':
        return onward(payload);
      case 'disconnect':
        return this.#ssh2OnPayload(payload);
      case 'ordinary':
        this.#handlers.onPayload(payload, null); // no lease: unsealer.ts has copied it, since ssh2 keeps what it is given within an exchange
        return this.#closed ? Number.POSITIVE_INFINITY : undefined;
      case 'forbidden':
        this.disconnect(DISCONNECT.PROTOCOL_ERROR, 'not within a key exchange', 'PROTOCOL_ERROR');
        return Number.POSITIVE_INFINITY;
    }
  }

  #countMessage(payload: Buffer): void {
    this.#keyAge.countReceived(payload.length + SEALED_BESIDE_BYTES);
    this.#messagesSinceYield++;
  }

  /** NEWKEYS went both ways: the new cipher is in force. */
  #onKeys(negotiated: Negotiated): void {
    this.#deadline.stop();
    const first = !this.#keyed;
    const strict = this.#protocol._strictMode === true;
    this.#outbox.useKeys(this.#protocol._cipher, makeSealer(this.#protocol._cipher, negotiated));
    const decipher = this.#protocol._decipher;
    this.#unsealer =
      decipher === undefined
        ? null
        : makeUnsealer(decipher, negotiated, this.#options.buffers, this.#protocol._onPayload);
    if (this.#unsealer !== null) this.#protocol._decipher = this.#unsealer;
    forgetExchange(this.#protocol);
    if (isTerrapinExposed(negotiated.cs.cipher, strict) || isTerrapinExposed(negotiated.sc.cipher, strict)) {
      this.disconnect(DISCONNECT.KEY_EXCHANGE_FAILED, 'chacha20-poly1305 needs strict key exchange', 'KEX_FAILED');
      return;
    }
    this.#keyed = true;
    this.#keyAge.renew(this.#options.now());
    // RFC 8308 §2.4: EXT_INFO is the first message behind our first NEWKEYS, or is not sent; never behind later ones.
    if (first && this.#protocol._kex?.remoteExtInfoEnabled)
      this.send(message(MSG.EXT_INFO, 2, 'server-sig-algs', this.#options.userSignatureAlgorithms.join(','), ...PING));
    for (const payload of this.#hold.release()) this.send(payload);
    if (first) this.#handlers.onReady(negotiated);
    else if (this.writable) this.#handlers.onWritable();
  }

  // --- the end -----------------------------------------------------------------------------------------------------

  #fail(reason: CloseReason, detail: string, parting: Parting = reason === 'PEER_CLOSED' ? 'close' : 'linger'): void {
    if (this.#closed) return;
    if (parting === 'linger') this.#outbox.flush();
    else this.#outbox.discard();
    this.#closed = true;
    this.#deadline.stop();
    this.#hold.release();
    this.#reader.consumer = () => true;
    this.#part(parting);
    setImmediate(() => this.#protocol.cleanup()); // not while its parser is on the stack
    this.#handlers.onClose(reason, detail);
  }

  #part(parting: Parting): void {
    const socket = this.#socket;
    if (socket.destroyed) return;
    switch (parting) {
      case 'linger':
        // What was said last gets its chance to arrive; a peer that does not read it is not waited for.
        socket.uncork();
        socket.end();
        setTimeout(() => socket.destroy(), LINGER_MS).unref();
        return;
      case 'reset':
        resetSocket(socket);
        return;
      case 'close':
        socket.destroy();
        return;
    }
  }
}

const EMPTY = Buffer.alloc(0);
