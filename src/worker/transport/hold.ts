/** HOLD: what of ours waits for the end of a key exchange (RFC 4253 §7.1).
 *  Owns the messages that wait. Whoever fills it bounds it: channel data never comes here, it waits at its source. */
import type { MemoryAccount } from '../memory.js';

/** A message that waits is an object of its own, and costs this much beside its bytes. */
const OVERHEAD_BYTES = 128;

export class Hold {
  readonly #account: Pick<MemoryAccount, 'add'>;
  #payloads: Buffer[] = [];
  #bytes = 0;

  /** @param account where the bytes are counted */
  constructor(account: Pick<MemoryAccount, 'add'>) {
    this.#account = account;
  }

  get bytes(): number {
    return this.#bytes;
  }

  /** Keeps a copy. */
  keep(payload: Uint8Array): void {
    this.#payloads.push(Buffer.from(payload));
    const bytes = payload.length + OVERHEAD_BYTES;
    this.#bytes += bytes;
    this.#account.add(bytes);
  }

  /** All that waits, in order; from now on nothing does. */
  release(): readonly Buffer[] {
    const payloads = this.#payloads;
    this.#account.add(-this.#bytes);
    this.#payloads = [];
    this.#bytes = 0;
    return payloads;
  }
}
