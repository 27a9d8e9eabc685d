/** SEALER: binary packets (RFC 4253 §6) written and encrypted in place in a slab of ours, many into one write.
 *  Owns nothing but the layout of the cipher in force. ssh2's own path allocates a Buffer per packet and, with AES-GCM
 *  without its binding, writes three times; this one allocates a view per packet. */
import type { Negotiated, Ssh2Cipher } from './ssh2.js';

/** `uint32 packet_length`, `byte padding_length`: the payload starts behind them. */
export const PACKET_HEADER_BYTES = 5;
/** Upper bound of what a packet adds to its payload: header, up to 19 bytes of padding, the largest MAC. */
export const PACKET_OVERHEAD_BYTES = PACKET_HEADER_BYTES + 19 + 64;

export interface Sealer {
  /** Seals the payload that already stands at `at + PACKET_HEADER_BYTES` of `slab` into one packet that starts at `at`.
   *  @returns the offset behind the packet */
  seal(slab: Buffer, at: number, payloadBytes: number): number;
}

/** A sealer for the cipher just negotiated, or null where the native binding is missing (then ssh2's `encrypt` serves). */
export function makeSealer(cipher: Ssh2Cipher, negotiated: Negotiated): Sealer | null {
  const instance = cipher._instance;
  if (instance === undefined) return null;
  const name = negotiated.sc.cipher;
  const chacha = name.startsWith('chacha20');
  const aead = chacha || name.includes('gcm');
  const blockBytes = chacha ? 8 : 16;
  // The length field lies outside the block structure of AEAD ciphers and of encrypt-then-MAC (RFC 5647 §7.2).
  const outsideBytes = aead ? 4 : (cipher._aadLen ?? 0);
  const macBytes = aead ? 16 : (cipher._macLen ?? 0);
  return {
    seal(slab, at, payloadBytes) {
      const unpadded = PACKET_HEADER_BYTES + payloadBytes;
      let paddingBytes = blockBytes - ((unpadded - outsideBytes) & (blockBytes - 1));
      if (paddingBytes < 4) paddingBytes += blockBytes; // RFC 4253 §6: at least four bytes
      const packetBytes = unpadded + paddingBytes;
      slab.writeUInt32BE(packetBytes - 4, at);
      slab[at + 4] = paddingBytes;
      // RFC 4253 §6: padding SHOULD be random. None of the offered ciphers needs it (DECISIONS 8), and a call to the
      // random generator per packet costs more than sealing a small one.
      slab.fill(0, at + unpadded, at + packetBytes);
      const end = at + packetBytes + macBytes;
      instance.encrypt(slab.subarray(at, end), cipher.outSeqno);
      cipher.outSeqno = (cipher.outSeqno + 1) >>> 0;
      return end;
    },
  };
}
