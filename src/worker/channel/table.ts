/** CHANNEL TABLE: the channels of one connection by our number.
 *  Owns the numbers, the cap, and the turn order of channels that wait for the transport. */
import type { Payload } from '../../shared/events.js';
import type { MemoryAccount } from '../memory.js';
import { Channel, type ChannelHolder, type ChannelParameters, type ChannelPort } from './channel.js';
import { meteredWindowBytes } from './meter.js';
import type { Purses } from './purse.js';
import { MAX_FIRST_WINDOW_BYTES, WindowBudget } from './window.js';

/** What the peer said of its side of a channel: in its open, or in its confirmation of ours. */
export interface PeerSide {
  readonly id: number;
  readonly windowBytes: number;
  readonly maxPacketBytes: number;
}

/** A number and a receive window set aside for a channel that is about to be opened. */
export interface Reservation {
  readonly id: number;
  readonly windowBytes: number;
  /** What the peer is told of it at first; the rest comes by window adjusts. */
  readonly openBytes: number;
}

export interface ChannelTableOptions {
  readonly maxChannels: number;
  /** For all windows together. */
  readonly memoryBytes: number;
  /** Where bytes that are held are counted. */
  readonly account: MemoryAccount;
  violated(what: string): void;
  /** Monotonic milliseconds. */
  readonly now: () => number;
  /** Of the user, where bytes per second are limited. */
  readonly purses?: Purses | null;
}

export class ChannelTable implements ChannelHolder {
  readonly now: () => number;
  readonly #port: ChannelPort;
  readonly #maxChannels: number;
  readonly #maxHeldBytes: number;
  readonly #violated: (what: string) => void;
  readonly #budget: WindowBudget;
  readonly #purses: Purses | null;
  readonly #account: MemoryAccount;
  readonly #channels = new Map<number, Channel>();
  /** Numbers. Null, as the next two, until there was one: many connections have no channel for hours, and an empty set is no small thing. */
  #reserved: Set<number> | null = null;
  readonly #free: number[] = [];
  #next = 0;
  /** In the order in which they were blocked, so that each gets its turn. */
  #blocked: Set<Channel> | null = null;
  #touched: Set<Channel> | null = null;
  #heldBytes = 0;
  /** Moved by channels that are gone. */
  readonly #gone = { bytesIn: 0, bytesOut: 0 };

  constructor(port: ChannelPort, options: ChannelTableOptions) {
    this.#port = port;
    this.now = options.now;
    this.#maxChannels = options.maxChannels;
    this.#maxHeldBytes = options.memoryBytes / 4;
    this.#violated = options.violated;
    this.#account = options.account;
    this.#budget = new WindowBudget(options.memoryBytes);
    this.#purses = options.purses ?? null;
  }

  get size(): number {
    return this.#channels.size + (this.#reserved?.size ?? 0);
  }
  /** Bytes read from sources that wait for the transport. */
  get heldBytes(): number {
    return this.#heldBytes;
  }
  /** Why nothing can be reserved, when that is so. */
  get shortage(): 'CHANNEL_LIMIT' | 'RESOURCE_SHORTAGE' {
    return this.size >= this.#maxChannels ? 'CHANNEL_LIMIT' : 'RESOURCE_SHORTAGE';
  }
  get(id: number): Channel | undefined {
    return this.#channels.get(id);
  }
  /** The oldest first. */
  all(): Iterable<Channel> {
    return this.#channels.values();
  }
  /** Data bytes of all its channels, those that are gone included. */
  traffic(): Payload {
    let { bytesIn, bytesOut } = this.#gone;
    for (const channel of this.#channels.values()) {
      bytesIn += channel.bytesIn;
      bytesOut += channel.bytesOut;
    }
    return { bytesIn, bytesOut };
  }

  /** @returns null for the reason of `shortage`: the connection has all the channels that it may have, or the worker has no
   *  memory for one more */
  reserve(): Reservation | null {
    if (this.size >= this.#maxChannels || this.#account.isFull) return null;
    const id = this.#free.pop() ?? this.#next++;
    const purses = this.#purses;
    const windowBytes = this.#budget.grant(
      this.#account.partBytes,
      purses === null ? MAX_FIRST_WINDOW_BYTES : meteredWindowBytes(purses),
    );
    this.#reserved ??= new Set();
    this.#reserved.add(id);
    return { id, windowBytes, openBytes: purses === null ? windowBytes : 0 };
  }

