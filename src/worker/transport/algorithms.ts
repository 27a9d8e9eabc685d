/** ALGORITHMS: what the server offers in KEXINIT (RFC 4253 §7.1), in the order of its own preference.
 *  The client's order decides; ours matters to readers and auditors. No compression (a bomb inflates before any limit
 *  sees it), no finite-field Diffie-Hellman (3 to 13 ms of CPU for whoever asks), no SHA-1, no CBC. */
import type { Offer, Ssh2 } from './ssh2.js';

export const KEX_ALGORITHMS = ['curve25519-sha256', 'curve25519-sha256@libssh.org', 'ecdh-sha2-nistp256'] as const;

export const CIPHERS = [
  'aes128-gcm@openssh.com',
  'aes256-gcm@openssh.com',
  'chacha20-poly1305@openssh.com',
  'aes128-ctr', // dbclient 2022 and Paramiko 2.12 know no GCM
  'aes256-ctr',
] as const;

const MACS = [
  'hmac-sha2-256-etm@openssh.com',
  'hmac-sha2-512-etm@openssh.com',
  'hmac-sha2-256', // dbclient has no encrypt-then-MAC
  'hmac-sha2-512',
] as const;

/** The announcement that strict key exchange is supported (CVE-2023-48795). It stands first in our list for a second
 *  reason: a packet that a client sends ahead of the negotiation counts only where both sides' first names are the same
 *  (RFC 4253 §7), and no client's first name is this. ssh2 1.17 throws every such packet away, the right ones too (it
 *  compares the agreed name with its own first letter), and dropbear, which always guesses, would wait for ever. */
const STRICT_KEX = 'kex-strict-s-v00@openssh.com';

/** The offer for the host keys at hand, made once per worker. */
export function makeOffer(ssh2: Ssh2, hostKeyAlgorithms: readonly string[]): object {
  const direction = { cipher: CIPHERS, mac: MACS, compress: ['none'], lang: [] };
  const offer: Offer = {
    kex: [STRICT_KEX, ...KEX_ALGORITHMS],
    serverHostKey: hostKeyAlgorithms,
    cs: direction,
    sc: direction,
  };
  return new ssh2.KexInit(offer);
}

/** Terrapin (CVE-2023-48795): without strict key exchange a man in the middle may cut messages off the start of a
 *  ChaCha20-Poly1305 stream. Such a pair is refused rather than served. */
export function isTerrapinExposed(cipher: string, strict: boolean): boolean {
  return !strict && cipher === 'chacha20-poly1305@openssh.com';
}
