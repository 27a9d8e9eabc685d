/** PUMP: moves bytes between one channel and a Node Duplex, for channels that end in this program: a session's handler, an
 *  in-process target.
 *  Owns the bytes on their way out, the credit that is owed for those that came in, and the timers of a channel at rest. Promises
 *  that a listener of the user's that throws ends its own channel and nothing else. */
import type { Duplex } from 'node:stream';
import type { ChannelEnd } from '../../shared/errors.js';
import { reasonOf } from '../../shared/errors.js';
import { safeText } from '../../shared/log.js';
import type { Channel, ChannelUser } from './channel.js';
import { Received } from './received.js';

/** Milliseconds; 0 = for ever. */
export interface RestTimeouts {
  /** A channel of which one direction has ended may rest this long. */
  readonly halfCloseMs: number;
  /** An open channel may rest this long. */
  readonly idleChannelMs: number;
}

/** The user's part of the worker's budget for bytes that wait for a reader beyond their channel's end. */
export interface LingerBudget {
  linger(bytes: number): boolean;
  lingered(bytes: number): void;
}

export interface PumpOptions {
  readonly timeouts: RestTimeouts;
  readonly lingering: LingerBudget;
  /** Called once. `detail` says what the user's code did. */
  readonly onEnd: (end: ChannelEnd, detail?: string) => void;
  /** Channel requests (RFC 4254 §5.4). Default: none is granted. */
  readonly onRequest?: (name: string, details: Buffer) => boolean;
}

/** Called when the bytes have been sealed, or with an error when they never will be. */
export type Done = (error?: Error | null) => void;

/** What goes out, in order: data, data for stderr, or a step such as EOF that must wait for the data before it. */
type Outgoing =
  | { readonly kind: 'data' | 'stderr'; readonly bytes: Uint8Array; at: number; readonly done: Done }
  | { readonly kind: 'step'; readonly step: () => void; readonly done: Done };

/** What the peer sent before its CLOSE waits this long for a reader that has stopped. */
export const LINGER_MS = 60_000;

export class ChannelPump implements ChannelUser {
  readonly channel: Channel;
  readonly #options: PumpOptions;
  #duplex: Duplex | null = null;
  readonly #outgoing: Outgoing[] = [];
  #open = false;
  readonly #received: Received;
  /** In the hands of the Duplex, and not yet credited to the peer. */
  #owedBytes = 0;
  /** The Duplex has nothing left to read. */
  #wanted = false;
  #eofGiven = false;
  #lingeringBytes = 0;
  #eofReceived = false;
  #eofSent = false;
  /** The channel is gone: what is still written has no taker. */
  #peerGone = false;
  #over = false;
  #timer: NodeJS.Timeout | null = null;
  /** The user's own, beside the channel's. */
  #userTimer: NodeJS.Timeout | null = null;
  #released: (() => void) | null = null;

  constructor(channel: Channel, options: PumpOptions) {
    this.channel = channel;
    this.#options = options;
    this.#received = new Received(() => channel.receiveWindowBytes);
    this.#rest(options.timeouts.idleChannelMs);
  }

  /** The channel has ended, or belongs to another user. */
  get over(): boolean {
    return this.#over;
  }

  // --- what the Duplex does ----------------------------------------------------------------------------------------

  /** Called once, by the Duplex's constructor. */
  drive(duplex: Duplex): void {
    this.#duplex = duplex;
    this.channel.attach(this);
  }

  /** Bytes go out from now on. Apart from `drive`, so that what a handler writes at once stands behind the reply to the
   *  request that called it. */
  open(): void {
    this.#open = true;
    this.#flush();
  }

  send(kind: 'data' | 'stderr', bytes: Uint8Array, done: Done): void {
    this.#enqueue({ kind, bytes, at: 0, done });
  }

  /** Takes a step on the channel once all bytes before it are sealed. */
  step(step: (channel: Channel) => void, done: Done): void {
    this.#enqueue({ kind: 'step', step: () => step(this.channel), done });
  }

  eof(done: Done): void {
    this.step((channel) => {
      this.#eofSent = true;
      this.#rest(this.#options.timeouts.halfCloseMs);
      channel.eof();
    }, done);
  }

  /** What the reader was given is read: the peer gets credit for it. */
  wanted(): void {
    const bytes = this.#owedBytes;
    this.#owedBytes = 0;
    if (bytes > 0) this.channel.delivered(bytes);
    this.#wanted = true;
    this.#give();
  }

  /** May so many bytes, which are in the hands of a target, wait for it beyond the channel's end? Then call `lingered`. */
  linger(bytes: number): boolean {
    return this.#options.lingering.linger(bytes);
  }
  lingered(bytes: number): void {
    this.#options.lingering.lingered(bytes);
  }

