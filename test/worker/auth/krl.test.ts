import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import fc from 'fast-check';
import t, { type Test } from 'tap';
import { concatFields } from '../../../src/shared/protocol.js';
import { type Certificate, readCertificate } from '../../../src/worker/auth/certificate.js';
import { parseKrl, type RevocationList } from '../../../src/worker/auth/krl.js';
import { readRevokedKeys } from '../../../src/worker/auth/revoked_keys.js';
import { mustRun, run } from '../../support/process.js';
import { tempDir } from '../../support/temp.js';
import { certify, type KeyFile, makeKeyFile, uint64, writeKeyFile } from './certificates.js';
import { ed25519, skEd25519, type TestKey } from './keys.js';

const CA = ed25519();
const OTHER_CA = ed25519();

function cert(key: TestKey, ca: TestKey, serial: bigint, keyId = 'id'): Certificate {
  const parsed = readCertificate(certify(key, ca, { serial, keyId }));
  if (!parsed.ok) throw new Error(parsed.why);
  return parsed.certificate;
}

/** A KRL by ssh-keygen from lines of its own language (ssh-keygen(1), KEY REVOCATION LISTS). */
async function krlOf(t: Test, dir: string, spec: string, args: readonly string[] = []): Promise<Buffer> {
  writeFileSync(join(dir, 'spec'), spec);
  const file = join(dir, 'krl');
  await mustRun(t, 'ssh-keygen', ['-q', '-k', '-f', file, ...args, join(dir, 'spec')]);
  return readFileSync(file);
}

function read(bytes: Buffer): RevocationList {
  const parsed = readRevokedKeys(bytes);
  if (!parsed.ok) throw new Error(parsed.why);
  return parsed.revoked;
}

t.test('what ssh-keygen -k revokes, in every kind of section', async (t) => {
  const dir = tempDir(t);
  const ca = writeKeyFile(dir, 'ca', CA);
  const [listed, by256, by1, free] = await Promise.all(
    ['listed', 'by256', 'by1', 'free'].map((name) => makeKeyFile(t, dir, name, ['-t', 'ed25519'])),
  );
  if (!listed || !by256 || !by1 || !free) throw new Error('no keys');
  const token = writeKeyFile(dir, 'token', skEd25519());
  const hash = (await mustRun(t, 'ssh-keygen', ['-l', '-f', `${by256.file}.pub`])).split(' ')[1] ?? '';
  const serials = ['serial: 1', 'serial: 7', 'serial: 9', 'serial: 11', 'serial: 100-200', 'serial: 5000000000'];
  // Single serials far apart make a list, near ones a bitmap.
  const many = Array.from({ length: 40 }, (_, at) => `serial: ${1000 + 3 * at}`);
  const krl = read(
    await krlOf(
      t,
      dir,
      [
        ...serials,
        ...many,
        'id: a lost laptop',
        `key: ${listed.line}`,
        `key: ${token.line}`,
        `sha1: ${by1.line}`,
        `hash: ${hash}`,
        `serial: 18446744073709551615`,
      ].join('\n'),
      ['-s', `${ca.file}.pub`, '-z', '42'],
    ),
  );
  const inKrl = ({ blob }: KeyFile): boolean => krl.hasKey(blob);
  t.same([listed, token, by256, by1, free].map(inKrl), [true, true, true, true, false]);

  const key = ed25519();
  const bySerial = (serial: bigint, ca = CA) => krl.revokes(cert(key, ca, serial));
  for (const serial of [1n, 7n, 9n, 11n, 100n, 150n, 200n, 5000000000n, 2n ** 64n - 1n, 1000n, 1003n, 1117n])
    t.equal(bySerial(serial), 'serial', String(serial));
  for (const serial of [0n, 2n, 8n, 10n, 12n, 99n, 201n, 999n, 1001n, 1118n, 1120n, 4999999999n, 2n ** 64n - 2n])
    t.equal(bySerial(serial), null, String(serial));
  t.equal(bySerial(7n, OTHER_CA), null, 'serials are those of one CA');
  t.equal(krl.revokes(cert(key, CA, 50n, 'a lost laptop')), 'key id');
  t.equal(krl.revokes(cert(key, CA, 50n, 'A lost laptop')), null);
  t.equal(krl.revokes(cert(key, OTHER_CA, 50n, 'a lost laptop')), null);
  const ofListed = cert({ ...key, blob: listed.blob }, OTHER_CA, 50n);
  t.equal(krl.revokes(ofListed), 'key', 'the key of a certificate');
  t.equal(krl.revokes(cert(key, { ...CA, blob: by256.blob }, 50n)), 'CA', 'the CA of a certificate');
});

