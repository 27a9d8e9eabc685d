/** RFC 4253 §6: what ssh2's ciphers seal, the unsealer opens in place: every cipher that it takes, every length, however the
 *  stream is cut, with the part of a packet carried as the reader carries it. And what no honest peer sends. */
import { createRequire } from 'node:module';
import fc from 'fast-check';
import t, { type Test } from 'tap';
import { CIPHERS } from '../../../src/shared/algorithms.js';
import { Buffers } from '../../../src/worker/transport/buffers.js';
import { PACKET_HEADER_BYTES } from '../../../src/worker/transport/sealer.js';
import {
  loadSsh2,
  type Negotiated,
  type ParseStep,
  type Ssh2Cipher,
  type Ssh2Decipher,
} from '../../../src/worker/transport/ssh2.js';
import { makeUnsealer, Unsealer } from '../../../src/worker/transport/unsealer.js';

const crypto: {
  readonly CIPHER_INFO: Record<string, { readonly keyLen: number; readonly ivLen: number }>;
  readonly MAC_INFO: Record<string, { readonly len: number }>;
  readonly init: Promise<unknown>;
  createCipher(config: object): Ssh2Cipher;
  createDecipher(config: object): Ssh2Decipher;
} = createRequire(import.meta.url)('ssh2/lib/protocol/crypto.js');

const ETM_MACS = ['hmac-sha2-256-etm@openssh.com', 'hmac-sha2-512-etm@openssh.com'];
const PLAIN_MACS = ['hmac-sha2-256', 'hmac-sha2-512'];
const SUITES = CIPHERS.flatMap((cipher) =>
  cipher.includes('ctr') ? ETM_MACS.map((mac) => ({ cipher, mac })) : [{ cipher, mac: '' }],
);
const PLAIN_SUITES = CIPHERS.filter((cipher) => cipher.includes('ctr')).flatMap((cipher) =>
  PLAIN_MACS.map((mac) => ({ cipher, mac })),
);
const SEQUENCES = [0, 3, 0xffff_fff5, 0xffff_ffff];
const EMPTY = Buffer.alloc(0);

/** Of all of a worker's connections. */
const buffers = new Buffers();

function negotiated(cipher: string, mac: string): Negotiated {
  const other = { cipher: 'other', mac: 'other' };
  return { kex: 'curve25519-sha256', serverHostKey: 'ssh-ed25519', cs: { cipher, mac }, sc: other };
}

/** One direction with keys of known bytes: ssh2's cipher, and the decipher that ssh2 makes for it. */
function direction(cipher: string, mac: string, sequence: number, forceNative = false) {
  const info = crypto.CIPHER_INFO[cipher] ?? { keyLen: 0, ivLen: 0 };
  const macInfo = crypto.MAC_INFO[mac];
  const macKey = Buffer.alloc(macInfo?.len ?? 0, 9);
  const written: Buffer[] = [];
  const instance = crypto.createCipher({
    outbound: {
      onWrite: (data: Buffer) => written.push(Buffer.from(data)),
      seqno: sequence,
      cipherInfo: info,
      cipherIV: Buffer.alloc(info.ivLen, 3),
      cipherKey: Buffer.alloc(info.keyLen, 7),
      macInfo,
      macKey,
    },
  });
  const decipher = crypto.createDecipher({
    inbound: {
      onPayload: () => undefined,
      seqno: sequence,
      decipherInfo: info,
      decipherIV: Buffer.alloc(info.ivLen, 3),
      decipherKey: Buffer.alloc(info.keyLen, 7),
      macInfo,
      macKey,
      forceNative,
    },
  });
  return {
    decipher,
    /** One packet; `paddingBytes` is what it says of its padding, true or not. */
    seal(payload: Buffer, paddingBytes?: number): Buffer {
      const packet = instance.allocPacket(payload.length);
      packet.set(payload, PACKET_HEADER_BYTES);
      if (paddingBytes !== undefined) packet[PACKET_HEADER_BYTES - 1] = paddingBytes;
      instance.encrypt(packet);
      return Buffer.concat(written.splice(0));
    },
    /** `packet_length` of a packet with such a payload. */
    packetBytes: (payloadBytes: number): number => instance.allocPacket(payloadBytes).readUInt32BE(0),
  };
}

