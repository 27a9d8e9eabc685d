import fc from 'fast-check';
import t from 'tap';
import { concatFields } from '../../../src/shared/protocol.js';
import { blobType, fingerprint, line, parsePublicKey, positiveMpint } from '../../../src/worker/auth/public_key.js';
import { ecdsa, ed25519, KNOWN, RSA_1024, rsa, skEcdsa, skEd25519 } from './keys.js';

const MODULUS = (bits: number): Buffer => {
  const n = Buffer.alloc(Math.ceil(bits / 8), 0xa5);
  n[0] = 1 << ((bits - 1) % 8);
  return (n[0] ?? 0) >= 0x80 ? Buffer.concat([Buffer.from([0]), n]) : n;
};
const E = Buffer.from([1, 0, 1]);

t.test('keys of ssh-keygen are parsed, named and fingerprinted as it does', async (t) => {
  for (const known of KNOWN) {
    const [type = '', base64 = ''] = known.line.split(' ');
    const blob = Buffer.from(base64, 'base64');
    const parsed = parsePublicKey(blob);
    t.match(parsed, { ok: true, key: { type } }, type);
    t.equal(blobType(blob), type);
    t.equal(fingerprint(blob), known.fingerprint);
    t.equal(line(blob), known.line);
  }
});

t.test('RFC 4253 §6.6: one byte more or less is no key', async (t) => {
  for (const key of [ed25519(), ecdsa(256), ecdsa(384), ecdsa(521), rsa(), skEd25519(), skEcdsa('')]) {
    t.match(parsePublicKey(key.blob), { ok: true, key: { type: key.type } });
    t.match(parsePublicKey(Buffer.concat([key.blob, Buffer.from([0])])), { ok: false, code: 'MALFORMED' });
    for (const cut of [1, 5, key.blob.length - 3]) {
      t.match(parsePublicKey(key.blob.subarray(0, key.blob.length - cut)), { ok: false }, `${key.type} less ${cut}`);
    }
  }
});

const SK_ECDSA = 'sk-ecdsa-sha2-nistp256@openssh.com';