t.test('our answers and those of ssh-keygen -Q are the same', async (t) => {
  const dir = tempDir(t);
  const ca = await makeKeyFile(t, dir, 'ca', ['-t', 'ed25519']);
  const key = await makeKeyFile(t, dir, 'key', ['-t', 'ed25519']);
  const ranges = ['serial: 3', 'serial: 5-6', 'serial: 40-90', 'serial: 300', 'serial: 302', 'serial: 304', 'id: x7'];
  const krl = read(await krlOf(t, dir, ranges.join('\n'), ['-s', `${ca.file}.pub`]));
  for (const serial of [1, 3, 4, 5, 6, 7, 39, 40, 90, 91, 300, 301, 304]) {
    const keyId = `x${serial}`;
    await mustRun(t, 'ssh-keygen', [
      ...['-q', '-s', ca.file, '-I', keyId, '-n', 'a', '-z', String(serial)],
      `${key.file}.pub`,
    ]);
    const file = `${key.file}-cert.pub`;
    const theirs = await run(t, 'ssh-keygen', ['-Q', '-f', join(dir, 'krl'), file]);
    const parsed = readCertificate(Buffer.from(readFileSync(file, 'utf8').split(' ')[1] ?? '', 'base64'));
    const ours = parsed.ok && krl.revokes(parsed.certificate) !== null;
    t.equal(ours, theirs.code !== 0, `serial ${serial}`);
  }
});

t.test('without a CA, serials and key ids are those of all CAs', async (t) => {
  const krl = read(await krlOf(t, tempDir(t), 'id: gone\nserial: 4\n', ['-s', 'none']));
  t.equal(krl.revokes(cert(ed25519(), CA, 1n, 'gone')), 'key id');
  t.equal(krl.revokes(cert(ed25519(), OTHER_CA, 4n)), 'serial');
  t.equal(krl.revokes(cert(ed25519(), OTHER_CA, 5n)), null);
});

// --- by hand ---------------------------------------------------------------------------------------------------------

const HEADER = Buffer.concat([
  Buffer.from('SSHKRL\n\0', 'latin1'),
  concatFields([1]),
  Buffer.alloc(24),
  concatFields(['', '']),
]);

function section(type: number, data: Buffer): Buffer {
  return concatFields([{ byte: type }, data]);
}
function krlBytes(...sections: Buffer[]): Buffer {
  return Buffer.concat([HEADER, ...sections]);
}
function certSection(type: number, data: Buffer, ca = CA.blob): Buffer {
  return section(1, concatFields([ca, '', { byte: type }, data]));
}
const extension = (critical: boolean): Buffer => concatFields(['x@example.com', critical, 'data']);

