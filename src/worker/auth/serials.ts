/** SERIALS: a set of certificate serials, as a KRL writes them: single, in ranges, in bitmaps.
 *  Owns the set. 16 bytes a range and the bytes of the bitmaps; found in logarithmic time. */

/** OpenSSH's SSHBUF_MAX_BIGNUM, and a sign byte. */
const MAX_BITMAP_BYTES = 16384 / 8 + 1;
const MAX_SERIAL = 0xffff_ffff_ffff_ffffn;

interface Bitmap {
  readonly offset: bigint;
  /** Highest bits first. */
  readonly bits: Buffer;
}

export class Serials {
  #ranges: (readonly [first: bigint, last: bigint])[] = [];
  #firsts = new BigUint64Array();
  #lasts = new BigUint64Array();
  readonly #bitmaps: Bitmap[] = [];

  /** False for what is no range: the wrong way round, or from 0, which stands for "no serial". */
  addRange(first: bigint, last: bigint): boolean {
    if (first === 0n || first > last) return false;
    this.#ranges.push([first, last]);
    return true;
  }

  /** Bit N of the number `mpint` is serial `offset + N`. False for one that is negative, too long, or goes beyond 64 bits or to
   *  serial 0. */
  addBitmap(offset: bigint, mpint: Buffer): boolean {
    if ((mpint[0] ?? 0) >= 0x80 || mpint.length > MAX_BITMAP_BYTES) return false;
    let zeros = 0;
    while (mpint[zeros] === 0) zeros += 1;
    const bits = mpint.subarray(zeros);
    const top = bits.length * 8 - Math.clz32(bits[0] ?? 0) + 24 - 1;
    if (bits.length > 0 && offset + BigInt(top) > MAX_SERIAL) return false;
    if (offset === 0n && ((bits.at(-1) ?? 0) & 1) === 1) return false;
    if (bits.length > 0) this.#bitmaps.push({ offset, bits });
    return true;
  }

  /** After the last `add`. */
  seal(): void {
    const merged: [bigint, bigint][] = [];
    for (const [first, last] of this.#ranges.sort(([a], [b]) => (a < b ? -1 : a > b ? 1 : 0))) {
      const before = merged.at(-1);
      if (before === undefined || first > before[1]) merged.push([first, last]);
      else if (last > before[1]) before[1] = last;
    }
    this.#ranges = [];
    this.#firsts = BigUint64Array.from(merged, ([first]) => first);
    this.#lasts = BigUint64Array.from(merged, ([, last]) => last);
  }

  /** Never serial 0, which a CA writes that does not number: nothing that holds it is added. */
  has(serial: bigint): boolean {
    return this.#inRange(serial) || this.#bitmaps.some((bitmap) => inBitmap(bitmap, serial));
  }

  #inRange(serial: bigint): boolean {
    // The last range that begins at or before it.
    let low = 0;
    let high = this.#firsts.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if ((this.#firsts[middle] ?? MAX_SERIAL) <= serial) low = middle + 1;
      else high = middle;
    }
    return low > 0 && serial <= (this.#lasts[low - 1] ?? 0n);
  }
}

function inBitmap({ offset, bits }: Bitmap, serial: bigint): boolean {
  const bit = serial - offset;
  if (bit < 0n || bit >= BigInt(bits.length * 8)) return false;
  const byte = bits[bits.length - 1 - Number(bit >> 3n)] ?? 0;
  return ((byte >> Number(bit & 7n)) & 1) === 1;
}
