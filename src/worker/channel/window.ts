/** WINDOW: the arithmetic of flow control (RFC 4254 §5.2) in both directions.
 *  Owns the counts of one channel and the memory budget of one connection. Decides only; sends nothing. */
import { UINT32_MAX } from '../../shared/protocol.js';

/** What we may still send. */
export class SendWindow {
  #bytes: number;

  constructor(initialBytes: number) {
    this.#bytes = initialBytes;
  }
  get bytes(): number {
    return this.#bytes;
  }
  /** @returns false when the sum passes 2^32-1, which RFC 4254 §5.2 forbids */
  add(bytes: number): boolean {
    if (this.#bytes + bytes > UINT32_MAX) return false;
    this.#bytes += bytes;
    return true;
  }
  take(bytes: number): void {
    this.#bytes -= bytes;
  }
}

/** What a window that grows asks of others. */
export interface Growth {
  /** Monotonic milliseconds. */
  now(): number;
  /** Memory for so many bytes more of window. @returns how many are granted, 0 to `bytes` */
  grow(bytes: number): number;
  /** The connection should hold less: its windows get smaller. */
  readonly isTight: boolean;
  /** A window has become so many bytes smaller. */
  shrink(bytes: number): void;
}

/** What the peer may still send. Credit is given back only for bytes that the other side's socket has taken, so the
 *  bytes that we hold for a channel never exceed its size.
 *
 *  The size grows with the path (DECISIONS 35). A round begins with an announcement and ends with the first byte that only
 *  that one allowed: it lasts as long as the path there and back at least, and the shortest round is taken for the path. The
 *  first of them ends with the first byte of all, before which nothing can queue: later ones also last as long as what is
 *  under way takes, and a short path with a full window looked like a long one (DECISIONS 44). It still does behind an
 *  application that lets its first byte wait. A peer that sends a good part of its window in a path's time is held up by the
 *  window, or soon will be. */
export class ReceiveWindow {
  readonly #growth: Growth;
  #sizeBytes: number;
  #openBytes: number;
  #deliveredBytes = 0;
  #pathMs = Number.POSITIVE_INFINITY;
  #roundStartedMs: number;
  /** Bytes until the round ends; none is under way at 0 and below. */
  #roundLeftBytes = 1;
  /** Since the end of the round before. */
  #periodStartedMs: number;
  #periodBytes = 0;
  /** What the peer sent when the window grew last. */
  #grownAtBytesPerMs = 0;
  /** Given back while memory was short, to be had again. */
  #lentBytes = 0;

