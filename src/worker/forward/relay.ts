/** RELAY: joins one channel and one socket until both directions have ended.
 *  Owns both ends from `start` on and closes both. All pressure is decided here: the socket is read only while the channel
 *  can take it, the peer gets credit only for what the socket took. Promises `onEnd` exactly once. */
import type { Socket } from 'node:net';
import type { RelayEnd } from '../../shared/errors.js';
import { type OnRead, resetSocket, wasReset } from '../../shared/handles.js';
import type { Channel, ChannelUser } from '../channel/channel.js';
import type { LingerBudget } from '../channel/pump.js';
import type { Buffers, ReadLease } from '../transport/buffers.js';
import type { TurnShare } from '../transport/turns.js';
import { TargetWrites } from './target_writes.js';

export interface RelayTimeouts {
  /** A channel of which one direction has ended may rest this long; 0 = for ever. */
  readonly halfCloseMs: number;
  /** An open channel may rest this long; 0 = for ever. */
  readonly idleChannelMs: number;
}

export interface RelayOptions {
  readonly buffers: Buffers;
  readonly lingering: LingerBudget;
  readonly timeouts: RelayTimeouts;
}

/** First read of a source, and the least: most tunnels carry little, and what is read must be kept if it cannot be sent. */
const MIN_READ_BYTES = 16 * 1024;
/** Bytes for a target whose channel is closed: it is looked at this often, ends after so many looks without having taken
 *  any, and in any case after so many. What the target sends meanwhile does not count: a peer could otherwise fill our
 *  memory, channel by channel, at targets that never read. */
const LINGER_LOOK_MS = 5_000;
const MAX_IDLE_LOOKS = 3;
const MAX_LOOKS = 12;

export class Relay implements ChannelUser {
  /** For the socket that is to be joined: it must be made with these. */
  readonly onread: OnRead;
  readonly #buffers: Buffers;
  readonly #lingering: LingerBudget;
  readonly #timeouts: RelayTimeouts;
  readonly #onEnd: (end: RelayEnd) => void;
  #channel: Channel | null = null;
  #socket: Socket | null = null;
  #ended = false;

  // Socket to channel.
  #readBytes = MIN_READ_BYTES;
  /** Read but not yet sent. */
  #pending: Buffer | null = null;
  #paused = false;
  readonly #turn: TurnShare;
  #targetEnded = false;
  #targetFailed = false;

  // Channel to socket.
  #peerEnded = false;
  #writes: TargetWrites | null = null;

  /** Set once the SSH side is gone: frees the channel's place. */
  #released: (() => void) | null = null;
  #lingerTimer: NodeJS.Timeout | null = null;
  #lingerBytes = 0;

  constructor({ buffers, lingering, timeouts }: RelayOptions, onEnd: (end: RelayEnd) => void) {
    this.#buffers = buffers;
    this.#lingering = lingering;
    this.#turn = buffers.turns.share();
    this.#timeouts = timeouts;
    this.#onEnd = onEnd;
    this.onread = {
      buffer: () => this.#buffers.targetRead.subarray(0, this.#readBytes),
      callback: (bytes, buffer) => this.#onTargetData(bytes, buffer),
    };
  }