t.test('a file that is not understood to its last byte is an error', async (t) => {
  const key = ed25519().blob;
  const rows: ReadonlyArray<readonly [string, Buffer, RegExp]> = [
    ['no bytes', Buffer.alloc(0), /empty file/],
    ['a magic alone', HEADER.subarray(0, 8), /cut short/],
    ['another format', Buffer.concat([HEADER.subarray(0, 8), concatFields([2]), HEADER.subarray(12)]), /format 2/],
    ['an unknown section', krlBytes(section(6, Buffer.alloc(0))), /unknown type 6/],
    ['a signature', krlBytes(concatFields([{ byte: 4 }, key, 'signature'])), /signature/],
    ['a critical extension', krlBytes(section(255, extension(true))), /critical extension/],
    ['an extension cut short', krlBytes(section(255, extension(false).subarray(0, -1))), /cannot be read/],
    ['a critical extension among certificates', krlBytes(certSection(0x39, extension(true))), /critical extension/],
    ['an unknown certificate section', krlBytes(certSection(0x24, Buffer.alloc(0))), /unknown type 36/],
    ['a hash of another length', krlBytes(section(5, concatFields([Buffer.alloc(20)]))), /hash of 20 bytes/],
    ['a SHA-1 hash of another length', krlBytes(section(3, concatFields([Buffer.alloc(32)]))), /hash of 32 bytes/],
    ['a key cut short', krlBytes(section(2, concatFields([key.subarray(0, -1)]))), /cannot be read/],
    ['a certificate for a key', krlBytes(section(2, concatFields([certify(ed25519(), CA)]))), /plain key belongs/],
    ['a CA that is none', krlBytes(certSection(0x20, uint64(1n), Buffer.from('x'))), /cannot be read/],
    ['half a serial', krlBytes(certSection(0x20, Buffer.alloc(12, 1))), /cut short/],
    ['serial 0', krlBytes(certSection(0x20, uint64(0n))), /no range/],
    ['a range from 0', krlBytes(certSection(0x21, Buffer.concat([uint64(0n), uint64(5n)]))), /no range/],
    ['a range backwards', krlBytes(certSection(0x21, Buffer.concat([uint64(6n), uint64(5n)]))), /no range/],
    ['a range and more', krlBytes(certSection(0x21, Buffer.concat([uint64(4n), uint64(5n), uint64(5n)]))), /too many/],
    ['a negative bitmap', krlBytes(certSection(0x22, concatFields([{ raw: uint64(1n) }, Buffer.of(0x80)]))), /bitmap/],
    [
      'a bitmap with serial 0',
      krlBytes(certSection(0x22, concatFields([{ raw: uint64(0n) }, Buffer.of(1)]))),
      /bitmap/,
    ],
    [
      'a bitmap beyond 64 bits',
      krlBytes(certSection(0x22, concatFields([{ raw: uint64(2n ** 64n - 1n) }, Buffer.of(2)]))),
      /bitmap/,
    ],
    ['a key id with a NUL', krlBytes(certSection(0x23, concatFields(['a\0b']))), /NUL/],
    ['bytes behind the last section', krlBytes(section(2, Buffer.alloc(0)), Buffer.of(2)), /cut short/],
  ];
  for (const [name, bytes, why] of rows) t.match(readRevokedKeys(bytes), { ok: false, line: 1, why }, name);
  const sound = krlBytes(
    section(255, extension(false)),
    certSection(0x39, extension(false)),
    certSection(0x22, concatFields([{ raw: uint64(2n ** 64n - 2n) }, Buffer.of(2)])),
    certSection(0x22, concatFields([{ raw: uint64(16n) }, Buffer.of(0, 0x81)])),
    section(2, concatFields([key])),
  );
  const krl = read(sound);
  t.equal(krl.hasKey(key), true, 'behind an extension that may be passed over');
  t.equal(krl.revokes(cert(ed25519(), CA, 2n ** 64n - 1n)), 'serial');
  for (const serial of [16n, 23n]) t.equal(krl.revokes(cert(ed25519(), CA, serial)), 'serial');
  for (const serial of [15n, 17n, 22n, 24n]) t.equal(krl.revokes(cert(ed25519(), CA, serial)), null);
  for (let length = 0; length < sound.length; length += 1) {
    const isWhole = length === HEADER.length || parseKrl(sound.subarray(0, length)).ok;
    if (isWhole && !endsOfSections(sound).includes(length)) t.fail(`cut to ${length} bytes`);
  }
});

function endsOfSections(krl: Buffer): number[] {
  const ends = [HEADER.length];
  for (let at = HEADER.length; at < krl.length; ends.push(at)) at += 5 + krl.readUInt32BE(at + 1);
  return ends;
}