  /** Calls `onRest` each time that nothing has moved for so long; 0 = never. */
  watch(restMs: number, onRest: () => void): void {
    if (this.#userTimer !== null) clearTimeout(this.#userTimer);
    this.#userTimer = restMs === 0 || this.#over ? null : setTimeout(onRest, restMs).unref();
  }

  /** The Duplex is destroyed, and with it the channel. */
  destroyed(error: Error | null): void {
    if (error !== null) this.#finish('TARGET_ERROR', safeText(reasonOf(error)));
    else
      this.#finish(this.#eofReceived && this.#eofSent ? 'COMPLETE' : this.#peerGone ? 'PEER_CLOSED' : 'TARGET_ERROR');
  }

  /** The user is done with the channel, whatever the peer still has to say. */
  complete(): void {
    this.#finish(this.#peerGone && !this.#eofSent ? 'PEER_CLOSED' : 'COMPLETE');
  }

  /** Forgets the channel, which goes on with another user. */
  disown(): void {
    this.#over = true;
    this.#stopTimers();
    this.#duplex?.destroy(); // first: it would go on with its next write, and fail
    this.#dropOutgoing();
  }

  /** Runs what may call listeners of the user's. One that throws would else be taken for a fault of the peer's, or end
   *  the process. */
  contain<T>(run: () => T): T | undefined {
    try {
      return run();
    } catch (thrown) {
      this.#finish('HOOK_FAILED', safeText(reasonOf(thrown)));
      return undefined;
    }
  }

  // --- what the channel does ---------------------------------------------------------------------------------------

  onData(bytes: Buffer): void {
    const duplex = this.#duplex;
    this.#moved();
    if (duplex === null || duplex.destroyed) return this.channel.delivered(bytes.length);
    this.#received.append(bytes);
    this.#give();
  }

  #give(): void {
    const duplex = this.#duplex;
    if (duplex === null || duplex.destroyed) return;
    if (this.#wanted && this.#received.bytes > 0) {
      const bytes = this.#received.take();
      this.#wanted = false;
      this.#owedBytes += bytes.length;
      this.contain(() => duplex.push(bytes));
    }
    if (this.#eofReceived && this.#received.bytes === 0 && !this.#eofGiven) {
      this.#eofGiven = true;
      this.contain(() => duplex.push(null));
    }
  }

  onEof(): void {
    this.#eofReceived = true;
    this.#rest(this.#options.timeouts.halfCloseMs);
    this.#give();
  }

  onWritable(): void {
    this.#flush();
  }
  onReadEnd(): void {}
  onHold(): void {} // what waits here was not read from a source of ours

  onRequest(name: string, details: Buffer): boolean {
    return this.contain(() => this.#options.onRequest?.(name, details)) ?? false;
  }

  /** What came before EOF and CLOSE still reaches its reader (RFC 4254 §5.3); what the reader answers has no taker. */
  onClose(released: () => void): void {
    this.#peerGone = true;
    const duplex = this.#duplex;
    if (duplex === null || this.#over) return released();
    this.#released = released;
    if (!this.#eofReceived || duplex.readableEnded) {
      duplex.destroy();
      return;
    }
    const unread = duplex.readableLength + this.#received.bytes;
    if (!this.linger(unread)) {
      duplex.destroy();
      return;
    }
    this.#lingeringBytes = unread;
    this.#dropOutgoing();
    duplex.once('end', () => duplex.destroy());
    if (unread === 0) duplex.read(0); // then 'end' comes now, even where nobody reads
    this.#rest(LINGER_MS);
  }

  // --- inside ------------------------------------------------------------------------------------------------------

  #enqueue(outgoing: Outgoing): void {
    if (this.#over) return outgoing.done(new Error('the channel is closed'));
    if (this.#peerGone) return outgoing.done();
    this.#outgoing.push(outgoing);
    this.#flush();
  }

  #flush(): void {
    if (!this.#open) return;
    for (let next = this.#outgoing[0]; next !== undefined; next = this.#outgoing[0]) {
      if (next.kind === 'step') next.step();
      else {
        const { bytes, at } = next;
        const behind =
          next.kind === 'data'
            ? this.channel.write(bytes, at, bytes.length)
            : this.channel.writeStderr(bytes, at, bytes.length);
        if (behind > at) this.#moved();
        next.at = behind;
        if (behind < bytes.length) return; // onWritable follows
      }
      if (this.#outgoing[0] !== next) return; // the connection ended within that send: its callback has been called
      this.#outgoing.shift();
      this.contain(next.done);
    }
  }

  /** `done` without an error where the peer has closed: as with a socket, what was written last may never arrive. */
  #dropOutgoing(): void {
    for (const { done } of this.#outgoing.splice(0)) this.contain(done);
  }

  #moved(): void {
    this.#timer?.refresh();
    this.#userTimer?.refresh();
  }

  #stopTimers(): void {
    if (this.#timer !== null) clearTimeout(this.#timer);
    if (this.#userTimer !== null) clearTimeout(this.#userTimer);
    this.#userTimer = null;
  }

  #rest(afterMs: number): void {
    if (this.#over) return;
    if (this.#timer !== null) clearTimeout(this.#timer);
    this.#timer = afterMs === 0 ? null : setTimeout(() => this.#onRest(), afterMs).unref();
  }

  /** Nothing has moved for a while. One that may not move at present is no idle one. */
  #onRest(): void {
    if (this.channel.isThrottled) this.#timer?.refresh();
    else this.#finish('IDLE_TIMEOUT');
  }

  #finish(end: ChannelEnd, detail?: string): void {
    if (this.#over) return;
    this.#over = true;
    this.#stopTimers();
    this.#received.clear();
    if (this.#lingeringBytes > 0) this.lingered(this.#lingeringBytes);
    this.channel.close();
    this.channel.detach(); // until the peer agrees only the channel itself is needed, and not what its user held
    this.#options.onEnd(end, detail);
    this.#duplex?.destroy();
    for (const { done } of this.#outgoing.splice(0)) this.contain(() => done(new Error('the channel is closed')));
    this.#released?.();
  }
}