  /** Begins to move data. The socket is connected, paused and was made with `onread`; the channel is open. */
  start(channel: Channel, socket: Socket): void {
    this.#channel = channel;
    this.#socket = socket;
    this.#writes = new TargetWrites(socket, {
      onTaken: (bytes) => channel.delivered(bytes),
      maxBytes: () => channel.receiveWindowBytes,
    });
    socket.on('end', () => this.#onTargetEnd());
    socket.on('error', () => {
      this.#targetFailed = true; // 'close' follows
    });
    socket.on('close', () => this.#onSocketClosed());
    socket.on('timeout', () => this.#onRest());
    if (this.#timeouts.idleChannelMs > 0) socket.setTimeout(this.#timeouts.idleChannelMs);
    channel.attach(this);
    if (socket.destroyed) this.#finish('TARGET_ERROR');
    else if (channel.writable) socket.resume();
    else {
      this.#paused = true;
      channel.awaitWritable();
    }
  }

  // --- socket to channel -------------------------------------------------------------------------------------------

  #onTargetData(bytes: number, buffer: Uint8Array): boolean {
    const channel = this.#channel;
    if (channel === null || this.#ended) return false;
    if (this.#released !== null) return true; // nobody takes it; unread, it would turn our close into a reset
    const sent = channel.write(buffer, 0, bytes);
    if (sent < bytes) {
      this.#pending = Buffer.from(buffer.subarray(sent, bytes));
      channel.hold(bytes - sent);
    }
    this.#readBytes = this.#nextReadBytes(bytes, channel.mayReadBytes);
    this.#paused = sent < bytes || !channel.writable;
    if (this.#paused) return false;
    if (!this.#turn.isUsedUp(bytes)) return true;
    this.#turn.wait(this.#goOn);
    return false;
  }

  readonly #goOn = (): void => {
    if (!this.#paused && !this.#ended) this.#socket?.resume();
  };

  /** Doubles while reads come full, halves while they come nearly empty, and never asks for more than the peer's window
   *  takes: a channel whose peer stalls then keeps no bytes at all. Nor for more than its part of a turn. */
  #nextReadBytes(bytes: number, mostBytes: number): number {
    let next = this.#readBytes;
    if (bytes === this.#readBytes) next *= 2;
    else if (bytes < this.#readBytes / 4) next /= 2;
    const most = Math.min(this.#buffers.targetRead.length, mostBytes, this.#turn.bytes);
    return Math.max(MIN_READ_BYTES, Math.min(next, most));
  }

  onWritable(): void {
    const channel = this.#channel;
    if (channel === null || !this.#paused) return;
    if (this.#pending !== null) {
      const sent = channel.write(this.#pending, 0, this.#pending.length);
      channel.hold(-sent);
      this.#pending = sent < this.#pending.length ? this.#pending.subarray(sent) : null;
      if (this.#pending !== null) return;
      if (this.#targetEnded) {
        this.#sendEof();
        return;
      }
    }
    if (!channel.writable) return channel.awaitWritable();
    this.#paused = false;
    this.#socket?.resume();
  }

  onHold(): void {
    if (this.#paused) return;
    this.#paused = true;
    this.#socket?.pause();
  }

  #onTargetEnd(): void {
    if (this.#ended) return; // it is reset once our own end is through
    // Else the peer would take a stream that was cut off for the whole.
    if (this.#socket !== null && wasReset(this.#socket)) return this.#finish('TARGET_ERROR');
    this.#targetEnded = true;
    if (this.#pending === null) this.#sendEof();
  }

  #sendEof(): void {
    this.#channel?.eof();
    if (this.#timeouts.halfCloseMs > 0) this.#socket?.setTimeout(this.#timeouts.halfCloseMs);
    if (this.#socket?.destroyed) this.#onSocketClosed();
  }

  // --- channel to socket -------------------------------------------------------------------------------------------

  onData(bytes: Buffer, lease: ReadLease | null): void {
    if (!this.#ended) this.#writes?.write(bytes, lease);
  }

  onReadEnd(): void {
    this.#writes?.readEnd();
  }

  onEof(): void {
    this.#peerEnded = true;
    this.#writes?.end(); // when the target has ended too, 'close' follows and ends the relay
    if (this.#timeouts.halfCloseMs > 0) this.#socket?.setTimeout(this.#timeouts.halfCloseMs);
  }

  onRequest(): boolean {
    return false; // RFC 4254 §5.4: forwarded connections know no channel requests
  }

  // --- the end -----------------------------------------------------------------------------------------------------

  /** The SSH side is gone. A target that did not hear an EOF must not take what it has for the whole: it gets a reset. */
  onClose(released: () => void): void {
    const socket = this.#socket;
    const writes = this.#writes;
    if (socket === null || writes === null || this.#ended) return released();
    this.onReadEnd();
    this.#released = released;
    this.#dropPending();
    if (!this.#peerEnded) {
      this.#settle('PEER_CLOSED');
      resetSocket(socket);
    } else this.#linger(socket, writes);
  }

  /** RFC 4254 §5.3: what was sent before EOF and CLOSE still reaches the target, while the target goes on taking it. What
   *  it answers has no taker and is read away: a close with unread bytes would be a reset, and cut off what is still on
   *  its way. The end is its own ('close' follows), or ours when it rests. */
  #linger(socket: Socket, writes: TargetWrites): void {
    const { bytes } = writes;
    if (!this.#lingering.linger(bytes)) {
      this.#settle('PEER_CLOSED');
      cutOff(socket, bytes);
      return;
    }
    this.#lingerBytes = bytes;
    this.#buffers.lingerers.begin(this.#cut);
    let left = writes.unsentBytes;
    let looks = 0;
    let idleLooks = 0;
    this.#lingerTimer = setInterval(() => {
      const before = left;
      left = writes.unsentBytes;
      looks++;
      idleLooks = left < before ? 0 : idleLooks + 1;
      if (left === 0 || idleLooks >= MAX_IDLE_LOOKS || looks >= MAX_LOOKS) this.#cut();
    }, LINGER_LOOK_MS);
    this.#lingerTimer.unref();
    socket.setTimeout(0);
    socket.resume();
  }

  /** The target is not waited for any longer. */
  readonly #cut = (): void => {
    const socket = this.#socket;
    if (socket === null || this.#ended) return;
    const unsentBytes = this.#writes?.unsentBytes ?? 0;
    this.#settle('PEER_CLOSED');
    cutOff(socket, unsentBytes);
  };

  /** Nothing has moved for a while. One that may not move at present is no idle one. */
  #onRest(): void {
    if (this.#channel?.isThrottled === true) this.#socket?.setTimeout(this.#socket.timeout ?? 0);
    else if (this.#peerEnded && this.#writes?.unsentBytes === 0) this.#finish('IDLE_TIMEOUT');
    else this.cut('IDLE_TIMEOUT'); // a FIN would tell the target that it has all
  }

  /** Ends it from outside, for good: neither end may take what it has for the whole, so the target gets a reset and the peer
   *  a CLOSE without an EOF. */
  cut(end: RelayEnd): void {
    if (this.#socket === null || this.#ended) return;
    this.onReadEnd();
    this.#finish(end, resetSocket);
  }

  #onSocketClosed(): void {
    this.#writes?.unpin();
    this.#finish(this.#targetEnded && this.#peerEnded && !this.#targetFailed ? 'COMPLETE' : 'TARGET_ERROR');
  }

  #finish(end: RelayEnd, part: (socket: Socket) => void = destroy): void {
    if (this.#ended) return;
    const socket = this.#socket;
    const channel = this.#channel;
    this.#settle(end);
    if (socket !== null) part(socket);
    channel?.close();
    channel?.detach();
  }

  #settle(end: RelayEnd): void {
    this.#ended = true;
    if (this.#lingerTimer !== null) {
      clearInterval(this.#lingerTimer);
      this.#lingering.lingered(this.#lingerBytes);
      this.#buffers.lingerers.ended(this.#cut);
    }
    this.#dropPending();
    this.#writes?.stop();
    this.#onEnd(end);
    this.#released?.();
  }

  #dropPending(): void {
    if (this.#pending !== null) this.#channel?.hold(-this.#pending.length);
    this.#pending = null;
  }
}

/** What the kernel does not have yet never arrives: after a FIN the target would take what it has for the whole. */
function cutOff(socket: Socket, unsentBytes: number): void {
  if (unsentBytes > 0) resetSocket(socket);
  else socket.destroy();
}

function destroy(socket: Socket): void {
  socket.destroy();
}
