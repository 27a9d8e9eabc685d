import { createHash } from 'node:crypto';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import fc from 'fast-check';
import t from 'tap';
import { concatFields, WireReader } from '../../../src/shared/protocol.js';
import { type PublicKey, parsePublicKey } from '../../../src/worker/auth/public_key.js';
import { algorithmOf, checkSignature, isSignedBy, SIGNATURE_ALGORITHMS } from '../../../src/worker/auth/signature.js';
import { run } from '../../support/process.js';
import { tempDir } from '../../support/temp.js';
import { ecdsa, ed25519, mpint, rsa, skEcdsa, skEd25519, type TestKey, type TokenKey } from './keys.js';

const DATA = Buffer.from('session id and request');
const ED25519 = ed25519();
const P256 = ecdsa(256);
const P384 = ecdsa(384);
const P521 = ecdsa(521);
const RSA = rsa();
const SK_ED25519 = skEd25519();
const SK_ECDSA = skEcdsa('ssh:work');

const PAIRS: ReadonlyArray<readonly [TestKey, string]> = [
  [ED25519, 'ssh-ed25519'],
  [P256, 'ecdsa-sha2-nistp256'],
  [P384, 'ecdsa-sha2-nistp384'],
  [P521, 'ecdsa-sha2-nistp521'],
  [RSA, 'rsa-sha2-256'],
  [RSA, 'rsa-sha2-512'],
  [SK_ED25519, 'sk-ssh-ed25519@openssh.com'],
  [SK_ECDSA, 'sk-ecdsa-sha2-nistp256@openssh.com'],
];

function verify(key: PublicKey, algorithm: string, data: Buffer, signature: Buffer): boolean {
  return checkSignature(key, algorithm, data, signature).ok;
}

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
  t.same(SIGNATURE_ALGORITHMS, [
    'ssh-ed25519',
    'sk-ssh-ed25519@openssh.com',
    'ecdsa-sha2-nistp256',
    'ecdsa-sha2-nistp384',
    'ecdsa-sha2-nistp521',
    'sk-ecdsa-sha2-nistp256@openssh.com',
    'rsa-sha2-512',
    'rsa-sha2-256',
    'ssh-ed25519-cert-v01@openssh.com',
    'sk-ssh-ed25519-cert-v01@openssh.com',
    'ecdsa-sha2-nistp256-cert-v01@openssh.com',
    'ecdsa-sha2-nistp384-cert-v01@openssh.com',
    'ecdsa-sha2-nistp521-cert-v01@openssh.com',
    'sk-ecdsa-sha2-nistp256-cert-v01@openssh.com',
    'rsa-sha2-512-cert-v01@openssh.com',
    'rsa-sha2-256-cert-v01@openssh.com',
  ]);
  t.same(algorithmOf('rsa-sha2-512'), { scheme: 'rsa-sha2-512', blobType: 'ssh-rsa' });
  t.same(algorithmOf('rsa-sha2-256-cert-v01@openssh.com'), {
    scheme: 'rsa-sha2-256',
    blobType: 'ssh-rsa-cert-v01@openssh.com',
  });
  for (const name of ['ssh-rsa', 'ssh-rsa-cert-v01@openssh.com', 'ssh-dss', 'sk-ssh-ed25519', '__proto__', ''])
    t.equal(algorithmOf(name), null, name);
  for (const { scheme } of SIGNATURE_ALGORITHMS.map((name) => algorithmOf(name) ?? { scheme: 'none' }))
    t.equal(verify(parse(RSA), scheme, DATA, RSA.sign(DATA, 'ssh-rsa', scheme)), false, `SHA-1 as ${scheme}`);
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
    [SK_ED25519, 'sk-ssh-ed25519@openssh.com'],
    [SK_ECDSA, 'sk-ecdsa-sha2-nistp256@openssh.com'],
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

