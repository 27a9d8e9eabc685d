/** OFFER: what the server says in KEXINIT (RFC 4253 §7.1), out of the names that the config leaves.
 *  Owns nothing. No compression: a bomb inflates before any limit sees it. */
import type { Offer, Ssh2, Ssh2KexInit } from './ssh2.js';

/** What ssh2 knows nothing of; it is given the stand-in, and the exchange that it makes for that is made another
 *  (exchanges.ts). */
export const HYBRID_KEX = 'mlkem768x25519-sha256';
export const HYBRID_STAND_IN = 'curve25519-sha256';

/** The announcement that strict key exchange is supported (CVE-2023-48795). It stands first in our list for a second
 *  reason: a packet that a client sends ahead of the negotiation counts only where both sides' first names are the same
 *  (RFC 4253 §7), and no client's first name is this. ssh2 1.17 throws every such packet away, the right ones too (it
 *  compares the agreed name with its own first letter), and dropbear, which always guesses, would wait for ever. */
const STRICT_KEX = 'kex-strict-s-v00@openssh.com';

/** Names in the order in which they are offered. */
export interface Algorithms {
  readonly kex: readonly string[];
  readonly ciphers: readonly string[];
  readonly macs: readonly string[];
  /** Only such as a host key at hand can sign with. */
  readonly hostKeys: readonly string[];
}

/** The offer of a worker, made once for all connections to come. */
export function makeOffer(ssh2: Ssh2, { kex, ciphers, macs, hostKeys }: Algorithms): Ssh2KexInit {
  const direction = { cipher: ciphers, mac: macs, compress: ['none'], lang: [] };
  const offer: Offer = { kex: [STRICT_KEX, ...kex], serverHostKey: hostKeys, cs: direction, sc: direction };
  const made = new ssh2.KexInit(offer);
  // What goes over the wire is written by now; by `array` ssh2 looks up what the peer's KEXINIT was made to say for it.
  made.lists.kex.array = [...kex, HYBRID_STAND_IN];
  return made;
}

/** Terrapin (CVE-2023-48795): without strict key exchange a man in the middle may cut messages off the start of a
 *  ChaCha20-Poly1305 stream. Such a pair is refused rather than served. (CBC with encrypt-then-MAC is the other one, and not
 *  offered; cut off a CTR stream, the rest decrypts to noise.) */
export function isTerrapinExposed(cipher: string, strict: boolean): boolean {
  return !strict && cipher === 'chacha20-poly1305@openssh.com';
}
