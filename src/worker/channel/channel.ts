/** CHANNEL: one channel of RFC 4254 §5, whatever it carries.
 *  Owns the state of its two directions (window, EOF, CLOSE). Promises its user: data in order, nothing after `onClose`,
 *  and that `onClose` comes exactly once; promises the peer: never more than its window, EOF before CLOSE, one of each. */
import type { ChannelKind } from '../../shared/events.js';
import { MSG, message } from '../../shared/protocol.js';
import type { ReadLease } from '../transport/buffers.js';
import { Meter } from './meter.js';
import type { Purses } from './purse.js';
import { type Growth, ReceiveWindow, SendWindow } from './window.js';

/** What a channel needs of the transport. */
export interface ChannelPort {
  readonly writable: boolean;
  send(payload: Uint8Array): void;
  sendData(recipientChannel: number, source: Uint8Array, start: number, end: number): void;
}

/** Who uses the channel: a relay, a session. */
export interface ChannelUser {
  /** Bytes from the peer, valid during the call (longer with `lease`). Call `channel.delivered` once they are gone. */
  onData(bytes: Buffer, lease: ReadLease | null): void;
  onEof(): void;
  /** More may be written: the window grew or the socket drained. */
  onWritable(): void;
  /** All packets of one read have been handed over. */
  onReadEnd(): void;
  /** Stop reading sources until the next `onWritable`: too much waits for the transport already. */
  onHold(): void;
  /** A channel request (RFC 4254 §5.4). @returns true for CHANNEL_SUCCESS; may send before it answers */
  onRequest(name: string, details: Buffer): boolean;
  /** The channel is gone: closed by the peer, or with its connection. `released` is called once, when nothing of it is
   *  left (bytes for a slow target): until then it counts as one of the connection's channels, with its memory. */
  onClose(released: () => void): void;
}

/** What the channel tells the table that holds it. */
export interface ChannelHolder extends Growth {
  /** What the connection may hold while the worker's memory is scarce; otherwise Infinity. */
  readonly partBytes: number;
  /** Wants `onWritable` when the transport can take more. */
  block(channel: Channel): void;
  /** Has read `bytes` more (or less, when negative) of its source than it could send. */
  hold(bytes: number): void;
  /** Has given its user so many bytes of the peer's, which a target has not taken yet. */
  received(bytes: number): void;
  /** A target has taken so many of them. */
  taken(bytes: number): void;
  /** Nobody will take so many of them, or they are counted elsewhere from now on. */
  dropped(bytes: number): void;
  /** Keeps so many bytes more (or less, when negative) that are no data, because the peer has asked for it. */
  keep(bytes: number): void;
  /** Got data within this read: wants `onReadEnd`. */
  touch(channel: Channel): void;
  /** CLOSE has gone both ways and its user has let go: the number is free again. */
  release(channel: Channel): void;
  /** The peer broke the protocol: the connection ends. */
  violated(what: string): void;
}

/** What a channel is, for who looks at it from outside. */
export interface ChannelLabel {
  /** Number within its connection, never given twice. */
  readonly channel: number;
  readonly kind: ChannelKind;
  readonly destination: string;
  /** Monotonic. */
  readonly openedMs: number;
}

export interface ChannelParameters {
  readonly id: number;
  readonly peerId: number;
  readonly sendWindowBytes: number;
  readonly peerMaxPacketBytes: number;
  readonly receiveWindowBytes: number;
  /** When the peer was told of it. */
  readonly announcedMs: number;
  /** Of its user, where bytes per second are limited: then the peer was told of no window, and gets it as it is paid for. */
  readonly purses?: Purses | null;
}

export class Channel {
  /** Our number; the peer addresses the channel by it. */
  readonly id: number;
  /** Null until its story begins. */
  label: ChannelLabel | null = null;
  readonly #peerId: number;
  readonly #port: ChannelPort;
  readonly #holder: ChannelHolder;
  readonly #send: SendWindow;
  readonly #receive: ReceiveWindow;
  readonly #meter: Meter | null;
  readonly #maxPacketBytes: number;
  #user: ChannelUser | null = null;
  #eofSent = false;
  #eofReceived = false;
  #closeSent = false;
  #closeReceived = false;
  #bytesIn = 0;
  #bytesOut = 0;
  /** Received, and not yet taken by a target. */
  #undeliveredBytes = 0;
  /** What its user keeps of the peer's requests. */
  #keptBytes = 0;

