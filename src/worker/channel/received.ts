/** RECEIVED: bytes of one channel that nobody has read yet.
 *  Owns their memory: one piece that grows, however small the packets are. Node's own queue costs a hundred bytes and more per
 *  packet, and a peer that sends its window byte by byte would have made 2 MiB a quarter of a GiB. */

/** What is given out at a time: as much as a reader may leave in its own queue. */
const MAX_GIVEN_BYTES = 64 * 1024;
const EMPTY = Buffer.alloc(0);

export class Received {
  readonly #maxBytes: () => number;
  #piece: Buffer = EMPTY;
  /** Of `#piece`, from here to there; what is before was given out and is never written to again. */
  #start = 0;
  #end = 0;

  /** @param maxBytes the channel's window as it is now, beyond which nothing comes; it may grow */
  constructor(maxBytes: () => number) {
    this.#maxBytes = maxBytes;
  }

  get bytes(): number {
    return this.#end - this.#start;
  }

  /** Copies: the bytes are the read buffer's, which is used again. */
  append(bytes: Buffer): void {
    if (this.#end + bytes.length > this.#piece.length) this.#grow(this.bytes + bytes.length);
    bytes.copy(this.#piece, this.#end);
    this.#end += bytes.length;
  }

  /** The oldest bytes, 64 KiB of them at most; they are the caller's. */
  take(): Buffer {
    const end = Math.min(this.#end, this.#start + MAX_GIVEN_BYTES);
    const taken = this.#piece.subarray(this.#start, end);
    this.#start = end;
    if (this.#start === this.#end) this.clear();
    return taken;
  }

  clear(): void {
    this.#piece = EMPTY;
    this.#start = 0;
    this.#end = 0;
  }

  #grow(bytes: number): void {
    const size = this.#piece.length === 0 ? bytes : Math.max(bytes, Math.min(2 * this.#piece.length, this.#maxBytes()));
    const piece = Buffer.allocUnsafeSlow(size);
    this.#piece.copy(piece, 0, this.#start, this.#end);
    this.#end -= this.#start;
    this.#start = 0;
    this.#piece = piece;
  }
}
