/** KEY AGE: how much the keys in force have protected in each direction, and how often the peer asks for new ones.
 *  Owns these counts of one connection. Decides only; the transport exchanges the keys. */

/** RFC 4253 §9 leaves the pace of re-keying open; a key exchange costs us 0.2 to 1 ms, and 4 more with an RSA host key of 4096 bits,
 *  so a peer that asks for new keys after less traffic than this may do so ten times a minute. One that only keeps to a time limit never
 *  comes near that. OpenSSH with `RekeyLimit 256K` sends one full packet under each set of keys: for its limit in blocks of 8 bytes it
 *  counts the packet in bytes (packet.c, ssh_packet_need_rekeying). Price: whoever has logged in makes us exchange keys for each 32 KiB. */
const IDLE_BYTES = 32 * 1024;
const MAX_IDLE_REKEYS = 10;
const IDLE_SPAN_MS = 60_000;

/** Whichever is reached first, in either direction. Each direction has a key of its own (RFC 4253 §7.2), so neither counts
 *  for the other. */
export interface RekeyLimits {
  readonly bytes: number;
  /** At most 2^31 (RFC 4344 §3.1). The exchange itself has a deadline, in which nobody sends as many again: a sequence number
   *  never comes twice under one key. */
  readonly packets: number;
  readonly timeMs: number;
}

export class KeyAge {
  readonly #limits: RekeyLimits;
  #sentBytes = 0;
  #sentPackets = 0;
  #receivedBytes = 0;
  #receivedPackets = 0;
  #sinceMs: number;
  #idleRekeys = 0;
  #idleRekeysSinceMs = Number.NEGATIVE_INFINITY;

  constructor(limits: RekeyLimits, nowMs: number) {
    this.#limits = limits;
    this.#sinceMs = nowMs;
  }

  /** A packet of ours. @param bytes as they are encrypted */
  countSent(bytes: number): void {
    this.#sentBytes += bytes;
    this.#sentPackets++;
  }
  /** A packet of the peer's. Not the reads: one may hold the end of the old keys' packets and many of the new ones'.
   *  @param bytes as they were encrypted */
  countReceived(bytes: number): void {
    this.#receivedBytes += bytes;
    this.#receivedPackets++;
  }
  /** Packets under these keys, both ways. */
  get packets(): number {
    return this.#sentPackets + this.#receivedPackets;
  }

  /** Cheap enough for every read: true when `isDue` is so whatever the time. */
  get isWorn(): boolean {
    const { bytes, packets } = this.#limits;
    return (
      this.#sentBytes >= bytes ||
      this.#receivedBytes >= bytes ||
      this.#sentPackets >= packets ||
      this.#receivedPackets >= packets
    );
  }
  isDue(nowMs: number): boolean {
    return this.isWorn || nowMs - this.#sinceMs >= this.#limits.timeMs;
  }

  /** New keys are in force. */
  renew(nowMs: number): void {
    this.#sentBytes = 0;
    this.#sentPackets = 0;
    this.#receivedBytes = 0;
    this.#receivedPackets = 0;
    this.#sinceMs = nowMs;
  }

  /** The peer asks for new keys. @returns true when it does so too often for what is sent */
  isStorm(nowMs: number): boolean {
    if (this.#sentBytes + this.#receivedBytes >= IDLE_BYTES) return false;
    if (nowMs - this.#idleRekeysSinceMs >= IDLE_SPAN_MS) {
      this.#idleRekeysSinceMs = nowMs;
      this.#idleRekeys = 0;
    }
    return ++this.#idleRekeys > MAX_IDLE_REKEYS;
  }
}
