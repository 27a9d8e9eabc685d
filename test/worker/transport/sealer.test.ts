/** RFC 4253 §6: what we seal into a slab, ssh2's deciphers open again: every cipher and MAC that is offered, every length,
 *  with ssh2's native deciphers and with those in JavaScript. */
import Module, { createRequire } from 'node:module';
import fc from 'fast-check';
import t from 'tap';
import { CIPHERS } from '../../../src/shared/algorithms.js';
import { makeSealer, PACKET_HEADER_BYTES, PACKET_OVERHEAD_BYTES } from '../../../src/worker/transport/sealer.js';
import { loadSsh2, type Negotiated, type Ssh2Cipher } from '../../../src/worker/transport/ssh2.js';

interface Decipher {
  decrypt(data: Uint8Array, start: number, end: number): unknown;
}

const require = createRequire(import.meta.url);
const crypto: {
  readonly CIPHER_INFO: Record<string, { readonly keyLen: number; readonly ivLen: number; readonly authLen: number }>;
  readonly MAC_INFO: Record<string, { readonly len: number }>;
  readonly init: Promise<unknown>;
  createCipher(config: object): Ssh2Cipher;
  createDecipher(config: object): Decipher;
} = require('ssh2/lib/protocol/crypto.js');

const MACS = ['hmac-sha2-256-etm@openssh.com', 'hmac-sha2-512-etm@openssh.com', 'hmac-sha2-256', 'hmac-sha2-512'];
const SUITES = CIPHERS.flatMap((cipher) =>
  cipher.includes('ctr') ? MACS.map((mac) => ({ cipher, mac })) : [{ cipher, mac: '' }],
);

function negotiated(cipher: string, mac: string): Negotiated {
  const both = { cipher, mac };
  return { kex: 'curve25519-sha256', serverHostKey: 'ssh-ed25519', cs: both, sc: both };
}

/** A cipher and its decipher with keys of known bytes. */
function pair(cipher: string, mac: string, sequence: number) {
  const info = crypto.CIPHER_INFO[cipher] ?? { keyLen: 0, ivLen: 0, authLen: 0 };
  const macInfo = crypto.MAC_INFO[mac];
  const key = Buffer.alloc(info.keyLen, 7);
  const macKey = Buffer.alloc(macInfo?.len ?? 0, 9);
  const iv = (): Buffer => Buffer.alloc(info.ivLen, 3);
  const opened: Buffer[] = [];
  const written: Buffer[] = [];
  return {
    opened,
    written,
    cipher: crypto.createCipher({
      outbound: {
        onWrite: (data: Buffer) => written.push(Buffer.from(data)),
        seqno: sequence,
        cipherInfo: info,
        cipherIV: iv(),
        cipherKey: Buffer.from(key),
        macInfo,
        macKey,
      },
    }),
    decipher: crypto.createDecipher({
      inbound: {
        onPayload: (payload: Buffer) => void opened.push(Buffer.from(payload)),
        seqno: sequence,
        decipherInfo: info,
        decipherIV: iv(),
        decipherKey: Buffer.from(key),
        macInfo,
        macKey,
      },
    }),
  };
}

t.before(() => crypto.init);

