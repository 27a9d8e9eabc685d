/** UNSEAL PHASE: sealed packets on their way into the transport's decoder, with a byte, a length or a padding changed on the
 *  way or by whoever sealed them, in pieces of any size. What is handed on are the packets as they were sent, in order, and
 *  nothing from the first harmed one on.
 *  Owns a direction with keys of its own for the time of a case. */
import { createRequire } from 'node:module';
import { CIPHERS } from '../../src/shared/algorithms.js';
import { reasonOf } from '../../src/shared/errors.js';
import { Buffers } from '../../src/worker/transport/buffers.js';
import { PACKET_HEADER_BYTES } from '../../src/worker/transport/sealer.js';
import type { Negotiated, Ssh2Cipher, Ssh2Decipher } from '../../src/worker/transport/ssh2.js';
import { makeUnsealer } from '../../src/worker/transport/unsealer.js';
import { EDGES, mutateBytes } from './mutate.js';
import type { CaseResult, Phase, Tell } from './phase.js';
import { Random, seedOf } from './random.js';

const crypto: {
  readonly CIPHER_INFO: Record<string, { readonly keyLen: number; readonly ivLen: number }>;
  readonly MAC_INFO: Record<string, { readonly len: number }>;
  createCipher(config: object): Ssh2Cipher;
  createDecipher(config: object): Ssh2Decipher;
} = createRequire(import.meta.url)('ssh2/lib/protocol/crypto.js');

const MACS = ['hmac-sha2-256-etm@openssh.com', 'hmac-sha2-512-etm@openssh.com', 'hmac-sha2-256', 'hmac-sha2-512'];
const SUITES = CIPHERS.flatMap((cipher) =>
  cipher.includes('ctr') ? MACS.map((mac) => ({ cipher, mac })) : [{ cipher, mac: '' }],
);
const MOST_PACKETS = 8;
/** Beyond the bytes that are given, in which nothing may be written. */
const GUARD = 0xee;
const GUARD_BYTES = 8;
const GUARDS = Buffer.alloc(GUARD_BYTES, GUARD);

export class UnsealPhase implements Phase {
  readonly name = 'unseal';
  readonly concurrency = 1;
  readonly #buffers = new Buffers();

