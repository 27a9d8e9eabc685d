/** HOLD: a key exchange while it is under way (RFC 4253 §7.1): what of ours waits for its end, and what the peer may say in it.
 *  Owns the messages that wait. Whoever fills it bounds it: channel data never comes here, it waits at its source. */
import { MSG } from '../../shared/protocol.js';
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

/** What a message is behind the peer's KEXINIT and before its NEWKEYS. */
export type Within = 'exchange' | 'disconnect' | 'ignored' | 'forbidden';

/** RFC 4253 §7.1: of the generic messages all but the service requests, then those of the exchange itself, and no other: whoever has
 *  sent its KEXINIT sends no data, and no second one. @param type undefined: an empty payload, which ssh2 passes over */
export function within(type: number | undefined): Within {
  switch (type) {
    case MSG.DISCONNECT:
      return 'disconnect';
    case undefined:
    case MSG.IGNORE:
    case MSG.UNIMPLEMENTED:
    case MSG.DEBUG:
    case MSG.EXT_INFO:
      return 'ignored';
    case MSG.NEWKEYS:
      return 'exchange';
    default:
      return type >= 30 && type <= 49 ? 'exchange' : 'forbidden'; // RFC 4251 §7: 30 to 49 are the method's own
  }
}