t.test('keys that are not taken', async (t) => {
  const p256 = ecdsa(256).blob;
  const point = p256.subarray(p256.length - 65);
  const offCurve = Buffer.from(point);
  offCurve[40] = (offCurve[40] ?? 0) ^ 1;
  const compressed = Buffer.concat([Buffer.from([2]), point.subarray(1, 33)]);
  const ec = (type: string, curve: string, q: Buffer): Buffer => concatFields([type, curve, q]);
  const rows: ReadonlyArray<readonly [string, Buffer, 'MALFORMED' | 'UNSUPPORTED_KEY']> = [
    ['empty', Buffer.alloc(0), 'MALFORMED'],
    ['length beyond the end', Buffer.from([0xff, 0xff, 0xff, 0xff, 1]), 'MALFORMED'],
    ['ed25519 of 31 bytes', concatFields(['ssh-ed25519', Buffer.alloc(31)]), 'MALFORMED'],
    ['ed25519 of 33 bytes', concatFields(['ssh-ed25519', Buffer.alloc(33)]), 'MALFORMED'],
    ['curve is not the type', ec('ecdsa-sha2-nistp256', 'nistp384', point), 'MALFORMED'],
    ['point of another curve', ec('ecdsa-sha2-nistp384', 'nistp384', point), 'MALFORMED'],
    ['point off the curve', ec('ecdsa-sha2-nistp256', 'nistp256', offCurve), 'MALFORMED'],
    ['compressed point', ec('ecdsa-sha2-nistp256', 'nistp256', compressed), 'MALFORMED'],
    ['point at infinity', ec('ecdsa-sha2-nistp256', 'nistp256', Buffer.from([0])), 'MALFORMED'],
    ['RSA 1024', Buffer.from(RSA_1024.split(' ')[1] ?? '', 'base64'), 'UNSUPPORTED_KEY'],
    ['RSA 2047', concatFields(['ssh-rsa', E, MODULUS(2047)]), 'UNSUPPORTED_KEY'],
    ['RSA 16385', concatFields(['ssh-rsa', E, MODULUS(16385)]), 'UNSUPPORTED_KEY'],
    ['RSA e = 1', concatFields(['ssh-rsa', Buffer.from([1]), MODULUS(2048)]), 'UNSUPPORTED_KEY'],
    ['RSA e even', concatFields(['ssh-rsa', Buffer.from([4]), MODULUS(2048)]), 'UNSUPPORTED_KEY'],
    ['RSA e of 5 bytes', concatFields(['ssh-rsa', Buffer.from([1, 0, 0, 0, 1]), MODULUS(2048)]), 'UNSUPPORTED_KEY'],
    ['RSA n negative', concatFields(['ssh-rsa', E, Buffer.alloc(256, 0xa5)]), 'MALFORMED'],
    ['RSA n padded', concatFields(['ssh-rsa', E, Buffer.alloc(257, 0)]), 'MALFORMED'],
    ['DSA', concatFields(['ssh-dss', Buffer.alloc(1)]), 'UNSUPPORTED_KEY'],
    ['security key of no application', concatFields(['sk-ssh-ed25519@openssh.com', Buffer.alloc(32)]), 'MALFORMED'],
    ['application with a NUL', concatFields(['sk-ssh-ed25519@openssh.com', Buffer.alloc(32), 'a\0b']), 'MALFORMED'],
    ['security key of 31 bytes', concatFields(['sk-ssh-ed25519@openssh.com', Buffer.alloc(31), 'ssh:']), 'MALFORMED'],
    ['security key, no point', concatFields([SK_ECDSA, 'nistp256', Buffer.alloc(0), 'ssh:']), 'MALFORMED'],
    [
      'security key of another curve',
      concatFields([SK_ECDSA, 'nistp384', ecdsa(384).blob.subarray(-97), 'ssh:']),
      'MALFORMED',
    ],
    ['security key of P-384', concatFields(['sk-ecdsa-sha2-nistp384@openssh.com', Buffer.alloc(9)]), 'UNSUPPORTED_KEY'],
    ['certificate', concatFields(['ssh-ed25519-cert-v01@openssh.com', Buffer.alloc(32)]), 'UNSUPPORTED_KEY'],
    ['prototype name', concatFields(['__proto__', Buffer.alloc(32)]), 'UNSUPPORTED_KEY'],
  ];
  for (const [name, blob, code] of rows) t.match(parsePublicKey(blob), { ok: false, code, why: String }, name);
  for (const bits of [2048, 2049, 16384]) {
    t.match(parsePublicKey(concatFields(['ssh-rsa', E, MODULUS(bits)])), { ok: true }, `RSA ${bits} is taken`);
  }
});

t.test('no bytes make it throw', async (t) => {
  const seed = ecdsa(256).blob;
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 200 }), (bytes) => !parsePublicKey(Buffer.from(bytes)).ok),
    { numRuns: 200 },
  );
  fc.assert(
    fc.property(fc.nat(seed.length - 1), fc.integer({ min: 1, max: 255 }), (at, flip) => {
      const blob = Buffer.from(seed);
      blob[at] = (blob[at] ?? 0) ^ flip;
      return !parsePublicKey(blob).ok; // every bit of an ECDSA blob counts
    }),
    { numRuns: 200 },
  );
  t.pass();
});

t.test('RFC 4251 §5: an mpint has one spelling', async (t) => {
  const rows: ReadonlyArray<readonly [string, string | null]> = [
    ['', null],
    ['00', null],
    ['0001', null],
    ['80', null],
    ['ff', null],
    ['01', '01'],
    ['7f', '7f'],
    ['0080', '80'],
    ['00ff01', 'ff01'],
  ];
  for (const [wire, magnitude] of rows) {
    t.equal(positiveMpint(Buffer.from(wire, 'hex'))?.toString('hex') ?? null, magnitude, wire);
  }
});
