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

/** What the peer may still send. Credit is given back only for bytes that the other side's socket has taken, so the
 *  bytes that we hold for a channel never exceed its size. */
export class ReceiveWindow {
  readonly #sizeBytes: number;
  #openBytes: number;
  #deliveredBytes = 0;

  /** @param sizeBytes what the open or its confirmation announced */
  constructor(sizeBytes: number) {
    this.#sizeBytes = sizeBytes;
    this.#openBytes = sizeBytes;
  }
  get sizeBytes(): number {
    return this.#sizeBytes;
  }
  /** Data has come. @returns false when the peer sent more than it may */
  consume(bytes: number): boolean {
    if (bytes > this.#openBytes) return false;
    this.#openBytes -= bytes;
    return true;
  }
  /** Data has been delivered. @returns the amount of a WINDOW_ADJUST to send now, or 0. Half a window at a time: one
   *  message per half-window instead of one per packet, and the other half keeps the peer busy meanwhile. */
  deliver(bytes: number): number {
    this.#deliveredBytes += bytes;
    if (this.#deliveredBytes * 2 < this.#sizeBytes) return 0;
    const adjust = this.#deliveredBytes;
    this.#deliveredBytes = 0;
    this.#openBytes += adjust;
    return adjust;
  }
}

/** As OpenSSH (64 packets of 32 KiB): 160 Mbit/s at 100 ms of round trip. */
export const MAX_WINDOW_BYTES = 2 * 1024 * 1024;
/** A channel always gets this much, so that the largest allowed number of them still works within the budget's order. */
export const MIN_WINDOW_BYTES = 16 * 1024;
/** Largest data we accept in one packet (RFC 4253 §6.1: every implementation handles 32768). */
export const MAX_PACKET_BYTES = 32 * 1024;
/** Smallest packet size that we serve: below it the peer costs us more CPU than its bytes are worth. */
export const MIN_PEER_PACKET_BYTES = 256;

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
  grant(): number {
    const share = Math.floor((this.#budgetBytes - this.#grantedBytes) / 4);
    const bytes = Math.max(MIN_WINDOW_BYTES, Math.min(MAX_WINDOW_BYTES, share));
    this.#grantedBytes += bytes;
    return bytes;
  }
  release(bytes: number): void {
    this.#grantedBytes -= bytes;
  }
}