/** An unsealer at the far end of a direction, and copies of the payloads that it gave. */
function farEnd(cipher: string, mac: string, sequence = 0, answer: (payload: Buffer) => ParseStep = () => undefined) {
  const made = direction(cipher, mac, sequence);
  const payloads: Buffer[] = [];
  const unsealer = makeUnsealer(made.decipher, negotiated(cipher, mac), buffers, (payload) => {
    payloads.push(Buffer.from(payload));
    return answer(payload);
  });
  if (unsealer === null) throw new Error(`no unsealer for ${cipher} ${mac}`);
  return { ...made, unsealer, payloads };
}

/** Gives the pieces as the reader does: what was left stands before what comes, in a buffer of other connections' bytes. */
function feed(unsealer: Unsealer, pieces: readonly Buffer[]): void {
  let left = EMPTY;
  for (const [index, piece] of pieces.entries()) {
    const at = (index * 5) % 7;
    const read = Buffer.alloc(at + left.length + piece.length + 40, 0xee);
    read.set(left, at);
    read.set(piece, at + left.length);
    const end = at + left.length + piece.length;
    if (unsealer.decrypt(read, at, end) !== undefined) throw new Error('nobody asked to stop');
    for (const byte of [...read.subarray(0, at), ...read.subarray(end)])
      if (byte !== 0xee) throw new Error('wrote beyond the bytes');
    left = Buffer.from(read.subarray(end - unsealer.leftBytes, end));
  }
}

/** The packet with another `packet_length`; all that seal it do so with a key stream or not at all. */
function withLength(packet: Buffer, trueLength: number, length: number): Buffer {
  const changed = Buffer.from(packet);
  changed.writeUInt32BE((packet.readUInt32BE(0) ^ trueLength ^ length) >>> 0, 0);
  return changed;
}

/** The bytes cut at these places. */
function cut(bytes: Buffer, places: readonly number[]): Buffer[] {
  const edges = [0, ...places.map((place) => place % (bytes.length + 1)).sort((a, b) => a - b), bytes.length];
  return edges.slice(1).map((edge, index) => bytes.subarray(edges[index], edge));
}

function open(unsealer: Unsealer, bytes: Buffer): ParseStep {
  return unsealer.decrypt(Buffer.from(bytes), 0, bytes.length);
}

t.before(() => crypto.init);

if (!loadSsh2().nativeBinding) {
  t.test('without the native binding there is no unsealer: ssh2 decrypts', async (t) => {
    for (const { cipher, mac } of [...SUITES, ...PLAIN_SUITES])
      t.equal(
        makeUnsealer(direction(cipher, mac, 0).decipher, negotiated(cipher, mac), buffers, () => undefined),
        null,
      );
  });
} else {
  t.test('ssh2 keeps what the unsealer does not take', async (t) => {
    for (const { cipher, mac } of PLAIN_SUITES)
      t.equal(
        makeUnsealer(direction(cipher, mac, 0).decipher, negotiated(cipher, mac), buffers, () => undefined),
        null,
        `${cipher} ${mac}: its length can be read only once`,
      );
    for (const { cipher, mac } of SUITES)
      t.equal(
        makeUnsealer(direction(cipher, mac, 0, true).decipher, negotiated(cipher, mac), buffers, () => undefined),
        null,
        `${cipher} ${mac} in JavaScript`,
      );
  });

  for (const { cipher, mac } of SUITES) t.test(`${cipher} ${mac}`, (t) => suite(t, cipher, mac));
}

