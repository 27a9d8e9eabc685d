/** KEY AGE: how much one set of keys has protected, and how often the peer asks for new ones.
 *  Owns these counts of one connection. Decides only; the transport exchanges the keys. */

/** RFC 4344 §3.1: packets under one key, either way. */
const MAX_PACKETS = 2 ** 31;
/** RFC 4253 §9 leaves the pace of re-keying open; a key exchange costs us 0.2 ms, so a peer that asks for new keys after
 *  less traffic than this may do so ten times a minute. One that only keeps to a time limit never comes near that. */
const IDLE_BYTES = 64 * 1024;
const MAX_IDLE_REKEYS = 10;
const IDLE_SPAN_MS = 60_000;

export interface RekeyLimits {
  /** Both directions together. */
  readonly bytes: number;
  readonly timeMs: number;
}

export class KeyAge {
  readonly #limits: RekeyLimits;
  #bytes = 0;
  #packets = 0;
  #sinceMs: number;
  #idleRekeys = 0;
  #idleRekeysSinceMs = Number.NEGATIVE_INFINITY;

  constructor(limits: RekeyLimits, nowMs: number) {
    this.#limits = limits;
    this.#sinceMs = nowMs;
  }

  countBytes(bytes: number): void {
    this.#bytes += bytes;
  }
  /** Bytes under these keys, both ways; before the first ones, those without keys. */
  get bytes(): number {
    return this.#bytes;
  }
  /** Packets under these keys, both ways. */
  get packets(): number {
    return this.#packets;
  }
  countPacket(): void {
    this.#packets++;
  }

  /** Cheap enough for every read: true when `isDue` is so for the bytes' sake. */
  get isWorn(): boolean {
    return this.#bytes >= this.#limits.bytes;
  }
  isDue(nowMs: number): boolean {
    return this.isWorn || nowMs - this.#sinceMs >= this.#limits.timeMs || this.#packets >= MAX_PACKETS;
  }

  /** New keys are in force. */
  renew(nowMs: number): void {
    this.#bytes = 0;
    this.#packets = 0;
    this.#sinceMs = nowMs;
  }

  /** The peer asks for new keys. @returns true when it does so too often for what it sends */
  isStorm(nowMs: number): boolean {
    if (this.#bytes >= IDLE_BYTES) return false;
    if (nowMs - this.#idleRekeysSinceMs >= IDLE_SPAN_MS) {
      this.#idleRekeysSinceMs = nowMs;
      this.#idleRekeys = 0;
    }
    return ++this.#idleRekeys > MAX_IDLE_REKEYS;
  }
}