if (!loadSsh2().nativeBinding) {
  t.test('without the native binding there is no sealer: ssh2 encrypts', async (t) => {
    for (const { cipher, mac } of SUITES)
      t.equal(makeSealer(pair(cipher, mac, 0).cipher, negotiated(cipher, mac)), null);
  });
} else {
  for (const { cipher, mac } of SUITES)
    t.test(`${cipher} ${mac}`, async (t) => {
      fc.assert(
        fc.property(
          fc.array(fc.oneof(fc.nat(100), fc.nat(33_000)), { minLength: 1, maxLength: 20 }),
          fc.constantFrom(0, 3, 0xffff_fff5, 0xffff_ffff),
          fc.nat(50),
          (lengths, sequence, offset) => {
            const { opened, cipher: instance, decipher } = pair(cipher, mac, sequence);
            const sealer = makeSealer(instance, negotiated(cipher, mac));
            if (sealer === null) return false;
            const slab = Buffer.alloc(
              lengths.reduce((sum, length) => sum + length + PACKET_OVERHEAD_BYTES, offset),
              0xee,
            );
            let end = offset;
            const payloads = lengths.map((length, index) => Buffer.alloc(length, index + 1));
            for (const payload of payloads) {
              slab.set(payload, end + PACKET_HEADER_BYTES);
              const start = end;
              end = sealer.seal(slab, start, payload.length);
              if (end - start > payload.length + PACKET_OVERHEAD_BYTES) return false;
            }
            const untouched = slab.subarray(0, offset).every((byte) => byte === 0xee);
            decipher.decrypt(Buffer.from(slab.subarray(offset, end)), 0, end - offset);
            return (
              untouched &&
              instance.outSeqno === (sequence + lengths.length) >>> 0 &&
              opened.length === payloads.length &&
              opened.every((payload, index) => payload.equals(payloads[index] ?? Buffer.alloc(0)))
            );
          },
        ),
        { numRuns: 30 },
      );

      await t.test('takes turns with ssh2, which encrypts the key exchange by itself', async (t) => {
        const { opened, written, cipher: instance, decipher } = pair(cipher, mac, 0);
        const sealer = makeSealer(instance, negotiated(cipher, mac));
        const stream: Buffer[] = [];
        for (let turn = 0; turn < 6; turn++) {
          const payload = Buffer.from(`payload ${turn}`);
          if (turn % 2 === 0) {
            const slab = Buffer.alloc(200);
            slab.set(payload, PACKET_HEADER_BYTES);
            stream.push(slab.subarray(0, sealer?.seal(slab, 0, payload.length) ?? 0));
          } else {
            const packet = instance.allocPacket(payload.length);
            packet.set(payload, PACKET_HEADER_BYTES);
            instance.encrypt(packet);
            stream.push(...written.splice(0));
          }
        }
        const bytes = Buffer.concat(stream);
        decipher.decrypt(bytes, 0, bytes.length);
        t.same(
          opened.map(String),
          Array.from({ length: 6 }, (_, turn) => `payload ${turn}`),
        );
      });
    });
}

t.test('the deciphers in JavaScript open it too', async (t) => {
  // They are not exported; the module loads them where its binding is missing, so it is loaded once more without.
  const path = require.resolve('ssh2/lib/protocol/crypto.js');
  const binding = Object.keys(require.cache).find((file) => file.endsWith('sshcrypto.node'));
  if (binding === undefined) {
    t.pass('they are the only ones here');
    return;
  }
  const load: unknown = Reflect.get(Module, '_load');
  if (typeof load !== 'function') throw new Error('node:module has no loader that we know');
  const kept = require.cache[path];
  delete require.cache[path];
  Reflect.set(Module, '_load', (request: string, ...rest: unknown[]) => {
    if (request.endsWith('sshcrypto.node')) throw new Error('no binding');
    return load(request, ...rest);
  });
  const plain: typeof crypto & { readonly bindingAvailable: boolean } = require(path);
  Reflect.set(Module, '_load', load);
  if (kept !== undefined) require.cache[path] = kept;
  await plain.init;
  t.equal(plain.bindingAvailable, false);

  for (const { cipher, mac } of SUITES) {
    const { cipher: instance } = pair(cipher, mac, 0);
    const sealer = makeSealer(instance, negotiated(cipher, mac));
    const info = plain.CIPHER_INFO[cipher] ?? { keyLen: 0, ivLen: 0 };
    const macInfo = plain.MAC_INFO[mac];
    const opened: string[] = [];
    const decipher = plain.createDecipher({
      inbound: {
        onPayload: (payload: Buffer) => void opened.push(payload.toString()),
        seqno: 0,
        decipherInfo: info,
        decipherIV: Buffer.alloc(info.ivLen, 3),
        decipherKey: Buffer.alloc(info.keyLen, 7),
        macInfo,
        macKey: Buffer.alloc(macInfo?.len ?? 0, 9),
      },
    });
    const slab = Buffer.alloc(40_000);
    const payload = 'x'.repeat(33_000);
    slab.write(payload, PACKET_HEADER_BYTES);
    const end = sealer?.seal(slab, 0, payload.length) ?? 0;
    decipher.decrypt(slab, 0, end);
    t.same(opened, [payload], `${cipher} ${mac}`);

    const withoutBinding = plain.createCipher({
      outbound: {
        onWrite() {},
        seqno: 0,
        cipherInfo: info,
        cipherIV: Buffer.alloc(info.ivLen, 3),
        cipherKey: Buffer.alloc(info.keyLen, 7),
        macInfo,
        macKey: Buffer.alloc(macInfo?.len ?? 0, 9),
      },
    });
    t.equal(
      makeSealer(withoutBinding, negotiated(cipher, mac)),
      null,
      'and without the binding nothing is sealed by us',
    );
  }
});
