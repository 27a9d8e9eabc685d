import fc from 'fast-check';
import t from 'tap';
import { concatFields } from '../../../src/shared/protocol.js';
import { type Certificate, isIssuedBy, keyIdOf, readCertificate } from '../../../src/worker/auth/certificate.js';
import { judgeCertificate } from '../../../src/worker/auth/certificate_rights.js';
import { fingerprint, type PublicKey, parsePublicKey } from '../../../src/worker/auth/public_key.js';
import { tempDir } from '../../support/temp.js';
import {
  type CertificateFields,
  certify,
  type KeyFile,
  makeKeyFile,
  PORT_FORWARDING,
  signByKeygen,
  textData,
  writeKeyFile,
} from './certificates.js';
import { ecdsa, ed25519, rsa, skEcdsa, skEd25519, type TestKey } from './keys.js';

const CA = ed25519();
const KEYS = [ed25519(), ecdsa(256), ecdsa(384), ecdsa(521), rsa(), skEd25519(), skEcdsa('ssh:x')];
const NOW_MS = Date.UTC(2026, 5, 1, 12);
const NOW_S = BigInt(NOW_MS / 1000);

function keyOf({ blob }: { readonly blob: Buffer }): PublicKey {
  const parsed = parsePublicKey(blob);
  if (!parsed.ok) throw new Error(parsed.why);
  return parsed.key;
}

function read(blob: Buffer): Certificate {
  const parsed = readCertificate(blob);
  if (!parsed.ok) throw new Error(parsed.why);
  return parsed.certificate;
}

const USE = { user: 'alice', principals: null, address: '192.0.2.7', nowMs: NOW_MS };

function judge(fields: CertificateFields, use: Partial<typeof USE> = {}): ReturnType<typeof judgeCertificate> {
  return judgeCertificate(read(certify(KEYS[0] ?? CA, CA, fields)), { ...USE, ...use });
}

t.test('certificates as ssh-keygen makes them, of every key by every CA', async (t) => {
  const dir = tempDir(t);
  const types = [
    ['ed25519', '-t', 'ed25519'],
    ['p256', '-t', 'ecdsa', '-b', '256'],
    ['p384', '-t', 'ecdsa', '-b', '384'],
    ['p521', '-t', 'ecdsa', '-b', '521'],
    ['rsa', '-t', 'rsa', '-b', '2048'],
  ];
  const make = (prefix: string): Promise<KeyFile[]> =>
    Promise.all(types.map(([name = '', ...args]) => makeKeyFile(t, dir, prefix + name, args)));
  const cas = await make('ca-');
  const keys = [
    ...(await make('')),
    writeKeyFile(dir, 'sk-ed25519', skEd25519()),
    writeKeyFile(dir, 'sk-ecdsa', skEcdsa()),
  ];
  for (const [at, ca] of cas.entries()) {
    for (const key of keys) {
      const options = ['-O', 'force-command=date', '-O', 'source-address=192.0.2.0/24,2001:db8::/32'];
      const blob = await signByKeygen(t, ca, key, [
        ...['-I', 'the key id', '-n', 'alice,bob', '-z', '18446744073709551615'],
        ...['-V', '20260101120000Z:20261231120000Z', '-O', 'no-x11-forwarding', ...options],
      ]);
      const certificate = read(blob);
      t.match(certificate, {
        serial: 2n ** 64n - 1n,
        kind: 1,
        principals: ['alice', 'bob'],
        validAfterS: BigInt(Date.UTC(2026, 0, 1, 12) / 1000),
        validBeforeS: BigInt(Date.UTC(2026, 11, 31, 12) / 1000),
      });
      t.equal(keyIdOf(certificate), 'the key id');
      t.same(certificate.keyBlob, key.blob, 'the key inside, as it stands in its own file');
      t.same(certificate.caBlob, ca.blob);
      for (const [other, { blob }] of cas.entries())
        t.equal(isIssuedBy(certificate, keyOf({ blob })), other === at, `${key.file} by ${ca.file}`);
      t.same(judgeCertificate(certificate, USE), {
        ok: true,
        rights: {
          portForwarding: true,
          verifyRequired: false,
          mayBeUntouched: false,
          forceCommand: 'date',
          expiresAtMs: Date.UTC(2026, 11, 31, 12),
        },
      });
    }
  }
});