  /** The open failed: the number is free again. */
  cancel(reservation: Reservation): void {
    if (this.#reserved?.delete(reservation.id) !== true) return;
    this.#forget(reservation.id, reservation.windowBytes);
  }

  /** The open succeeded.
   *  @param announcedMs when the peer was told of our window, with a confirmation or with our own open; never later */
  open(reservation: Reservation, peer: PeerSide, announcedMs: number): Channel {
    this.#reserved?.delete(reservation.id);
    const parameters: ChannelParameters = {
      id: reservation.id,
      peerId: peer.id,
      sendWindowBytes: peer.windowBytes,
      peerMaxPacketBytes: Math.min(peer.maxPacketBytes, MAX_SEND_PACKET_BYTES),
      receiveWindowBytes: reservation.windowBytes,
      announcedMs,
      purses: this.#purses,
    };
    const channel = new Channel(this.#port, this, parameters);
    this.#channels.set(channel.id, channel);
    return channel;
  }

  /** The transport takes data again: each waiting channel gets its turn, the one that waited longest first. */
  wake(): void {
    for (const channel of [...(this.#blocked ?? [])]) {
      if (!this.#port.writable) return;
      this.#blocked?.delete(channel);
      channel.onWritable();
    }
  }

  /** All packets of one read have been handed over. */
  readEnd(): void {
    if (this.#touched === null) return;
    for (const channel of this.#touched) channel.onReadEnd();
    this.#touched.clear();
  }

  /** The connection is gone, and every channel with it. */
  loseAll(): void {
    const channels = [...this.#channels.values()];
    this.#channels.clear();
    this.#blocked?.clear();
    this.#touched?.clear();
    for (const channel of channels) {
      channel.onConnectionLost();
      this.#count(channel);
    }
  }

  // --- ChannelHolder -----------------------------------------------------------------------------------------------

  block(channel: Channel): void {
    this.#blocked ??= new Set();
    this.#blocked.add(channel);
  }
  /** A source is read before it is known whether the transport takes the bytes. With many bulk sources and a peer that
   *  stops reading, each would leave one read's worth here: past a quarter of the budget all of them pause. Not while the
   *  transport takes data: then the bytes wait for windows (a small read per channel), and no `wake` would follow. */
  hold(bytes: number): void {
    this.#heldBytes += bytes;
    this.#account.add(bytes);
    if (bytes <= 0 || this.#heldBytes <= this.#maxHeldBytes || this.#port.writable) return;
    for (const channel of this.#channels.values()) channel.onHold();
  }
  keep(bytes: number): void {
    this.#account.add(bytes);
  }
  touch(channel: Channel): void {
    this.#touched ??= new Set();
    this.#touched.add(channel);
  }
  release(channel: Channel): void {
    if (!this.#channels.delete(channel.id)) return;
    this.#blocked?.delete(channel);
    this.#touched?.delete(channel);
    this.#count(channel);
    this.#forget(channel.id, channel.receiveWindowBytes);
  }
  grow(bytes: number): number {
    return this.#account.partBytes === Number.POSITIVE_INFINITY ? this.#budget.grow(bytes) : 0;
  }
  shrink(bytes: number): void {
    this.#budget.release(bytes);
  }
  get isTight(): boolean {
    return this.#account.isTight;
  }
  get partBytes(): number {
    return this.#account.partBytes;
  }
  received(bytes: number): void {
    this.#account.add(bytes);
  }
  taken(bytes: number): void {
    this.#account.took(bytes);
  }
  dropped(bytes: number): void {
    this.#account.add(-bytes);
  }
  violated(what: string): void {
    this.#violated(what);
  }

  #count({ bytesIn, bytesOut }: Channel): void {
    this.#gone.bytesIn += bytesIn;
    this.#gone.bytesOut += bytesOut;
  }

  #forget(id: number, windowBytes: number): void {
    this.#free.push(id);
    this.#budget.release(windowBytes);
  }
}

/** Data per packet towards the peer: what every implementation takes (RFC 4253 §6.1), however much more it announces. */
const MAX_SEND_PACKET_BYTES = 32 * 1024;