  constructor(port: ChannelPort, holder: ChannelHolder, parameters: ChannelParameters) {
    this.id = parameters.id;
    this.#peerId = parameters.peerId;
    this.#port = port;
    this.#holder = holder;
    this.#send = new SendWindow(parameters.sendWindowBytes);
    const { purses = null, receiveWindowBytes, announcedMs } = parameters;
    this.#receive = new ReceiveWindow(
      receiveWindowBytes,
      holder,
      announcedMs,
      purses === null ? receiveWindowBytes : 0,
    );
    this.#meter = purses === null ? null : new Meter(purses, this.#receive, this);
    this.#maxPacketBytes = parameters.peerMaxPacketBytes;
  }

  /** Data bytes from the peer and to it. */
  get bytesIn(): number {
    return this.#bytesIn;
  }
  get bytesOut(): number {
    return this.#bytesOut;
  }
  get receiveWindowBytes(): number {
    return this.#receive.sizeBytes;
  }
  /** How much `write` could take as far as the peer's window and its user's limit go. */
  get sendWindowBytes(): number {
    return this.#meter === null ? this.#send.bytes : Math.min(this.#send.bytes, this.#meter.sendableBytes);
  }
  /** What may be read of a source at a time, lest it wait in memory when `write` cannot take it. */
  get mayReadBytes(): number {
    return Math.min(this.sendWindowBytes, this.#holder.partBytes);
  }
  /** Could `write` take at least one byte now? */
  get writable(): boolean {
    return this.#isOpen && (this.#meter === null || this.#meter.sendableBytes > 0);
  }
  get #isOpen(): boolean {
    return this.#send.bytes > 0 && this.#port.writable && !this.#eofSent && !this.#closeSent;
  }
  /** Its user's bytes per second are used up: that nothing moves does not mean that nobody wants to. */
  get isThrottled(): boolean {
    return this.#meter?.isWaiting ?? false;
  }

  /** Gives the channel its user; before that no data may come in (the open has not been confirmed). */
  attach(user: ChannelUser): void {
    this.#user = user;
    this.#meter?.begin();
  }

  /** The user has closed the channel and wants to hear no more of it. What it had of the peer's bytes is gone. */
  detach(): void {
    this.#user = null;
    this.#drop();
  }

  // --- what the user does ------------------------------------------------------------------------------------------

  /** Sends as much of `source[start..end)` as window and socket allow. The bytes are copied before it returns.
   *  @returns the offset behind the last byte taken; when that is less than `end`, `onWritable` follows later */
  write(source: Uint8Array, start: number, end: number): number {
    return this.#write(source, start, end, false);
  }
  /** The same for the peer's stderr (RFC 4254 §5.2), which shares the window. */
  writeStderr(source: Uint8Array, start: number, end: number): number {
    return this.#write(source, start, end, true);
  }

  #write(source: Uint8Array, start: number, end: number, isStderr: boolean): number {
    const most = this.#meter === null ? end : Math.min(end, start + this.#meter.sendableBytes);
    let at = start;
    while (at < most && this.#isOpen) {
      const behind = at + Math.min(most - at, this.#send.bytes, this.#maxPacketBytes);
      if (isStderr) this.#port.send(stderrMessage(this.#peerId, source.subarray(at, behind)));
      else this.#port.sendData(this.#peerId, source, at, behind);
      this.#send.take(behind - at);
      at = behind;
    }
    this.#bytesOut += at - start;
    this.#meter?.sent(at - start);
    this.awaitWritable();
    return at;
  }

  /** Asks for `onWritable` where the transport or the user's limit takes nothing now. (A window that is used up asks by
   *  itself.) */
  awaitWritable(): void {
    if (!this.#port.writable) this.#holder.block(this);
    else if (this.#meter !== null && this.#isOpen && this.#meter.sendableBytes === 0) this.#meter.awaitSendable();
  }

  /** Accounts for source bytes that `write` could not take and that the user keeps; negative when it has sent them. */
  hold(bytes: number): void {
    this.#holder.hold(bytes);
  }

  /** Accounts for what the peer has made the user keep beside its data: so many bytes in all, until the channel's end. */
  keep(bytes: number): void {
    this.#holder.keep(bytes - this.#keptBytes);
    this.#keptBytes = bytes;
  }

  /** `bytes` of what `onData` gave have been taken by the other side: only now the peer gets new credit for them. */
  delivered(bytes: number): void {
    const taken = Math.min(bytes, this.#undeliveredBytes); // 0 once the channel was closed with bytes on their way
    this.#undeliveredBytes -= taken;
    this.#holder.taken(taken);
    this.#credit(bytes);
  }

  #credit(bytes: number): void {
    if (this.#meter !== null) return this.#meter.taken(bytes);
    const adjust = this.#receive.deliver(bytes);
    if (adjust > 0) this.adjust(adjust);
  }

  /** The peer may send so many bytes more. */
  adjust(bytes: number): void {
    if (!this.#eofReceived && !this.#closeSent && !this.#closeReceived)
      this.#port.send(message(MSG.CHANNEL_WINDOW_ADJUST, this.#peerId, bytes));
  }

  /** No more data from us (RFC 4254 §5.3). The other direction goes on. */
  eof(): void {
    if (this.#eofSent || this.#closeSent) return;
    this.#eofSent = true;
    this.#port.send(message(MSG.CHANNEL_EOF, this.#peerId));
  }

  /** Ends the channel: CLOSE, preceded by nothing that was not sent already. `onClose` comes when the peer agrees. */
  close(): void {
    if (this.#closeSent) return;
    this.#closeSent = true;
    this.#port.send(message(MSG.CHANNEL_CLOSE, this.#peerId));
  }

  /** A request without reply wanted, e.g. exit-status (RFC 4254 §6.10). */
  request(name: string, ...fields: ReadonlyArray<number | string | boolean>): void {
    if (!this.#closeSent) this.#port.send(message(MSG.CHANNEL_REQUEST, this.#peerId, name, false, ...fields));
  }

  // --- what the peer does (called by the connection) -----------------------------------------------------------------

  onData(bytes: Buffer, lease: ReadLease | null): void {
    if (!this.#mayReceive(bytes.length)) return;
    if (this.#closeSent || this.#user === null) return; // was under way when we closed
    this.#bytesIn += bytes.length;
    this.#undeliveredBytes += bytes.length;
    this.#holder.received(bytes.length);
    this.#holder.touch(this);
    this.#user.onData(bytes, lease);
  }

  /** Stderr-like data (RFC 4254 §5.2): nobody in a tunnel takes it, so it is dropped and its credit given back. */
  onExtendedData(bytes: Buffer): void {
    if (this.#mayReceive(bytes.length)) this.#credit(bytes.length);
  }

  onWindowAdjust(bytes: number): void {
    if (!this.#send.add(bytes)) {
      this.#holder.violated('window adjust past 2^32-1');
      return;
    }
    if (this.#closeReceived || this.#closeSent) return;
    if (this.#port.writable) this.#user?.onWritable();
    else this.#holder.block(this);
  }

  onEof(): void {
    if (this.#eofReceived || this.#closeReceived) return;
    this.#eofReceived = true;
    this.#meter?.endUp();
    if (!this.#closeSent) this.#user?.onEof();
  }

  onPeerClose(): void {
    if (this.#closeReceived) return;
    this.#closeReceived = true;
    this.#meter?.end();
    const user = this.#user;
    this.#user = null;
    this.#drop(); // what still waits for a target is counted as lingering, by whoever holds it
    if (!this.#closeSent) {
      this.#closeSent = true;
      this.#port.send(message(MSG.CHANNEL_CLOSE, this.#peerId)); // RFC 4254 §5.3: answered at once
    }
    const release = (): void => this.#holder.release(this);
    if (user === null) release();
    else user.onClose(release);
  }

  onRequest(name: string, wantReply: boolean, details: Buffer): void {
    if (this.#closeReceived || this.#closeSent) return;
    const granted = this.#user?.onRequest(name, details) ?? false;
    if (wantReply && !this.#closeReceived && !this.#closeSent)
      this.#port.send(message(granted ? MSG.CHANNEL_SUCCESS : MSG.CHANNEL_FAILURE, this.#peerId));
  }

  onWritable(): void {
    if (!this.#closeReceived) this.#user?.onWritable();
  }

  onReadEnd(): void {
    this.#user?.onReadEnd();
  }

  onHold(): void {
    if (this.#user === null) return;
    this.#holder.block(this);
    this.#user.onHold();
  }

  /** The connection is gone. */
  onConnectionLost(): void {
    const user = this.#user;
    this.#user = null;
    this.#drop();
    this.#closeReceived = true;
    this.#closeSent = true;
    this.#meter?.end();
    user?.onClose(ignore);
  }

  #drop(): void {
    this.#holder.dropped(this.#undeliveredBytes);
    this.#undeliveredBytes = 0;
    this.keep(0);
  }

  /** Counts data against the window. False when it must not be looked at. */
  #mayReceive(bytes: number): boolean {
    if (this.#closeReceived) {
      this.#holder.violated('data after CLOSE');
      return false;
    }
    if (!this.#receive.consume(bytes)) {
      this.#holder.violated('data beyond the window');
      return false;
    }
    if (this.#eofReceived) {
      this.close(); // RFC 4254 §5.3: there is no data behind EOF; this channel cannot be trusted any more
      return false;
    }
    return true;
  }
}

function ignore(): void {}

const EXTENDED_DATA_STDERR = 1;

function stderrMessage(peerId: number, bytes: Uint8Array): Buffer {
  return message(MSG.CHANNEL_EXTENDED_DATA, peerId, EXTENDED_DATA_STDERR, bytes);
}