t.test('a CA that signs with SHA-1 has signed nothing', async (t) => {
  const dir = tempDir(t);
  const ca = await makeKeyFile(t, dir, 'ca', ['-t', 'rsa', '-b', '2048']);
  const key = await makeKeyFile(t, dir, 'key', ['-t', 'ed25519']);
  const signed = async (type: string): Promise<Certificate> =>
    read(await signByKeygen(t, ca, key, ['-t', type, '-I', 'x', '-n', 'alice']));
  t.equal(isIssuedBy(await signed('ssh-rsa'), keyOf(ca)), false);
  t.equal(isIssuedBy(await signed('rsa-sha2-256'), keyOf(ca)), true);
});

t.test('a security key may be a CA, and needs no touch for it, as in sshd', async (t) => {
  const ca = skEd25519();
  for (const flags of [0, 1]) {
    const blob = certify(ed25519(), ca, { signatureOf: (part) => ca.signBy(part, { flags }) });
    t.equal(isIssuedBy(read(blob), keyOf(ca)), true);
  }
});

t.test('what is no certificate', async (t) => {
  const key = ed25519();
  const whole = certify(key, CA);
  const rows: ReadonlyArray<readonly [string, Buffer]> = [
    ['nothing', Buffer.alloc(0)],
    ['a plain key', key.blob],
    ['a byte more', Buffer.concat([whole, Buffer.of(0)])],
    ['one of DSA', certify(key, CA, { type: 'ssh-dss-cert-v01@openssh.com' })],
    ['an algorithm for a type', certify(rsa(), CA, { type: 'rsa-sha2-512-cert-v01@openssh.com' })],
    ['the certificates of before 2014', certify(rsa(), CA, { type: 'ssh-rsa-cert-v00@openssh.com' })],
    ['one of another type', certify(key, CA, { type: 'sk-ssh-ed25519-cert-v01@openssh.com' })],
    ['a NUL in the key id', certify(key, CA, { keyId: 'a\0b' })],
    ['a NUL in a principal', certify(key, CA, { principals: ['root\0'] })],
    ['a principal that is no text', certify(key, CA, { principals: ['alice', Buffer.of(0xff)] })],
    ['too many principals', certify(key, CA, { principals: Array.from({ length: 257 }, () => 'alice') })],
    ['options twice', certify(key, CA, { extensions: [['permit-pty'], ['permit-pty']] })],
    [
      'options out of order',
      certify(key, CA, { criticalOptions: [['verify-required'], ['force-command', textData('x')]] }),
    ],
    ['a CA that is a certificate', certify(key, CA, { caBlob: certify(ed25519(), CA) })],
  ];
  for (const [name, blob] of rows) t.match(readCertificate(blob), { ok: false, why: String }, name);
  for (let length = 0; length < whole.length; length += 1)
    if (readCertificate(whole.subarray(0, length)).ok) t.fail(`cut to ${length} bytes`);
  t.ok(readCertificate(whole).ok);
  t.ok(readCertificate(certify(key, CA, { principals: Array.from({ length: 256 }, () => 'alice') })).ok);
});

