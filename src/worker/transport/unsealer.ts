/** UNSEALER: binary packets (RFC 4253 §6) decrypted in place in the read buffer, one after the other, with no state between
 *  reads: bytes of a packet that has not come whole are left to the reader, which reads on behind them.
 *  Owns the sequence number of one direction. It stands in the place of ssh2's decipher object, which allocates memory for
 *  the packet across each read's end: 128 MB for each GB that came, and a garbage collection for each 64 MB of it. */
import type { Buffers } from './buffers.js';
import type { Negotiated, ParseStep, Ssh2Decipher } from './ssh2.js';

/** RFC 4253 §6.1 asks for 35000 at least; ssh2 has it as the most. */
const MAX_PACKET_BYTES = 35_000;
const LENGTH_BYTES = 4;
const AEAD_TAG_BYTES = 16;

/** What a kind of cipher does with one packet. */
interface Opener {
  /** Of the tag or MAC behind the packet. */
  readonly tagBytes: number;
  /** `packet_length` must be a multiple of it. */
  readonly blockBytes: number;
  /** `packet_length` of the packet at `at`, of which four bytes are there. May be asked more than once. */
  measure(bytes: Uint8Array, at: number, sequence: number): number;
  /** Verifies and decrypts `packet` (padding length, payload, padding) in place. @throws when the tag does not fit */
  open(packet: Uint8Array, length: Uint8Array, tag: Uint8Array, sequence: number): void;
  free(): void;
}

export class Unsealer implements Ssh2Decipher {
  inSeqno: number;
  /** ssh2 puts its own in its place while keys are exchanged, and keeps what that is given. */
  _onPayload: (payload: Buffer) => ParseStep;
  readonly _packet = null;
  readonly #opener: Opener;
  readonly #onPayload: (payload: Buffer) => ParseStep;
  /** Of the worker: used within a call, never across. */
  readonly #length: Buffer;
  readonly #tag: Buffer;
  #leftBytes = 0;
  #wantedBytes = 0;

  constructor(sequence: number, opener: Opener, buffers: Buffers, onPayload: (payload: Buffer) => ParseStep) {
    this.inSeqno = sequence;
    this.#opener = opener;
    this.#length = buffers.scratch(LENGTH_BYTES);
    this.#onPayload = onPayload;
    this._onPayload = onPayload;
    this.#tag = buffers.scratch(opener.tagBytes);
  }

  /** Bytes at the end of the last `decrypt` that begin a packet. They must stand before the bytes of the next one. */
  get leftBytes(): number {
    return this.#leftBytes;
  }
  /** All bytes of that packet; 0 while it is not known. */
  get wantedBytes(): number {
    return this.#wantedBytes;
  }

  /** As ssh2's: opens the packets of `bytes[at..end)`. @returns undefined when there is no whole one left, or the offset at
   *  which another decipher goes on, as the receiver of a payload has said. @throws on what no honest peer sends */
  decrypt(bytes: Buffer, at: number, end: number): ParseStep {
    const { tagBytes, blockBytes } = this.#opener;
    this.#leftBytes = 0;
    let start = at;
    while (end - start >= LENGTH_BYTES) {
      const packetBytes = this.#opener.measure(bytes, start, this.inSeqno);
      if (packetBytes > MAX_PACKET_BYTES || packetBytes < 8 || packetBytes % blockBytes !== 0)
        throw new Error(`packet of ${packetBytes} bytes`);
      const next = start + LENGTH_BYTES + packetBytes + tagBytes;
      if (next > end) {
        this.#leave(end - start, next - start);
        return undefined;
      }
      const payload = this.#open(bytes, start, packetBytes);
      start = next;
      // During a key exchange ssh2 keeps slices of what it parsed until it is over.
      const step = this._onPayload(this._onPayload === this.#onPayload ? payload : Buffer.from(payload));
      if (step !== undefined) return step === false ? start : step;
    }
    this.#leave(end - start, 0);
    return undefined;
  }

  free(): void {
    this.#opener.free();
  }

  #leave(leftBytes: number, wantedBytes: number): void {
    this.#leftBytes = leftBytes;
    this.#wantedBytes = wantedBytes;
  }

  #open(bytes: Buffer, at: number, packetBytes: number): Buffer {
    const packetAt = at + LENGTH_BYTES;
    const tagAt = packetAt + packetBytes;
    // Byte by byte, since a view costs more than so few bytes.
    for (let i = 0; i < LENGTH_BYTES; i++) this.#length[i] = bytes[at + i] ?? 0;
    for (let i = 0; i < this.#tag.length; i++) this.#tag[i] = bytes[tagAt + i] ?? 0;
    const packet = new Uint8Array(bytes.buffer, bytes.byteOffset + packetAt, packetBytes);
    this.#opener.open(packet, this.#length, this.#tag, this.inSeqno);
    this.inSeqno = (this.inSeqno + 1) >>> 0;
    const payloadBytes = packetBytes - 1 - (packet[0] ?? 0);
    if (payloadBytes < 0) throw new Error('more padding than packet');
    return Buffer.from(bytes.buffer, packet.byteOffset + 1, payloadBytes);
  }
}

/** An unsealer for the keys just negotiated; null where ssh2's own decipher serves: without the native binding, and for MACs
 *  that cover the plain text, where the length can be read only once. */
export function makeUnsealer(
  decipher: Ssh2Decipher,
  negotiated: Negotiated,
  buffers: Buffers,
  onPayload: (payload: Buffer) => ParseStep,
): Unsealer | null {
  const opener = openerFor(decipher, negotiated.cs, buffers);
  return opener === null ? null : new Unsealer(decipher.inSeqno, opener, buffers, onPayload);
}

function openerFor(decipher: Ssh2Decipher, { cipher, mac }: Negotiated['cs'], buffers: Buffers): Opener | null {
  const { _instance: instance, _macActualLen: macBytes } = decipher; // not `decipher`, which holds a slice of Node's pool
  if (instance === undefined) return null;
  const free = (): void => instance.free?.();
  if (cipher.startsWith('chacha20') && instance.decryptLen !== undefined) {
    const { decryptLen } = instance;
    const sealedLength = buffers.scratch(LENGTH_BYTES);
    return {
      tagBytes: AEAD_TAG_BYTES,
      blockBytes: 8,
      measure(bytes, at, sequence) {
        for (let i = 0; i < LENGTH_BYTES; i++) sealedLength[i] = bytes[at + i] ?? 0;
        return decryptLen.call(instance, sealedLength, sequence); // remembers it for the MAC
      },
      open: (packet, _length, tag, sequence) => instance.decrypt(packet, tag, sequence),
      free,
    };
  }
  if (cipher.includes('gcm'))
    return {
      tagBytes: AEAD_TAG_BYTES,
      blockBytes: 16,
      measure: plainLength,
      open: (packet, _length, tag) => instance.decrypt(packet, packet.length, tag),
      free,
    };
  if (mac.includes('-etm@') && macBytes !== undefined)
    return {
      tagBytes: macBytes,
      blockBytes: 16,
      measure: plainLength,
      open: (packet, length, tag, sequence) => instance.decrypt(packet, sequence, length, tag),
      free,
    };
  return null;
}

/** RFC 5647 §7.2 and encrypt-then-MAC: the length travels in the clear. */
function plainLength(bytes: Uint8Array, at: number): number {
  const high = ((bytes[at] ?? 0) << 24) >>> 0;
  return high + (((bytes[at + 1] ?? 0) << 16) | ((bytes[at + 2] ?? 0) << 8) | (bytes[at + 3] ?? 0));
}