  async run(seed: number, index: number, tell: Tell | null): Promise<CaseResult> {
    const random = new Random(seedOf(seed, this.name, index));
    const { cipher, mac } = random.pick(SUITES);
    const { seal, decipher } = direction(cipher, mac, random);
    const count = 1 + random.below(MOST_PACKETS);
    const harmed = random.below(count);
    const byKeyHolder = random.chance(0.4);
    const payloads: Buffer[] = [];
    const packets: Buffer[] = [];
    while (packets.length < count) {
      const payload = random.bytes(1 + random.below(random.chance(0.98) ? 100 : 20_000));
      payloads.push(payload);
      packets.push(seal(payload, byKeyHolder && packets.length === harmed ? random : null));
    }
    tell?.(`${cipher} ${mac}, packet ${harmed} of ${count} harmed ${byKeyHolder ? 'before' : 'after'} it is sealed`);
    const sent = byKeyHolder ? packets : packets.with(harmed, mutateBytes(packets[harmed] ?? EMPTY, random));
    const given: Buffer[] = [];
    const onPayload = (payload: Buffer): undefined => void given.push(Buffer.from(payload));
    const unsealer = makeUnsealer(decipher, negotiated(cipher, mac), this.#buffers, onPayload);
    decipher._onPayload = onPayload; // where ssh2's own serves
    const faults: string[] = [];
    const fed = feed(unsealer ?? decipher, () => unsealer?.leftBytes ?? 0, Buffer.concat(sent), random);
    if (fed.refused !== null) tell?.(`refused: ${fed.refused}`);
    if (fed.wroteBeyond) faults.push('wrote beyond the bytes that it was given');
    (unsealer ?? decipher).free();
    // What the key holder says of a packet may be another one than was meant; it must not touch those beside it.
    const sound = byKeyHolder ? harmed : wholeBefore(packets, sent);
    if (given.length < sound) faults.push(`${given.length} of ${sound} sound packets were given`);
    if (!byKeyHolder && given.length > sound) faults.push(`${given.length} packets were given, ${sound} are sound`);
    if (given.some((payload, at) => (at !== harmed || !byKeyHolder) && payloads[at]?.equals(payload) !== true))
      faults.push('a packet was changed');
    const changed = byKeyHolder || sent[harmed]?.equals(packets[harmed] ?? EMPTY) !== true;
    return { packets: count, mutated: changed ? 1 : 0, faults };
  }

  async check(): Promise<readonly string[]> {
    return [];
  }
  async close(): Promise<readonly string[]> {
    return [];
  }
}

/** One direction with keys of its own: ssh2's cipher, and the decipher that ssh2 makes for it. */
function direction(cipher: string, mac: string, random: Random) {
  const info = crypto.CIPHER_INFO[cipher] ?? { keyLen: 0, ivLen: 0 };
  const macInfo = crypto.MAC_INFO[mac];
  const seqno = random.pick([0, 3, 0xffff_fffd]);
  const [iv, key, macKey] = [info.ivLen, info.keyLen, macInfo?.len ?? 0].map((length) => random.bytes(length));
  const written: Buffer[] = [];
  const sealer = crypto.createCipher({
    outbound: {
      onWrite: (data: Buffer) => written.push(Buffer.from(data)),
      seqno,
      cipherInfo: info,
      cipherIV: iv,
      cipherKey: key,
      macInfo,
      macKey,
    },
  });
  const inbound = { onPayload: ignore, seqno, decipherInfo: info, decipherIV: iv, decipherKey: key, macInfo, macKey };
  return {
    decipher: crypto.createDecipher({ inbound }),
    /** @param spoilt tells of its length or its padding what is not so, and seals that */
    seal(payload: Buffer, spoilt: Random | null): Buffer {
      const packet = sealer.allocPacket(payload.length);
      packet.set(payload, PACKET_HEADER_BYTES);
      if (spoilt?.chance(0.5) === true) packet.writeUInt8(spoilt.below(256), PACKET_HEADER_BYTES - 1);
      else if (spoilt !== null) packet.writeUInt32BE(spoilt.pick(EDGES), 0);
      sealer.encrypt(packet);
      return Buffer.concat(written.splice(0));
    },
  };
}

function negotiated(cipher: string, mac: string): Negotiated {
  return { kex: '', serverHostKey: '', cs: { cipher, mac }, sc: { cipher, mac } };
}

/** Packets that lie whole before the first byte that was changed. */
function wholeBefore(packets: readonly Buffer[], sent: readonly Buffer[]): number {
  const [before, after] = [Buffer.concat(packets), Buffer.concat(sent)];
  let same = 0;
  while (same < before.length && before[same] === after[same]) same++;
  let end = 0;
  return packets.filter((packet) => {
    end += packet.length;
    return end <= same;
  }).length;
}

interface Fed {
  /** What the decoder threw. */
  readonly refused: string | null;
  readonly wroteBeyond: boolean;
}

/** Gives the bytes in pieces as the reader does: what was left stands before what comes. */
function feed(decipher: Pick<Ssh2Decipher, 'decrypt'>, leftBytes: () => number, bytes: Buffer, random: Random): Fed {
  const most = random.pick(bytes.length < 2_000 ? [1, 7, 100, 2_000] : [1_000, 5_000, 100_000]);
  let left = EMPTY;
  let refused: string | null = null;
  let wroteBeyond = false;
  for (let at = 0; at < bytes.length && refused === null; ) {
    const piece = bytes.subarray(at, at + 1 + random.below(most));
    at += piece.length;
    const read = Buffer.alloc(left.length + piece.length + 2 * GUARD_BYTES, GUARD);
    read.set(left, GUARD_BYTES);
    read.set(piece, GUARD_BYTES + left.length);
    const end = read.length - GUARD_BYTES;
    try {
      decipher.decrypt(read, GUARD_BYTES, end);
    } catch (thrown) {
      refused = reasonOf(thrown);
    }
    wroteBeyond ||= !read.subarray(0, GUARD_BYTES).equals(GUARDS) || !read.subarray(end).equals(GUARDS);
    left = Buffer.from(read.subarray(end - leftBytes(), end));
  }
  return { refused, wroteBeyond };
}

const EMPTY = Buffer.alloc(0);
function ignore(): undefined {}