t.test('whom, where and when it is for', async (t) => {
  const yes = { ok: true };
  const no = (detail: RegExp, code = 'CERT_INVALID') => ({ ok: false, code, detail });
  t.match(judge({}), yes);
  t.match(judge({ kind: 2 }), no(/no user certificate/));
  t.match(judge({ kind: 0 }), no(/no user certificate/));

  t.match(judge({ validAfterS: NOW_S }), yes, 'from its first second on');
  t.match(judge({ validAfterS: NOW_S + 1n }), no(/^not valid before 2026-06-01T12:00:01/));
  t.match(judge({ validBeforeS: NOW_S }), no(/^expired at 2026-06-01T12:00:00/));
  t.match(judge({ validBeforeS: NOW_S + 1n }), { ok: true, rights: { expiresAtMs: NOW_MS + 1000 } });
  t.match(judge({}), { rights: { expiresAtMs: null } });
  t.match(judge({ validBeforeS: 2n ** 63n }), { rights: { expiresAtMs: null } });
  t.match(judge({ validAfterS: 2n ** 64n - 2n }), no(/not valid before second/));
  t.match(judge({ validAfterS: 1n }, { nowMs: -5 }), no(/not valid before/), 'a clock before 1970');

  t.match(
    judge({ principals: [] }),
    no(/none of its principals .*: it names nobody$/),
    'for everybody by the book, for nobody by sshd',
  );
  t.match(judge({ principals: ['bob', 'alice'] }), yes);
  for (const name of ['bob', 'Alice', 'alice ', 'ali*', '*', 'bob,alice', ''])
    t.match(judge({ principals: [name] }), no(/none of its principals/), `'${name}'`);
  const listed = (principals: readonly string[], name: string) =>
    judgeCertificate(read(certify(ed25519(), CA, { principals: [name] })), { ...USE, principals });
  t.match(listed(['ops', 'dev'], 'dev'), yes, 'principals= in place of the name');
  t.match(listed(['ops', 'dev'], 'alice'), no(/none of its principals/));
  t.match(listed(['root'], 'ops,root'), no(/none of its principals/), 'CVE-2026-35414');
  t.match(listed([''], ''), no(/none of its principals/));
  t.match(listed([], 'alice'), no(/none of its principals/));

  const from = (list: string, address = '192.0.2.7') =>
    judge({ criticalOptions: [['source-address', textData(list)]] }, { address });
  for (const list of ['192.0.2.7', '192.0.2.0/24', '10.0.0.0/8,192.0.2.7/32', '0.0.0.0/0'])
    t.match(from(list), yes, list);
  t.match(from('2001:db8::/32', '2001:db8::9'), yes);
  for (const list of ['192.0.2.8', '10.0.0.0/8', '::/0', '::ffff:192.0.2.0/120'])
    t.match(from(list), no(/source-address/, 'KEY_SOURCE'), list);
  for (const list of [
    '',
    '192.0.2.7,',
    '192.0.2.*',
    '!10.0.0.0/8,0.0.0.0/0',
    '192.0.2.7/24',
    '192.0.2.7/33',
    'localhost',
    ' 192.0.2.7',
  ])
    t.match(from(list), no(/no list of CIDR/), `'${list}'`);
});

t.test('options and extensions', async (t) => {
  const no = (detail: RegExp) => ({ ok: false, code: 'CERT_INVALID', detail });
  t.match(judge({ extensions: [] }), { ok: true, rights: { portForwarding: false } });
  t.match(judge({ extensions: [['permit-pty']] }), { ok: true, rights: { portForwarding: false } });
  t.match(judge({ extensions: [['Permit-Port-Forwarding']] }), { ok: true, rights: { portForwarding: false } });
  t.match(judge({ extensions: [['permit-port-forwarding', 'x']] }), no(/permit-port-forwarding has data/));
  t.match(judge({ extensions: [['login@example.com', 'x'], ...PORT_FORWARDING] }), { ok: true });
  t.match(judge({ extensions: [['no-touch-required']] }), { ok: true, rights: { mayBeUntouched: true } });
  t.match(judge({ criticalOptions: [['verify-required']] }), { ok: true, rights: { verifyRequired: true } });
  t.match(judge({ criticalOptions: [['verify-required', 'x']] }), no(/verify-required has data/));
  t.match(judge({ criticalOptions: [['force-command', textData('date')]] }), {
    ok: true,
    rights: { forceCommand: 'date' },
  });
  for (const data of ['', 'date', Buffer.concat([textData('date'), Buffer.of(0)]), textData('a\0b')])
    t.match(judge({ criticalOptions: [['force-command', data]] }), no(/force-command cannot be read/));
  t.match(judge({ criticalOptions: [['source-address', 'x']] }), no(/source-address cannot be read/));
  for (const name of ['no-touch-required', 'Force-command', 'x@example.com', '__proto__', 'a\nb', ''])
    t.match(judge({ criticalOptions: [[name]] }), no(/^critical option .* is not supported$/), name);
  // biome-ignore lint/suspicious/noControlCharactersInRegex: that there is none is what is looked at
  t.match(judge({ criticalOptions: [['a\nb\x1b']] }), { detail: /^[^\x00-\x1f]+$/ }, 'told in one line');
});