t.test('security keys: what the token says is part of what it signs', async (t) => {
  for (const key of [SK_ED25519, SK_ECDSA]) {
    const check = (signer: TokenKey, flags: number, counter: number) =>
      checkSignature(parse(key), key.type, DATA, signer.signBy(DATA, { flags, counter }));
    const [touched, verified] = [0x01, 0x04];
    t.same(check(key, touched, 1), { ok: true, presence: { touched: true, verified: false, counter: 1 } });
    t.same(check(key, touched | verified, 2 ** 32 - 1), {
      ok: true,
      presence: { touched: true, verified: true, counter: 2 ** 32 - 1 },
    });
    t.same(check(key, 0, 0), { ok: true, presence: { touched: false, verified: false, counter: 0 } });
    t.same(check(key, verified | 0xf8, 5), { ok: true, presence: { touched: false, verified: true, counter: 5 } });
    // Flags and counter that are put in afterwards are not what was signed.
    const untouched = key.signBy(DATA, { flags: 0, counter: 3 });
    for (const [at, value] of [
      [untouched.length - 5, touched],
      [untouched.length - 5, verified],
      [untouched.length - 1, 4],
    ] as const) {
      const forged = Buffer.from(untouched);
      forged[at] = value;
      t.same(checkSignature(parse(key), key.type, DATA, forged), { ok: false });
    }
    const plain = key === SK_ECDSA ? 'ecdsa-sha2-nistp256' : 'ssh-ed25519';
    const asPlain = key.signBy(DATA, { format: plain });
    t.same(checkSignature(parse(key), plain, DATA, asPlain), { ok: false }, 'another scheme, and its name');
    const whole = key.sign(DATA);
    for (const [name, bytes] of [
      ['no flags and no counter', whole.subarray(0, -5)],
      ['no counter', whole.subarray(0, -4)],
      ['a byte more', Buffer.concat([whole, Buffer.of(0)])],
      ['the name of the plain scheme', asPlain],
      ['the name of a browser', key.signBy(DATA, { format: 'webauthn-sk-ecdsa-sha2-nistp256@openssh.com' })],
    ] as const)
      t.same(checkSignature(parse(key), key.type, DATA, bytes), { ok: false }, name);
  }
});

/** OpenSSH's PROTOCOL.sshsig: a file that `ssh-keygen -Y verify` checks by the code that sshd has. */
function sshsig(key: TokenKey, message: string): string {
  const hash = createHash('sha512').update(message).digest();
  const magic = { raw: Buffer.from('SSHSIG') };
  const signed = concatFields([magic, 'test', '', 'sha512', hash]);
  const blob = concatFields([magic, 1, key.blob, 'test', '', 'sha512', key.sign(signed)]).toString('base64');
  return `-----BEGIN SSH SIGNATURE-----\n${blob.replace(/(.{70})/g, '$1\n')}\n-----END SSH SIGNATURE-----\n`;
}

t.test('security keys: what the tests take for a signature of a token, OpenSSH does too', async (t) => {
  const dir = tempDir(t);
  for (const key of [SK_ED25519, SK_ECDSA]) {
    const [signers, file] = [join(dir, 'signers'), join(dir, 'sig')];
    writeFileSync(signers, `alice ${key.type} ${key.blob.toString('base64')}\n`);
    writeFileSync(file, sshsig(key, 'message'));
    const args = ['-Y', 'verify', '-f', signers, '-I', 'alice', '-n', 'test', '-s', file];
    t.match(await run(t, 'ssh-keygen', args, { input: 'message' }), { code: 0, stdout: /Good "test" signature/ });
    t.notSame((await run(t, 'ssh-keygen', args, { input: 'another message' })).code, 0);
  }
});

t.test('security keys: a signature for another application is none', async (t) => {
  const key = skEd25519('ssh:');
  const elsewhere = Buffer.concat([key.blob.subarray(0, -4), Buffer.from('web:')]);
  const parsed = parsePublicKey(elsewhere);
  t.equal(parsed.ok && verify(parsed.key, key.type, DATA, key.sign(DATA)), false);
});

t.test('a signature that nobody has asked for counts by the scheme it names, if it is one of the key', async (t) => {
  for (const [signer, algorithm] of PAIRS) {
    t.equal(isSignedBy(parse(signer), DATA, signer.sign(DATA, algorithm)), true, algorithm);
    t.equal(isSignedBy(parse(signer), Buffer.alloc(3), signer.sign(DATA, algorithm)), false);
  }
  t.equal(isSignedBy(parse(RSA), DATA, RSA.sign(DATA, 'ssh-rsa')), false, 'SHA-1');
  t.equal(isSignedBy(parse(RSA), DATA, Buffer.alloc(0)), false);
});