t.test('serials are found as a plain set has them', async () => {
  const serial = fc.bigInt({ min: 1n, max: 80n });
  const range = fc.tuple(serial, serial).map(([a, b]) => (a < b ? ([a, b] as const) : ([b, a] as const)));
  const bitmap = fc.tuple(
    serial,
    fc.uint8Array({ maxLength: 4 }).map((bytes) => Buffer.from([0, ...bytes])),
  );
  fc.assert(
    fc.property(
      fc.array(serial),
      fc.array(range, { maxLength: 4 }),
      fc.array(bitmap, { maxLength: 3 }),
      (list, ranges, maps) => {
        const model = new Set(list);
        for (const [first, last] of ranges) for (let at = first; at <= last; at += 1n) model.add(at);
        for (const [offset, bits] of maps) {
          const number = BigInt(`0x${bits.toString('hex') || '0'}`);
          for (let bit = 0n; bit < 40n; bit += 1n) if (((number >> bit) & 1n) === 1n) model.add(offset + bit);
        }
        const krl = read(
          krlBytes(
            certSection(0x20, Buffer.concat(list.map(uint64))),
            ...ranges.map((ends) => certSection(0x21, Buffer.concat(ends.map(uint64)))),
            ...maps.map(([offset, bits]) => certSection(0x22, concatFields([{ raw: uint64(offset) }, bits]))),
          ),
        );
        const key = ed25519();
        for (let at = 0n; at < 125n; at += 1n)
          if ((krl.revokes(cert(key, CA, at)) === 'serial') !== model.has(at)) throw new Error(`serial ${at}`);
      },
    ),
    { numRuns: 30 },
  );
});

t.test('a changed file is read or refused with its reason, and never crashes', async () => {
  const whole = krlBytes(
    certSection(0x20, Buffer.concat([1n, 5n].map(uint64))),
    certSection(0x23, concatFields(['a', 'b'])),
    section(2, concatFields([CA.blob])),
    section(5, concatFields([Buffer.alloc(32, 3)])),
  );
  const edit = fc.tuple(fc.nat(whole.length), fc.nat(60), fc.uint8Array({ maxLength: 12 }));
  fc.assert(
    fc.property(fc.array(edit, { minLength: 1, maxLength: 3 }), (edits) => {
      let bytes = whole;
      for (const [from, length, put] of edits)
        bytes = Buffer.concat([bytes.subarray(0, from), put, bytes.subarray(from + length)]);
      const parsed = readRevokedKeys(bytes);
      return parsed.ok || !/\p{Cc}/u.test(parsed.why);
    }),
    { numRuns: 3_000 },
  );
});

t.test('a list of public keys', async (t) => {
  const [plain, other] = [ed25519(), ed25519()];
  const line = ({ type, blob }: TestKey): string => `${type} ${blob.toString('base64')}`;
  const asCert = (key: TestKey): string =>
    `ssh-ed25519-cert-v01@openssh.com ${certify(key, OTHER_CA).toString('base64')} lost`;
  const list = read(Buffer.from(`# lost\n\n  ${line(plain)} of alice\r\n\t${line(CA)}\n${asCert(other)}\n`));
  t.equal(list.hasKey(plain.blob), true);
  t.equal(list.hasKey(OTHER_CA.blob), false);
  t.equal(list.hasKey(other.blob), true, 'a certificate stands for its key');
  t.equal(list.revokes(cert(plain, OTHER_CA, 1n)), 'key');
  t.equal(list.revokes(cert(ed25519(), CA, 1n)), 'CA');
  t.equal(list.revokes(cert(ed25519(), OTHER_CA, 1n)), null);
  t.same(readRevokedKeys(Buffer.from('# nothing yet\n')).ok, true, 'nothing, and said so');
  const rows: ReadonlyArray<readonly [string, number]> = [
    ['alice', 1],
    [`# x\n${line(plain)}\nssh-ed25519\n`, 3],
    [`\n\nssh-ed25519 !!!!`, 3],
    [`ssh-rsa ${plain.blob.toString('base64')}`, 1],
    [`no-pty ${line(plain)}`, 1],
    [`${line(plain).slice(0, -4)}`, 1],
    ['-----BEGIN OPENSSH PRIVATE KEY-----', 1],
  ];
  for (const [text, at] of rows)
    t.match(readRevokedKeys(Buffer.from(text)), { ok: false, line: at, why: /no public key/ }, text.slice(0, 20));
  t.match(readRevokedKeys(Buffer.of(0xff, 0xfe, 0)), { ok: false, why: /neither/ });
  t.match(readRevokedKeys(Buffer.from('SSHKRL\n')), { ok: false }, 'half a magic');
});
