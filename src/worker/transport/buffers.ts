/** BUFFERS: the memory that reads go into and sealed packets come out of, shared by all connections of a worker.
 *  Owns the slabs and the read buffers. Promises that a buffer is lent to one user at a time and never re-used while
 *  anything still refers to it; an idle connection owns none. */
import { Lingerers } from './lingerers.js';
import { Turns } from './turns.js';

/** Reads of a connection that moves little: one buffer for all of them, consumed within the read's callback. */
export const SMALL_READ_BYTES = 16 * 1024;
/** Reads of a bulk flow: the size of the step is the lever on CPU per byte (DECISIONS 9). */
const LARGE_READ_BYTES = 256 * 1024;
/** Sealed output of one turn: a 256 KiB read in 32 KiB packets with their overhead, and room for control messages. */
const SLAB_BYTES = LARGE_READ_BYTES + 16 * 1024;
/** While so many are lent, the next ones are smaller: a thousand connections that all send in one turn would take 270 MiB for it. */
const MAX_SLABS_LENT = 64;
const SMALL_SLAB_BYTES = 64 * 1024;
/** Large buffers lent at one time; a connection that gets none goes on with the small one. Bounds a worker to 16 MiB. */
const MAX_LARGE_LENT = 64;
/** Free buffers kept for the next borrower; the rest goes to the garbage collector. */
const MAX_KEPT = 8;

/** A large read buffer on loan. It goes back to the pool when its reader has let go and no write refers to it any more. */
export class ReadLease {
  readonly buffer: Buffer;
  readonly #giveBack: (buffer: Buffer) => void;
  #references = 1;

  constructor(buffer: Buffer, giveBack: (buffer: Buffer) => void) {
    this.buffer = buffer;
    this.#giveBack = giveBack;
  }

  get isShared(): boolean {
    return this.#references > 1;
  }
  retain(): void {
    this.#references++;
  }
  release(): void {
    this.#references--;
    if (this.#references === 0) this.#giveBack(this.buffer);
  }
}

export class Buffers {
  /** For reads of sockets whose bytes are consumed before the callback returns. */
  readonly smallRead = Buffer.allocUnsafeSlow(SMALL_READ_BYTES);
  /** The same for forward targets, whose bytes are always copied on sealing. */
  readonly targetRead = Buffer.allocUnsafeSlow(LARGE_READ_BYTES);
  /** How much each socket may bring into them before it gives way to the others. */
  readonly turns = new Turns();
  readonly #scratch = new Map<number, Buffer>();
  readonly #freeLarge: Buffer[] = [];
  readonly #freeSlabs: Buffer[] = [];
  #slabsLent = 0;
  #largeLent = 0;
  /** Relays whose target still takes bytes beyond its channel's end. */
  readonly lingerers = new Lingerers();

  /** A few bytes to be used within a call, by everybody: one buffer for each size. */
  scratch(bytes: number): Buffer {
    const known = this.#scratch.get(bytes);
    if (known !== undefined) return known;
    const made = Buffer.alloc(bytes);
    this.#scratch.set(bytes, made);
    return made;
  }

  /** @returns null when too many are lent; the caller then stays with `smallRead` */
  borrowLarge(): ReadLease | null {
    if (this.#largeLent >= MAX_LARGE_LENT) return null;
    this.#largeLent++;
    const buffer = this.#freeLarge.pop() ?? Buffer.allocUnsafeSlow(LARGE_READ_BYTES);
    return new ReadLease(buffer, this.#takeBackLarge);
  }

  /** At least twice what the largest packet takes. */
  borrowSlab(): Buffer {
    if (++this.#slabsLent > MAX_SLABS_LENT) return Buffer.allocUnsafeSlow(SMALL_SLAB_BYTES);
    return this.#freeSlabs.pop() ?? Buffer.allocUnsafeSlow(SLAB_BYTES);
  }

  returnSlab(slab: Buffer): void {
    this.#slabsLent--;
    if (slab.length === SLAB_BYTES && this.#freeSlabs.length < MAX_KEPT) this.#freeSlabs.push(slab);
  }

  readonly #takeBackLarge = (buffer: Buffer): void => {
    this.#largeLent--;
    if (this.#freeLarge.length < MAX_KEPT) this.#freeLarge.push(buffer);
  };
}
