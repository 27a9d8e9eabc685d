/** PATTERN: a stream that tells whether it arrived whole. Numbered blocks of noise; both ends count the bytes and keep a
 *  CRC-32, which costs a tenth of what a cryptographic hash would: nobody forges here, and the processor that checks is
 *  the processor that serves. A block lost, doubled, torn or out of order changes it. */
import { createCipheriv } from 'node:crypto';
import { crc32 } from 'node:zlib';

export const BLOCK_BYTES = 1024 * 1024;

export interface Digest {
  readonly bytes: number;
  readonly crc32: number;
}

/** Makes the stream. `next()` hands out one of two blocks in turn: a block may be in flight while the other is filled, no
 *  longer. */
export class PatternSource {
  readonly #blocks: readonly [Buffer, Buffer];
  #number = 0;
  #crc = 0;
  #left: number;
  readonly #bytes: number;

  constructor(bytes: number) {
    const noise = noiseBlock();
    this.#blocks = [noise, Buffer.from(noise)];
    this.#bytes = bytes;
    this.#left = bytes;
  }

  /** @returns null when all has been handed out */
  next(): Buffer | null {
    if (this.#left === 0) return null;
    const block = this.#blocks[this.#number % 2 === 0 ? 0 : 1];
    block.writeUInt32BE(this.#number++, 0);
    const bytes = Math.min(this.#left, BLOCK_BYTES);
    const part = bytes === BLOCK_BYTES ? block : block.subarray(0, bytes);
    this.#left -= bytes;
    this.#crc = crc32(part, this.#crc);
    return part;
  }

  /** Of what has been handed out. */
  get digest(): Digest {
    return { bytes: this.#bytes - this.#left, crc32: this.#crc };
  }
}

/** Receives the stream. */
export class PatternSink {
  #bytes = 0;
  #crc = 0;

  take(bytes: Uint8Array): void {
    this.#bytes += bytes.length;
    this.#crc = crc32(bytes, this.#crc);
  }
  get digest(): Digest {
    return { bytes: this.#bytes, crc32: this.#crc };
  }
}

export function equalDigests(a: Digest, b: Digest): boolean {
  return a.bytes === b.bytes && a.crc32 === b.crc32;
}

/** The same for everybody: AES-CTR over zeros. Not compressible, not random. */
function noiseBlock(): Buffer {
  const cipher = createCipheriv('aes-128-ctr', Buffer.alloc(16, 'sallyport'), Buffer.alloc(16));
  return cipher.update(Buffer.alloc(BLOCK_BYTES));
}
