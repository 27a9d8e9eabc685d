/** WITHIN EXCHANGE: what a peer may say while keys are exchanged, behind its KEXINIT and before its NEWKEYS (RFC 4253 §7.1).
 *  Owns nothing. Decides only; transport.ts acts on the answer. */
import { MSG } from '../../shared/protocol.js';

/** What a message is behind the peer's KEXINIT and before its NEWKEYS. */
export type Within = 'exchange' | 'disconnect' | 'ignored' | 'ordinary' | 'forbidden';

/** Clients that send data within an exchange all the same: asyncssh as Debian 12 has it, whose patch for CVE-2023-48795 took the test
 *  for it out. sshd never looks, so its users have not noticed; here they would be cut after each GiB or hour. What it sends is
 *  sealed with the old keys and in order, as before its KEXINIT, and our answers wait either way. */
const CARELESS: readonly string[] = ['AsyncSSH_2.10.1'];

/** @param software of the peer, by its ident (ident.ts) */
export function isCareless(software: string): boolean {
  const [name = ''] = software.split(' ');
  return CARELESS.includes(name);
}

/** RFC 4253 §7.1: of the generic messages all but the service requests, then those of the exchange itself, and no other: whoever has
 *  sent its KEXINIT sends no data, and no second one. Generic ones that nobody knows (8 to 19) end the connection, here as outside,
 *  where §11.4 asks for UNIMPLEMENTED: no client has ever sent one that was not negotiated.
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
