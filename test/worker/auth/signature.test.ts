import fc from 'fast-check';
import t from 'tap';
import { concatFields, WireReader } from '../../../src/shared/protocol.js';
import { type PublicKey, parsePublicKey } from '../../../src/worker/auth/public_key.js';
import { keyTypeOf, SIGNATURE_ALGORITHMS, verify } from '../../../src/worker/auth/signature.js';
import { ecdsa, ed25519, mpint, rsa, type TestKey } from './keys.js';

const DATA = Buffer.from('session id and request');
const ED25519 = ed25519();
const P256 = ecdsa(256);
const P384 = ecdsa(384);
const P521 = ecdsa(521);
const RSA = rsa();

const PAIRS: ReadonlyArray<readonly [TestKey, string]> = [
  [ED25519, 'ssh-ed25519'],
  [P256, 'ecdsa-sha2-nistp256'],
  [P384, 'ecdsa-sha2-nistp384'],
  [P521, 'ecdsa-sha2-nistp521'],
  [RSA, 'rsa-sha2-256'],
  [RSA, 'rsa-sha2-512'],
];

function parse(key: TestKey): PublicKey {
  const parsed = parsePublicKey(key.blob);
  if (!parsed.ok) throw new Error(parsed.why);
  return parsed.key;
}

/** The signature inside its blob. */
function inner(blob: Buffer): Buffer {
  const reader = new WireReader(blob);
  reader.bytes();
  return reader.bytes();
}

t.test('what is verified here, and so announced (RFC 8308 §3.1): no SHA-1', async (t) => {
  t.equal(SIGNATURE_ALGORITHMS[0], 'ssh-ed25519', 'the preferred one first');
  t.equal(keyTypeOf('rsa-sha2-512'), 'ssh-rsa');
  for (const name of ['ssh-rsa', 'ssh-dss', 'sk-ssh-ed25519@openssh.com', '__proto__', ''])
    t.equal(keyTypeOf(name), null);
});

t.test('a true signature verifies, by its own key and algorithm alone', async (t) => {
  for (const [signer, algorithm] of PAIRS) {
    const signature = signer.sign(DATA, algorithm);
    for (const [holder, other] of PAIRS) {
      const same = holder === signer && other === algorithm;
      t.equal(verify(parse(holder), other, DATA, signature), same, `${algorithm} checked as ${other}`);
    }
    t.equal(verify(parse(signer), algorithm, Buffer.from('other data'), signature), false);
  }
  t.equal(verify(parse(ed25519()), 'ssh-ed25519', DATA, ED25519.sign(DATA)), false, 'another key of the type');
});

t.test('what must not verify', async (t) => {
  const ed = inner(ED25519.sign(DATA));
  const ec = new WireReader(inner(P256.sign(DATA)));
  const r = ec.bytes();
  const s = ec.bytes();
  const zero = Buffer.alloc(0);
  const long = Buffer.concat([Buffer.from([1]), Buffer.alloc(32)]);
  const ecBlob = (...fields: Buffer[]): Buffer => concatFields(['ecdsa-sha2-nistp256', concatFields(fields)]);
  const rows: ReadonlyArray<readonly [string, TestKey, string, Buffer]> = [
    ['no bytes', ED25519, 'ssh-ed25519', zero],
    ['format alone', ED25519, 'ssh-ed25519', concatFields(['ssh-ed25519'])],
    ['empty signature', ED25519, 'ssh-ed25519', concatFields(['ssh-ed25519', zero])],
    ['63 bytes', ED25519, 'ssh-ed25519', concatFields(['ssh-ed25519', ed.subarray(0, 63)])],
    ['65 bytes', ED25519, 'ssh-ed25519', concatFields(['ssh-ed25519', Buffer.concat([ed, zero, Buffer.from([0])])])],
    ['bytes behind', ED25519, 'ssh-ed25519', Buffer.concat([ED25519.sign(DATA), Buffer.from([0])])],
    ['format of another', ED25519, 'ssh-ed25519', ED25519.sign(DATA, undefined, 'ssh-rsa')],
    ['SHA-1', RSA, 'ssh-rsa', RSA.sign(DATA, 'ssh-rsa')],
    ['SHA-1 said to be SHA-2', RSA, 'rsa-sha2-256', RSA.sign(DATA, 'ssh-rsa', 'rsa-sha2-256')],
    ['SHA-2 under the name ssh-rsa', RSA, 'rsa-sha2-256', RSA.sign(DATA, 'rsa-sha2-256', 'ssh-rsa')],
    ['RSA empty', RSA, 'rsa-sha2-512', concatFields(['rsa-sha2-512', zero])],
    ['RSA too long', RSA, 'rsa-sha2-512', concatFields(['rsa-sha2-512', Buffer.alloc(257, 1)])],
    ['RSA zeros', RSA, 'rsa-sha2-512', concatFields(['rsa-sha2-512', Buffer.alloc(256)])],
    ['ECDSA r = s = 0', P256, 'ecdsa-sha2-nistp256', ecBlob(zero, zero)],
    ['ECDSA s missing', P256, 'ecdsa-sha2-nistp256', ecBlob(r)],
    ['ECDSA a third number', P256, 'ecdsa-sha2-nistp256', ecBlob(r, s, s)],
    ['ECDSA needless zero', P256, 'ecdsa-sha2-nistp256', ecBlob(Buffer.concat([Buffer.alloc(2), r]), s)],
    ['ECDSA negative', P256, 'ecdsa-sha2-nistp256', ecBlob(Buffer.from([0xff]), s)],
    ['ECDSA too long', P256, 'ecdsa-sha2-nistp256', ecBlob(long, s)],
  ];
  for (const [name, key, algorithm, signature] of rows) {
    t.equal(verify(parse(key), algorithm, DATA, signature), false, name);
  }
  t.equal(verify(parse(P256), 'ecdsa-sha2-nistp256', DATA, ecBlob(r, s)), true, 'twin: the numbers as they were');
});

t.test('an RSA signature without its leading zero bytes verifies, as with OpenSSH', async (t) => {
  // About one signature in 256 begins with a zero byte: vary the data until one does.
  for (let i = 0; i < 20_000; i += 1) {
    const data = Buffer.from(`request ${i}`);
    const signature = inner(RSA.sign(data, 'rsa-sha2-256'));
    if (signature[0] !== 0) continue;
    const short = concatFields(['rsa-sha2-256', mpint(signature).subarray((mpint(signature)[0] ?? 1) === 0 ? 1 : 0)]);
    t.ok(short.length < RSA.sign(data, 'rsa-sha2-256').length);
    t.equal(verify(parse(RSA), 'rsa-sha2-256', data, short), true);
    return;
  }
  t.fail('no signature began with zero');
});

t.test('no flipped bit verifies and no bytes make it throw', async (t) => {
  for (const [key, algorithm] of [
    [ED25519, 'ssh-ed25519'],
    [P256, 'ecdsa-sha2-nistp256'],
  ] as const) {
    const good = key.sign(DATA);
    const parsed = parse(key);
    fc.assert(
      fc.property(fc.nat(good.length - 1), fc.integer({ min: 1, max: 255 }), (at, flip) => {
        const bad = Buffer.from(good);
        bad[at] = (bad[at] ?? 0) ^ flip;
        return !verify(parsed, algorithm, DATA, bad);
      }),
      { numRuns: 150 },
    );
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 120 }), (bytes) => !verify(parsed, algorithm, DATA, Buffer.from(bytes))),
      { numRuns: 100 },
    );
  }
  t.pass();
});
