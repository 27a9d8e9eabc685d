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
export type Within = 'exchange' | 'disconnect' | 'ignored' | 'ordinary' | 'forbidden';

/** Clients that send data within an exchange all the same: asyncssh as Debian 12 has it, whose patch for CVE-2023-48795 took the test
 *  for it out. sshd never looks, so its users have not noticed; here they would be cut after each GiB or hour. What it sends is
 *  sealed with the old keys and in order, as before its KEXINIT, and our answers wait either way. */
const CARELESS: readonly string[] = ['AsyncSSH_2.10.1'];

/** @param identLine of the peer, with or without its end */
export function isCareless(identLine: string): boolean {
  const [software = ''] = identLine.trimEnd().replace('SSH-2.0-', '').split(' ');
  return CARELESS.includes(software);
}

/** RFC 4253 §7.1: of the generic messages all but the service requests, then those of the exchange itself, and no other: whoever has
 *  sent its KEXINIT sends no data, and no second one.
 *  @param type undefined: an empty payload, which ssh2 passes over
 *  @param careless what `isCareless` says of the peer */
export function within(type: number | undefined, careless: boolean): Within {
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
      // RFC 4251 §7: 30 to 49 are the method's own, 80 to 127 the connection protocol's.
      if (type >= 30 && type <= 49) return 'exchange';
      return careless && type >= 80 && type <= 127 ? 'ordinary' : 'forbidden';
  }
}