t.test('no bit of a certificate can be changed: its CA has not signed that', async (t) => {
  const ca = keyOf(CA);
  for (const key of KEYS) {
    const whole = certify(key, CA, { criticalOptions: [['force-command', textData('date')]] });
    const goesIn = (blob: Buffer): boolean => {
      const parsed = readCertificate(blob);
      return parsed.ok && parsed.certificate.caBlob.equals(CA.blob) && isIssuedBy(parsed.certificate, ca);
    };
    t.ok(goesIn(whole));
    fc.assert(
      fc.property(fc.nat(whole.length - 1), fc.integer({ min: 1, max: 255 }), (at, flip) => {
        const changed = Buffer.from(whole);
        changed[at] = (changed[at] ?? 0) ^ flip;
        return !goesIn(changed);
      }),
      { numRuns: 200 },
    );
    const cut = fc.tuple(fc.nat(whole.length), fc.nat(whole.length), fc.uint8Array({ maxLength: 40 }));
    fc.assert(
      fc.property(cut, ([from, to, put]) => {
        const changed = Buffer.concat([whole.subarray(0, from), put, whole.subarray(Math.max(from, to))]);
        return changed.equals(whole) || !goesIn(changed);
      }),
      { numRuns: 200 },
    );
  }
});

t.test('whatever it is made of, it is read or refused, and what is judged has its reason', async () => {
  const option = fc.tuple(
    fc.constantFrom('force-command', 'source-address', 'verify-required', 'permit-port-forwarding', 'x@y', ''),
    fc.oneof(
      fc.constant(''),
      fc.string().map(textData),
      fc.uint8Array({ maxLength: 8 }).map((bytes) => Buffer.from(bytes)),
    ),
  );
  const key: TestKey = ed25519();
  const fields = fc.record({
    serial: fc.bigInt({ min: 0n, max: 2n ** 64n - 1n }),
    kind: fc.nat(3),
    keyId: fc.uint8Array({ maxLength: 20 }).map((bytes) => Buffer.from(bytes)),
    principals: fc.array(fc.constantFrom('alice', 'bob', '', 'ü'), { maxLength: 3 }),
    validAfterS: fc.bigInt({ min: 0n, max: 2n ** 64n - 1n }),
    validBeforeS: fc.bigInt({ min: 0n, max: 2n ** 64n - 1n }),
    criticalOptions: fc.array(option, { maxLength: 3 }),
    extensions: fc.array(option, { maxLength: 3 }),
  });
  fc.assert(
    fc.property(fields, (made) => {
      const parsed = readCertificate(certify(key, CA, made));
      if (!parsed.ok) return /^[\x20-\x7e]+$/.test(parsed.why);
      if (!isIssuedBy(parsed.certificate, keyOf(CA))) return false;
      if (fingerprint(parsed.certificate.keyBlob) !== fingerprint(key.blob)) return false;
      const verdict = judgeCertificate(parsed.certificate, USE);
      if (!verdict.ok) return !/\p{Cc}/u.test(verdict.detail);
      const inTime = made.validAfterS <= NOW_S && NOW_S < made.validBeforeS;
      return made.kind === 1 && inTime && made.principals.includes('alice');
    }),
    { numRuns: 2_000 },
  );
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 300 }), (bytes) => {
      const prefixed = concatFields(['ssh-ed25519-cert-v01@openssh.com', { raw: bytes }]);
      return !readCertificate(Buffer.from(bytes)).ok && !readCertificate(prefixed).ok;
    }),
    { numRuns: 1_000 },
  );
});
