/** CONTENT: what a flow carries in one direction, and whether that is what arrived.
 *  Owns a cipher. It is the key stream of a name: never the same at two places, so that a byte that is lost, doubled, moved or
 *  another flow's is found where it stands, also in a stream that was cut. */
import { createCipheriv, createHash } from 'node:crypto';

export class Content {
  readonly #cipher: ReturnType<typeof createCipheriv>;

  /** @param name one stream for each */
  constructor(name: string) {
    this.#cipher = createCipheriv('aes-128-ctr', createHash('sha256').update(name).digest().subarray(0, 16), ZERO_IV);
  }

  next(bytes: number): Buffer {
    return this.#cipher.update(Buffer.alloc(bytes));
  }

  /** Goes on by the length of `bytes`. @returns where the first byte stands that differs, else -1 */
  differsAt(bytes: Buffer): number {
    const expected = this.next(bytes.length);
    return expected.equals(bytes) ? -1 : expected.findIndex((byte, at) => byte !== bytes[at]);
  }
}

const ZERO_IV = Buffer.alloc(16);