  /** @param sizeBytes as far as the window may open
   *  @param announcedMs when the peer was told of it: never later, or the path would seem shorter than it is
   *  @param openBytes what the open or its confirmation announced; less than the size where more has to be paid for */
  constructor(sizeBytes: number, growth: Growth, announcedMs: number, openBytes: number = sizeBytes) {
    this.#sizeBytes = sizeBytes;
    this.#openBytes = openBytes;
    this.#growth = growth;
    if (openBytes === 0) this.#roundLeftBytes = 0; // the path is measured from the first credit
    this.#roundStartedMs = announcedMs;
    this.#periodStartedMs = announcedMs;
  }
  get sizeBytes(): number {
    return this.#sizeBytes;
  }
  /** What the peer may send and has not sent. */
  get openBytes(): number {
    return this.#openBytes;
  }
  /** Data has come. @returns false when the peer sent more than it may */
  consume(bytes: number): boolean {
    if (bytes > this.#openBytes) return false;
    this.#openBytes -= bytes;
    this.#periodBytes += bytes;
    if (this.#roundLeftBytes > 0) {
      this.#roundLeftBytes -= bytes;
      if (this.#roundLeftBytes <= 0) this.#endRound();
    }
    return true;
  }
  /** Data has been delivered. @returns the amount of a WINDOW_ADJUST to send now, or 0. A good part of the window at a time:
   *  one message instead of one per packet. Not half of it where it is large: deliveries come in steps, so the second half
   *  would often fall just short, and a long path would carry half a window a trip. */
  deliver(bytes: number): number {
    this.#deliveredBytes += bytes;
    if (this.#deliveredBytes < Math.min(this.#sizeBytes / 2, Math.max(this.#sizeBytes / 8, LEAST_ADJUST_BYTES)))
      return 0;
    const adjust = this.#deliveredBytes + this.#resize(this.#deliveredBytes);
    this.#deliveredBytes = 0;
    if (adjust > 0) this.open(adjust);
    return adjust;
  }
  /** A WINDOW_ADJUST of so many bytes goes out. */
  open(bytes: number): void {
    if (this.#roundLeftBytes <= 0) this.#beginRound();
    this.#openBytes += bytes;
  }

  /** A window cannot be taken back from the peer (RFC 4254 §5.2), but credit that is due need not be given. Once memory is
   *  there again the window is what it was. @returns bytes of credit more, or less when negative */
  #resize(dueBytes: number): number {
    if (this.#growth.isTight) {
      const less = Math.min(dueBytes, Math.max(0, this.#sizeBytes - MIN_WINDOW_BYTES));
      this.#sizeBytes -= less;
      this.#lentBytes += less;
      this.#growth.shrink(less);
      return -less;
    }
    if (this.#lentBytes === 0) return 0;
    const more = this.#growth.grow(this.#lentBytes);
    this.#sizeBytes += more;
    this.#lentBytes -= more;
    return more;
  }

  #beginRound(): void {
    this.#roundStartedMs = this.#growth.now();
    this.#roundLeftBytes = this.#openBytes + 1;
  }

  #endRound(): void {
    const nowMs = this.#growth.now();
    const isFirst = this.#pathMs === Number.POSITIVE_INFINITY;
    this.#pathMs = Math.min(this.#pathMs, nowMs - this.#roundStartedMs);
    const bytesPerMs = this.#periodBytes / (nowMs - this.#periodStartedMs);
    this.#periodStartedMs = nowMs;
    this.#periodBytes = 0;
    if (isFirst) return; // one packet tells the path, and no rate
    const isFastEnough = this.#sizeBytes >= this.#pathMs * ENOUGH_BYTES_PER_MS;
    if (isFastEnough || bytesPerMs * this.#pathMs <= this.#sizeBytes * FULL_SHARE) return;
    // A slow link fills a window too, and a larger one makes it no faster.
    if (bytesPerMs < this.#grownAtBytesPerMs * WORTHWHILE) return;
    const grown = this.#growth.grow(this.#sizeBytes);
    if (grown > 0) this.#grownAtBytesPerMs = bytesPerMs; // else it is tried again: memory comes back
    this.#sizeBytes += grown;
    this.#deliveredBytes += grown; // goes with the next adjust
  }
}

/** A peer that fills its window sends half of it at least in the first round after it has doubled. */
const FULL_SHARE = 3 / 8;
/** For windows of twice this and more. At 1 GB/s it makes 2000 messages a second. */
const LEAST_ADJUST_BYTES = 512 * 1024;
/** By how much the last growth must have sped the peer up for another one. */
const WORTHWHILE = 5 / 4;
/** 500 MB/s: a window that allows this on its path is not in the way of any flow that one core can serve. */
const ENOUGH_BYTES_PER_MS = 500_000;
/** What a channel begins with at most, as OpenSSH (64 packets of 32 KiB): 160 Mbit/s at 100 ms of round trip. */
export const MAX_FIRST_WINDOW_BYTES = 2 * 1024 * 1024;
/** A channel always gets this much, so that the largest allowed number of them still works within the budget's order. */
export const MIN_WINDOW_BYTES = 16 * 1024;
/** Largest data we accept in one packet (RFC 4253 §6.1: every implementation handles 32768). */
export const MAX_PACKET_BYTES = 32 * 1024;
/** Smallest packet size that we serve: below it the peer costs us more CPU than its bytes are worth. */
export const MIN_PEER_PACKET_BYTES = 256;

/** Part of a connection's budget up to which windows may grow. */
const GROWTH_SHARE = 3 / 4;

/** Shares a connection's receive memory between its channels: the first ones get large windows, and each next one a
 *  quarter of what is left, so that the sum of all windows stays within the budget until the floor is reached. */
export class WindowBudget {
  readonly #budgetBytes: number;
  #grantedBytes = 0;

  constructor(budgetBytes: number) {
    this.#budgetBytes = budgetBytes;
  }
  get grantedBytes(): number {
    return this.#grantedBytes;
  }
  /** @param partBytes what all of the connection may hold now, whatever its budget; Infinity = its budget
   *  @param mostBytes more than that would be of no use */
  grant(partBytes: number, mostBytes: number = MAX_FIRST_WINDOW_BYTES): number {
    const share = Math.floor(Math.min(this.#budgetBytes - this.#grantedBytes, partBytes) / 4);
    const bytes = Math.min(mostBytes, Math.max(MIN_WINDOW_BYTES, Math.min(MAX_FIRST_WINDOW_BYTES, share)));
    this.#grantedBytes += bytes;
    return bytes;
  }
  /** More for one that has a window: a quarter of the budget stays for channels to come. @returns what is granted */
  grow(bytes: number): number {
    const room = Math.floor(this.#budgetBytes * GROWTH_SHARE) - this.#grantedBytes;
    const granted = Math.max(0, Math.min(bytes, room));
    this.#grantedBytes += granted;
    return granted;
  }
  release(bytes: number): void {
    this.#grantedBytes -= bytes;
  }
}