async function suite(t: Test, cipher: string, mac: string): Promise<void> {
  await t.test('opens whole packets, one after the other, the longest among them', async (t) => {
    const { unsealer, payloads, seal } = farEnd(cipher, mac);
    const sent = [0, 1, 2, 3, 11, 12, 13, 100, 32_768, 34_900].map((length, index) => Buffer.alloc(length, index + 1));
    for (const payload of sent) {
      const packet = seal(payload);
      t.equal(open(unsealer, packet), undefined);
      t.equal(unsealer.leftBytes, 0);
    }
    t.same(payloads, sent);
  });

  await t.test('in place: the payload is a view of what was read', async (t) => {
    let seen: Buffer = EMPTY;
    const { unsealer, seal } = farEnd(cipher, mac, 0, (payload) => {
      seen = payload;
      return undefined;
    });
    const read = Buffer.concat([Buffer.alloc(9), seal(Buffer.from('payload'))]);
    unsealer.decrypt(read, 9, read.length);
    t.equal(seen.toString(), 'payload');
    t.equal(seen.buffer, read.buffer);
    t.equal(seen.byteOffset, read.byteOffset + 9 + PACKET_HEADER_BYTES);
  });

  await t.test('a packet cut at each of its bytes', async (t) => {
    const payload = Buffer.from('a payload of some bytes, more than a block');
    const { length } = direction(cipher, mac, 0).seal(payload);
    const faults: string[] = [];
    for (let place = 0; place <= length; place++) {
      const { unsealer, payloads, seal } = farEnd(cipher, mac);
      const packet = seal(payload);
      const whole = place === length;
      const read = Buffer.from(packet.subarray(0, place));
      if (unsealer.decrypt(read, 0, place) !== undefined) faults.push(`${place}: stopped`);
      if (unsealer.leftBytes !== (whole ? 0 : place)) faults.push(`${place}: ${unsealer.leftBytes} bytes left`);
      if (unsealer.wantedBytes !== (whole || place < 4 ? 0 : length))
        faults.push(`${place}: ${unsealer.wantedBytes} wanted`);
      if (unsealer.inSeqno !== (whole ? 1 : 0)) faults.push(`${place}: number ${unsealer.inSeqno}`);
      if (read.equals(packet.subarray(0, place)) === whole) faults.push(`${place}: touched a part, or not the whole`);
      if (!whole) open(unsealer, packet); // what was carried, and the rest
      if (payloads.length !== 1 || !payloads[0]?.equals(payload)) faults.push(`${place}: another payload`);
      if (unsealer.leftBytes !== 0 || unsealer.wantedBytes !== 0) faults.push(`${place}: something left`);
    }
    t.same(faults, []);
  });

  await t.test('three packets byte by byte', async (t) => {
    const { unsealer, payloads, seal } = farEnd(cipher, mac, 0xffff_fffe);
    const sent = ['one', '', 'the third one'].map((text) => Buffer.from(text));
    const stream = Buffer.concat(sent.map((payload) => seal(payload)));
    feed(unsealer, cut(stream, [...stream.keys()]));
    t.same(payloads, sent);
    t.equal(unsealer.inSeqno, 1, 'RFC 4253 §6.4: it wraps around');
  });

  await t.test('any segmentation gives the same payloads', async () => {
    fc.assert(
      fc.property(
        fc.array(fc.oneof(fc.nat(40), fc.nat(34_900)), { minLength: 1, maxLength: 8 }),
        fc.array(fc.oneof(fc.nat(200), fc.nat(280_000)), { maxLength: 30 }),
        fc.constantFrom(...SEQUENCES),
        (lengths, places, sequence) => {
          const { unsealer, payloads, seal } = farEnd(cipher, mac, sequence);
          const sent = lengths.map((length, index) => Buffer.alloc(length, index + 1));
          feed(unsealer, cut(Buffer.concat(sent.map((payload) => seal(payload))), places));
          return (
            unsealer.leftBytes === 0 &&
            unsealer.wantedBytes === 0 &&
            unsealer.inSeqno === (sequence + lengths.length) >>> 0 &&
            payloads.length === sent.length &&
            payloads.every((payload, index) => payload.equals(sent[index] ?? EMPTY))
          );
        },
      ),
      { numRuns: 40 },
    );
  });

  await t.test('two packets and a half in one read', async (t) => {
    const { unsealer, payloads, seal } = farEnd(cipher, mac);
    const [first, second, third] = [
      seal(Buffer.from('first')),
      seal(Buffer.from('second')),
      seal(Buffer.from('third')),
    ];
    const half = third.subarray(0, 20);
    t.equal(open(unsealer, Buffer.concat([first, second, half])), undefined);
    t.same(payloads.map(String), ['first', 'second']);
    t.equal(unsealer.leftBytes, 20);
    t.equal(unsealer.wantedBytes, third.length);
    t.equal(unsealer.inSeqno, 2);
    open(unsealer, third);
    t.same(payloads.map(String), ['first', 'second', 'third']);
    t.equal(unsealer.leftBytes, 0);
  });

  await t.test('other connections of the worker take their turn between two reads', async (t) => {
    const ends = [farEnd(cipher, mac), farEnd(cipher, mac), farEnd('chacha20-poly1305@openssh.com', '')];
    const packets = ends.map(({ seal }) => seal(Buffer.from('a payload')));
    for (const [index, { unsealer }] of ends.entries())
      open(unsealer, packets[index]?.subarray(0, 10 + index) ?? EMPTY);
    for (const [index, { unsealer }] of ends.entries()) open(unsealer, packets[index] ?? EMPTY);
    for (const { payloads } of ends) t.same(payloads.map(String), ['a payload']);
  });

  await t.test('one bit changed anywhere: nothing is handed over', async (t) => {
    const payload = Buffer.from('a payload');
    const { length } = direction(cipher, mac, 0).seal(payload);
    const faults: string[] = [];
    for (let bit = 0; bit < length * 8; bit++) {
      const { unsealer, payloads, seal } = farEnd(cipher, mac);
      const packet = seal(payload);
      const place = bit >> 3;
      packet[place] = (packet[place] ?? 0) ^ (1 << (bit & 7));
      let thrown = false;
      try {
        open(unsealer, packet);
      } catch {
        thrown = true;
      }
      if (payloads.length > 0) faults.push(`bit ${bit}: handed over`);
      // A length within bounds may ask for more bytes first.
      if (place >= 4 && !thrown) faults.push(`bit ${bit}: not noticed`);
    }
    t.same(faults, []);
  });

  await t.test('a wrong tag throws, also behind a right one', async (t) => {
    const { unsealer, payloads, seal } = farEnd(cipher, mac);
    const [good, bad] = [seal(Buffer.from('good')), seal(Buffer.from('bad'))];
    bad[bad.length - 1] = (bad.at(-1) ?? 0) ^ 1;
    t.throws(() => open(unsealer, Buffer.concat([good, bad])));
    t.same(payloads.map(String), ['good']);
  });

  await t.test('a packet that comes twice, or out of its turn, throws', async (t) => {
    const twice = farEnd(cipher, mac);
    const packet = twice.seal(Buffer.from('once'));
    open(twice.unsealer, packet);
    t.throws(() => open(twice.unsealer, packet));
    t.same(twice.payloads.map(String), ['once']);

    const early = farEnd(cipher, mac);
    early.seal(Buffer.from('lost'));
    const second = early.seal(Buffer.from('second'));
    t.throws(() => open(early.unsealer, second));
    t.same(early.payloads, []);
  });

  await t.test('lengths that no packet has throw as soon as they are known', async (t) => {
    const payload = Buffer.alloc(100);
    const trueLength = direction(cipher, mac, 0).packetBytes(payload.length);
    const block = cipher.startsWith('chacha20') ? 8 : 16;
    const most = 35_000 - (35_000 % block);
    for (const length of [
      ...[0, 1, 4, 7, block - 1, block + 1, block + 4, block + block / 2, 35_001, most + block],
      ...[0x7fff_fff0, 0x8000_0000, 0x8000_0010, 0xffff_fff0, 0xffff_ffff],
    ]) {
      const { unsealer, seal } = farEnd(cipher, mac);
      const bytes = withLength(seal(payload), trueLength, length);
      t.throws(() => open(unsealer, bytes.subarray(0, 4)), { message: `packet of ${length} bytes` }, `${length}`);
      t.throws(() => open(farEnd(cipher, mac).unsealer, bytes), { message: `packet of ${length} bytes` });
    }
    for (const length of [block, block * 2, most]) {
      const { unsealer, seal } = farEnd(cipher, mac);
      const bytes = withLength(seal(payload), trueLength, length).subarray(0, 10);
      t.equal(open(unsealer, bytes), undefined, `${length} is one`);
      t.equal(unsealer.leftBytes, 10);
      t.ok(unsealer.wantedBytes > length + 4 + 15, 'with its tag');
    }
  });

  await t.test('more padding than packet throws, as much as there is room does not', async (t) => {
    const { unsealer, payloads, seal, packetBytes } = farEnd(cipher, mac);
    const payload = Buffer.alloc(20, 1);
    const room = packetBytes(payload.length) - 1;
    open(unsealer, seal(payload, room));
    t.same(payloads, [EMPTY]);
    const sealed = seal(payload, room + 1);
    t.throws(() => open(unsealer, sealed), { message: 'more padding than packet' });
    for (const paddingBytes of [room + 2, 255]) {
      const other = farEnd(cipher, mac);
      const packet = other.seal(payload, paddingBytes);
      t.throws(() => open(other.unsealer, packet), { message: 'more padding than packet' });
      t.same(other.payloads, []);
    }
  });

  await t.test('goes on with the sequence number of ssh2 at the change of keys', async (t) => {
    for (const sequence of SEQUENCES) {
      const { decipher, unsealer, payloads, seal } = farEnd(cipher, mac, sequence);
      t.equal(unsealer.inSeqno, decipher.inSeqno);
      for (const text of ['one', 'two', 'three']) {
        open(unsealer, seal(Buffer.from(text)));
        t.equal(unsealer.inSeqno, (sequence + payloads.length) >>> 0);
      }
      t.same(payloads.map(String), ['one', 'two', 'three']);
    }
  });

  await t.test('during a key exchange, when ssh2 listens itself, it gets copies to keep', async (t) => {
    const { unsealer, payloads, seal } = farEnd(cipher, mac);
    const ours = unsealer._onPayload;
    const kept: Buffer[] = [];
    const packets = ['before', 'kexinit', 'newkeys', 'after'].map((text) => seal(Buffer.from(text)));
    const read = Buffer.alloc(200);
    for (const [index, packet] of packets.entries()) {
      unsealer._onPayload = index === 1 || index === 2 ? (payload) => void kept.push(payload) : ours;
      read.set(packet);
      unsealer.decrypt(read, 0, packet.length);
      read.fill(0xee); // the next read
    }
    t.same(kept.map(String), ['kexinit', 'newkeys']);
    t.notOk(kept.some(({ buffer }) => buffer === read.buffer));
    t.same(payloads.map(String), ['before', 'after']);
  });

  await t.test('a listener that is replaced within a read hears the next packet of it', async (t) => {
    const heard: string[] = [];
    const { unsealer, payloads, seal } = farEnd(cipher, mac, 0, () => {
      unsealer._onPayload = (payload) => void heard.push(`ssh2: ${payload}`);
      return undefined;
    });
    open(unsealer, Buffer.concat([seal(Buffer.from('one')), seal(Buffer.from('two'))]));
    t.same(payloads.map(String), ['one']);
    t.same(heard, ['ssh2: two']);
  });

  await t.test('an answer stops the parsing, and says where another goes on', async (t) => {
    for (const answer of [false, 3, 0, Number.POSITIVE_INFINITY] as const) {
      let answered = 0;
      const { unsealer, payloads, seal } = farEnd(cipher, mac, 0, () => (answered++ === 1 ? answer : undefined));
      const packets = ['one', 'two', 'three'].map((text) => seal(Buffer.from(text)));
      const read = Buffer.concat([Buffer.alloc(5), ...packets, Buffer.from('more')]);
      const end = read.length - 4;
      const behind = end - (packets[2]?.length ?? 0);
      const step = unsealer.decrypt(read, 5, end);
      t.equal(step, answer === false ? behind : answer, `${answer}`);
      t.same(payloads.map(String), ['one', 'two']);
      t.equal(unsealer.leftBytes, 0, 'what is behind is for the other');
      t.equal(unsealer.inSeqno, 2);
      t.equal(unsealer.decrypt(read, behind, end), undefined);
      t.same(payloads.map(String), ['one', 'two', 'three'], 'and was not touched');
    }
  });

  await t.test('what was left is forgotten when the parsing is stopped', async (t) => {
    const { unsealer, seal } = farEnd(cipher, mac, 0, () => false);
    const packet = seal(Buffer.from('payload'));
    open(unsealer, packet.subarray(0, 10));
    t.equal(unsealer.leftBytes, 10);
    t.equal(open(unsealer, packet), packet.length);
    t.equal(unsealer.leftBytes, 0);
  });

  await t.test('nothing to read leaves nothing', async (t) => {
    const { unsealer } = farEnd(cipher, mac);
    t.equal(unsealer.decrypt(Buffer.alloc(8), 8, 8), undefined);
    t.equal(unsealer.leftBytes, 0);
    t.equal(unsealer.wantedBytes, 0);
  });
}

t.test('frees the native keys of the decipher that it stands for', async (t) => {
  let freed = 0;
  const opener = {
    tagBytes: 16,
    blockBytes: 16,
    measure: () => 16,
    open() {},
    free: () => void freed++,
  };
  const unsealer = new Unsealer(0, opener, buffers, () => undefined);
  t.equal(freed, 0);
  unsealer.free();
  t.equal(freed, 1);
});
