/** CERTIFICATE LOGIN: from the lines of a config to a yes or a no, through the directory; and through Credentials, with a signature. */
import fc from 'fast-check';
import t from 'tap';
import type { Peer, PublicKeyInfo } from '../../../src/shared/identity.js';
import { concatFields, MSG, message } from '../../../src/shared/protocol.js';
import { Credentials, type Outcome } from '../../../src/worker/auth/credentials.js';
import { Directory } from '../../../src/worker/auth/directory.js';
import { GRANT, type GrantedIdentity, withGrant } from '../../../src/worker/auth/grant.js';
import type { AuthHooks, LoginAnswer } from '../../../src/worker/auth/hooks.js';
import { keyLogin } from '../../../src/worker/auth/key_login.js';
import { noteYes } from '../../../src/worker/auth/notes.js';
import { fingerprint } from '../../../src/worker/auth/public_key.js';
import { NOTHING_REVOKED, readRevokedKeys } from '../../../src/worker/auth/revoked_keys.js';
import { testConfig } from '../../support/test_config.js';
import { type CertificateFields, certify, type Options, PORT_FORWARDING, textData } from './certificates.js';
import { ecdsa, ed25519, rsa, skEcdsa, skEd25519, type TestKey } from './keys.js';

const [CA, OWN_CA, FOREIGN_CA, KEY] = [ed25519(), ecdsa(256), ed25519(), ed25519()] as const;
const NOW_MS = Date.UTC(2026, 5, 1);
const NOW_S = BigInt(NOW_MS / 1000);
const HERE = { address: '192.0.2.7', nowMs: NOW_MS };

function line({ type, blob }: TestKey, options = ''): string {
  return `${options}${options === '' ? '' : ' '}${type} ${blob.toString('base64')}`;
}

/** `users` by name: their lines. */
function directoryOf(
  users: Readonly<Record<string, readonly string[]>>,
  trusted: readonly TestKey[] = [CA],
): Directory {
  const config = testConfig({
    users: Object.fromEntries(Object.entries(users).map(([name, authorizedKeys]) => [name, { authorizedKeys }])),
    auth: { trustedUserCAKeys: trusted.map((ca) => line(ca)) },
  });
  return new Directory({
    users: config.users,
    trustedCas: config.auth.trustedUserCAKeys,
    verifyPassword: () => Promise.reject(new Error('no passwords here')),
  });
}

const check = (directory: Directory, ca: TestKey, fields: CertificateFields = {}, user = 'alice', asking = HERE) =>
  directory.checkCertificate(user, certify(KEY, ca, fields), asking);

t.test('a CA of all users, CAs of one, and CAs of nobody', async (t) => {
  const directory = directoryOf({ alice: [line(OWN_CA, 'cert-authority')], bob: [], carol: [line(OWN_CA)] });
  t.match(check(directory, CA), { kind: 'accepted', touchRequired: true, verifyRequired: false, expiresAtMs: null });
  t.match(check(directory, CA, { principals: ['bob'] }, 'bob'), { kind: 'accepted' });
  t.match(check(directory, CA, {}, 'bob'), { kind: 'refused', code: 'CERT_INVALID', detail: /principals/ });
  t.match(
    check(directory, CA, { principals: ['mallory'] }, 'mallory'),
    { kind: 'unknown' },
    'who is not in the config',
  );
  t.match(check(directory, OWN_CA), { kind: 'accepted' });
  t.match(check(directory, OWN_CA, { principals: ['bob'] }, 'bob'), { kind: 'unknown' }, "another user's CA");
  t.match(check(directory, OWN_CA, { principals: ['carol'] }, 'carol'), { kind: 'unknown' }, 'a key that is no CA');
  t.match(check(directory, FOREIGN_CA), { kind: 'unknown' });
  const forged = { caBlob: CA.blob };
  t.match(check(directory, FOREIGN_CA, forged), {
    kind: 'refused',
    code: 'CERT_INVALID',
    detail: 'not signed by its CA',
  });
  const ownForged = { caBlob: OWN_CA.blob, principals: ['bob'] };
  for (const name of ['bob', 'mallory'])
    t.match(check(directory, FOREIGN_CA, ownForged, name), { kind: 'refused', detail: 'not signed by its CA' }, name);
  t.match(directory.checkCertificate('alice', KEY.blob, HERE), { kind: 'unknown' }, 'no certificate');
});

t.test('the options of the line and of the certificate together', async (t) => {
  const by = (options: string, fields: CertificateFields = {}, asking = HERE) =>
    check(directoryOf({ alice: [line(OWN_CA, `cert-authority${options}`)] }, []), OWN_CA, fields, 'alice', asking);
  t.match(by(''), { kind: 'accepted' });
  t.match(by(',restrict'), { options: { portForwarding: false }, narrowing: { portForwarding: true } });
  t.match(by('', { extensions: [] }), { options: { portForwarding: true }, narrowing: { portForwarding: false } });
  t.match(by('', { keyId: 'a\n', serial: 7n }), { narrowing: { where: 'certificate a\\x0a (serial 7)' } });

  t.match(by(',principals="ops,alice"'), { kind: 'accepted' });
  t.match(by(',principals="ops"'), { kind: 'refused', code: 'CERT_INVALID' });
  t.match(by(',principals="ops"', { principals: ['ops'] }), { kind: 'accepted' });
  t.match(by(',principals="ops"', { principals: [] }), { kind: 'refused', code: 'CERT_INVALID' });

  const source: Options = [['source-address', textData('192.0.2.0/24')]];
  t.match(by(',from="10.0.0.0/8"'), { kind: 'refused', code: 'KEY_SOURCE' });
  t.match(by(',from="192.0.2.*"', { criticalOptions: source }), { kind: 'accepted' });
  t.match(by('', { criticalOptions: source }, { ...HERE, address: '10.0.0.1' }), {
    kind: 'refused',
    code: 'KEY_SOURCE',
  });

  const expiry = (options: string, validBeforeS: bigint) => by(options, { validBeforeS });
  t.match(expiry(',expiry-time="20260602Z"', NOW_S + 10n), { expiresAtMs: NOW_MS + 10_000 });
  t.match(expiry(',expiry-time="20260602Z"', NOW_S + 999_999n), { expiresAtMs: Date.UTC(2026, 5, 2) });
  t.match(expiry(',expiry-time="20260501Z"', NOW_S + 10n), { kind: 'refused', code: 'KEY_EXPIRED' });
  t.match(expiry('', NOW_S), { kind: 'refused', code: 'CERT_INVALID' });

  const force = (command: string): CertificateFields => ({ criticalOptions: [['force-command', textData(command)]] });
  t.match(by(',command="date"', force('date')), { kind: 'accepted' });
  t.match(by(',command="date"', force('id')), { kind: 'refused', code: 'CERT_INVALID', detail: /force-command/ });
  t.match(by(',command="date"'), { kind: 'accepted' });
  t.match(by('', force('id')), { kind: 'accepted' });

  const untouched: Options = [['no-touch-required'], ...PORT_FORWARDING];
  t.match(by('', { extensions: untouched }), { touchRequired: true });
  t.match(by(',no-touch-required'), { touchRequired: true });
  t.match(by(',no-touch-required', { extensions: untouched }), { touchRequired: false });
  t.match(check(directoryOf({ alice: [] }), CA, { extensions: untouched }), { touchRequired: false });
  t.match(by(',verify-required'), { verifyRequired: true });
  t.match(by('', { criticalOptions: [['verify-required']] }), { verifyRequired: true });
});

t.test('the first way that lets in holds; where none does, all are told', async (t) => {
  const directory = directoryOf({
    alice: [
      line(CA, 'cert-authority,principals="ops"'),
      line(CA, 'cert-authority,principals="ops",restrict,from="192.0.2.7"'),
    ],
  });
  const where = (found: RegExp) => ({ kind: 'accepted', where: found });
  t.match(check(directory, CA), where(/:1$/), 'the CA of all users comes first');
  const ops = { principals: ['ops'] };
  t.match(check(directory, CA, ops), { ...where(/:\d+$/), options: { portForwarding: true } });
  t.match(check(directory, CA, { principals: ['x'] }), {
    kind: 'refused',
    detail: /^[^;]+principals[^;]+;[^;]+;[^;]+$/,
  });
});

t.test('what it leaves is looked up in the lines of the day', async (t) => {
  const blob = certify(KEY, OWN_CA);
  const use = {
    username: 'alice',
    fingerprint: fingerprint(KEY.blob),
    address: '192.0.2.7',
    atMs: NOW_MS,
    certificate: blob,
  };
  const narrowing = (lines: readonly string[], trusted: readonly TestKey[] = []) =>
    directoryOf({ alice: lines }, trusted).narrowing(use);
  t.match(narrowing([line(OWN_CA, 'cert-authority')]), { portForwarding: true, permitOpen: null, line: use });
  t.match(narrowing([line(OWN_CA, 'cert-authority,permitopen="a:1"')]), { permitOpen: [{ host: 'a', port: 1 }] });
  t.match(
    narrowing([line(OWN_CA, 'cert-authority,restrict')], [OWN_CA]),
    { portForwarding: true },
    'a CA of all users',
  );
  t.equal(narrowing([line(OWN_CA)]), null);
  t.equal(narrowing([]), null);

  const step = { username: 'alice', method: 'publickey', fingerprint: use.fingerprint, key: blob } as const;
  const [own, all, none, ops] = [
    directoryOf({ alice: [line(OWN_CA, 'cert-authority')] }, []),
    directoryOf({ alice: [] }, [OWN_CA]),
    directoryOf({ alice: [line(KEY)] }, [CA]),
    directoryOf({ alice: [line(OWN_CA, 'cert-authority,principals="ops"')] }, []),
  ];
  t.ok(own.behind(step));
  t.equal(all.behind(step), own.behind(step), 'from a line to the CAs of all: still there');
  t.equal(none.behind(step), null, 'that the key in it may log in by itself is another way');
  t.equal(directoryOf({}, [OWN_CA]).behind(step), null);
  t.same(
    [own, all, ops].map((directory) => directory.letsIn(step, HERE)),
    [true, true, false],
  );
});

// --- through Credentials, with a signature -------------------------------------------------------------------------------

const SESSION = Buffer.alloc(32, 5);

type KeyHook = (username: string, key: PublicKeyInfo, peer: Peer) => LoginAnswer;

/** Logs in as the config has it. */
function hooksOf(directory: Directory): KeyHook {
  return (username, key, peer) => {
    const login = keyLogin(directory, key, { username, ...HERE });
    if (login.kind === 'no') throw login.refusal;
    if (login.kind === 'unknown') return false;
    const identity = withGrant({ user: username, fingerprint: login.fingerprint }, login.grant);
    noteYes(peer, username, identity);
    return identity;
  };
}

interface Ask {
  readonly user?: string;
  readonly algorithm: string;
  readonly blob: Buffer;
  readonly sign?: (data: Buffer) => Buffer;
}

function ask(
  checkAuthPublicKey: KeyHook,
  { user = 'alice', algorithm, blob, sign }: Ask,
  revoked = NOTHING_REVOKED,
): Promise<Outcome> {
  const never = (): never => {
    throw new Error('not asked');
  };
  const hooks = { getAllowedAuths: never, checkAuthPassword: never, checkAuthPublicKey } as unknown as AuthHooks;
  const credentials = new Credentials({
    hooks,
    revoked: () => revoked,
    peer: { address: HERE.address, port: 1 },
    sessionId: SESSION,
    hookTimeoutMs: 1_000,
    after: never,
    closing: new AbortController().signal,
  });
  const signedPart = message(
    MSG.USERAUTH_REQUEST,
    user,
    'ssh-connection',
    'publickey',
    sign !== undefined,
    algorithm,
    blob,
  );
  const signature =
    sign === undefined ? null : { blob: sign(concatFields([SESSION, { raw: signedPart }])), signedPart };
  return credentials.publicKey(user, { kind: 'publickey', algorithm, blob, signature }, null);
}

const certName = (name: string): string => `${name.replace(/@openssh\.com$/, '')}-cert-v01@openssh.com`;

t.test('every kind of certificate logs in, and PK_OK has the name that was asked for', async (t) => {
  const directory = directoryOf({ alice: [] });
  const big = rsa();
  const rows: ReadonlyArray<readonly [TestKey, string]> = [
    ...[ed25519(), ecdsa(256), ecdsa(384), ecdsa(521), skEd25519(), skEcdsa()].map((key) => [key, key.type] as const),
    [big, 'rsa-sha2-256'],
    [big, 'rsa-sha2-512'],
  ];
  for (const [key, scheme] of rows) {
    const blob = certify(key, CA, { keyId: 'id \x1b', serial: 2n ** 63n });
    const algorithm = certName(scheme);
    const offer = await ask(hooksOf(directory), { algorithm, blob });
    t.same(offer, { kind: 'more', reply: message(MSG.USERAUTH_PK_OK, algorithm, blob) }, scheme);
    const sign = (data: Buffer): Buffer => key.sign(data, scheme);
    t.match(await ask(hooksOf(directory), { algorithm, blob, sign }), {
      kind: 'success',
      fingerprint: fingerprint(key.blob),
      key: blob,
      identity: { user: 'alice', fingerprint: fingerprint(key.blob), [GRANT]: { narrowings: Array } },
    });
    // The scheme of a certificate's signature is that of its key, and stands there under its own name.
    const underItsName = (data: Buffer): Buffer => key.sign(data, scheme, algorithm);
    t.match(await ask(hooksOf(directory), { algorithm, blob, sign: underItsName }), { code: 'BAD_SIGNATURE' });
    t.match(await ask(hooksOf(directory), { algorithm: scheme, blob, sign }), { code: 'UNSUPPORTED_KEY' });
    t.match(await ask(hooksOf(directory), { algorithm, blob: key.blob, sign }), { code: 'UNSUPPORTED_KEY' });
    t.match(await ask(hooksOf(directory), { algorithm, blob, sign: (data) => CA.sign(data) }), {
      code: 'BAD_SIGNATURE',
      certificate: { keyId: 'id \\x1b', serial: '9223372036854775808', ca: fingerprint(CA.blob) },
    });
  }
  const blob = certify(big, CA);
  const sha1 = { algorithm: 'ssh-rsa-cert-v01@openssh.com', blob, sign: (data: Buffer) => big.sign(data, 'ssh-rsa') };
  t.match(await ask(hooksOf(directory), sha1), { code: 'UNSUPPORTED_KEY' }, 'its key type is no algorithm');
  const weak = certify(rsa(1024), CA);
  t.match(await ask(hooksOf(directory), { algorithm: certName('rsa-sha2-256'), blob: weak }), {
    code: 'UNSUPPORTED_KEY',
  });
});

t.test('a certificate is not the key in it, nor the other way round', async (t) => {
  const directory = directoryOf({ alice: [line(KEY)] });
  const expired = certify(KEY, CA, { validBeforeS: 5n });
  const sign = (data: Buffer): Buffer => KEY.sign(data);
  const algorithm = certName('ssh-ed25519');
  t.match(await ask(hooksOf(directory), { algorithm, blob: expired, sign }), { kind: 'failure', code: 'CERT_INVALID' });
  t.match(await ask(hooksOf(directory), { algorithm: KEY.type, blob: KEY.blob, sign }), { kind: 'success' });
  const caOnly = directoryOf({ alice: [] });
  t.match(await ask(hooksOf(caOnly), { algorithm: KEY.type, blob: KEY.blob, sign }), { code: 'KEY_NOT_ACCEPTED' });
  const caSign = (data: Buffer): Buffer => CA.sign(data);
  t.match(await ask(hooksOf(caOnly), { algorithm: CA.type, blob: CA.blob, sign: caSign }), {
    code: 'KEY_NOT_ACCEPTED',
  });
});

t.test('security keys: touch and PIN as the line says', async (t) => {
  const key = skEd25519();
  const certificate = certify(key, CA);
  const enter = (options: string, flags: number, blob = key.blob) =>
    ask(hooksOf(directoryOf({ alice: [line(key, options), line(OWN_CA, 'cert-authority,no-touch-required')] })), {
      algorithm: blob === key.blob ? key.type : certName(key.type),
      blob,
      sign: (data) => key.signBy(data, { flags, counter: 41 }),
    });
  const [touched, verified] = [0x01, 0x04];
  const no = { kind: 'failure', code: 'KEY_OPTION' };
  t.match(await enter('', touched), { kind: 'success', counter: 41 });
  t.match(await enter('', 0), { ...no, detail: /not touched/ });
  t.match(await enter('', verified), { ...no, detail: /not touched/ });
  t.match(await enter('no-touch-required', 0), { kind: 'success' });
  t.match(await enter('verify-required', touched), { ...no, detail: /verify-required/ });
  t.match(await enter('verify-required', touched | verified), { kind: 'success' });
  t.match(await enter('verify-required', verified), no);
  t.match(await enter('no-touch-required,verify-required', verified), { kind: 'success' });
  t.match(await enter('', touched, certificate), { kind: 'success' });
  t.match(await enter('', 0, certificate), no);
  const untouched: Options = [['no-touch-required']];
  t.match(await enter('', 0, certify(key, CA, { extensions: untouched })), { kind: 'success' }, 'a CA of all users');
  t.match(await enter('', 0, certify(key, OWN_CA, { extensions: untouched })), { kind: 'success' });
  t.match(await enter('', 0, certify(key, OWN_CA)), no);
  const verify = certify(key, CA, { criticalOptions: [['verify-required']] });
  t.match(await enter('', touched, verify), no);
  t.match(await enter('', touched | verified, verify), { kind: 'success' });
  const plainKey = { algorithm: KEY.type, blob: KEY.blob, sign: (data: Buffer) => KEY.sign(data) };
  t.match(
    await ask(hooksOf(directoryOf({ alice: [line(KEY, 'verify-required')] })), plainKey),
    { kind: 'success' },
    'of other keys nothing is asked, as in sshd',
  );
  const hook = { algorithm: key.type, blob: key.blob, sign: (data: Buffer) => key.signBy(data, { flags: 0 }) };
  t.match(await ask(() => true, hook), no, 'a hook that knows nothing of it');
});

t.test('what is revoked never reaches a hook', async (t) => {
  const asked: string[] = [];
  const everybody = (_: string, { fingerprint }: PublicKeyInfo): boolean => asked.push(fingerprint) > 0;
  const revoked = (...keys: TestKey[]) => {
    const read = readRevokedKeys(Buffer.from(keys.map((key) => line(key)).join('\n')));
    return read.ok ? read.revoked : NOTHING_REVOKED;
  };
  const plain: Ask = { algorithm: KEY.type, blob: KEY.blob, sign: (data) => KEY.sign(data) };
  const cert: Ask = { ...plain, algorithm: certName(KEY.type), blob: certify(KEY, CA) };
  const no = { kind: 'failure', code: 'KEY_REVOKED', fingerprint: fingerprint(KEY.blob) };
  t.match(await ask(everybody, plain, revoked(KEY)), { ...no, detail: 'the key is revoked' });
  t.match(await ask(everybody, cert, revoked(KEY)), { ...no, detail: /by its key/ });
  t.match(await ask(everybody, cert, revoked(CA)), { ...no, detail: /by its CA/ });
  t.same(asked, []);
  t.match(await ask(everybody, plain, revoked(CA)), { kind: 'success' });
});

t.test('an override cannot lose what a key or a certificate leaves', async (t) => {
  const directory = directoryOf({ alice: [line(OWN_CA, 'cert-authority,restrict'), line(KEY, 'restrict')] });
  const inner = hooksOf(directory);
  const sign = (data: Buffer): Buffer => KEY.sign(data);
  const narrowings = (outcome: Outcome): number => {
    const identity: GrantedIdentity | null = outcome.kind === 'success' ? outcome.identity : null;
    return identity?.[GRANT]?.narrowings.length ?? 0;
  };
  for (const [what, shown, count] of [
    ['a certificate', { algorithm: certName(KEY.type), blob: certify(KEY, OWN_CA), sign }, 2],
    ['a key', { algorithm: KEY.type, blob: KEY.blob, sign }, 1],
  ] as const) {
    const enter = (hook: KeyHook) => ask(hook, shown);
    t.equal(narrowings(await enter(inner)), count, what);
    t.equal(narrowings(await enter((...asked) => inner(...asked) !== false)), count, 'a plain yes');
    const kept = await enter((...asked) => ({ ...Object(inner(...asked)), user: 'ops' }));
    t.match(kept, { kind: 'success', identity: { user: 'ops' } });
    t.equal(narrowings(kept), count);
    t.match(await enter((...asked) => inner(...asked) && { user: 'ops' }), {
      kind: 'failure',
      code: 'HOOK_FAILED',
      detail: /lost what the credential permits/,
    });
  }
});

t.test('a changed certificate never logs in, whatever its holder signs', async (t) => {
  const directory = directoryOf({
    alice: [line(KEY, 'from="10.0.0.1"'), line(OWN_CA, 'cert-authority,principals="ops"')],
  });
  const hook = hooksOf(directory);
  const fields: CertificateFields = {
    criticalOptions: [['force-command', textData('date')]],
    principals: ['alice', 'ops'],
  };
  for (const whole of [certify(KEY, CA, fields), certify(KEY, OWN_CA, fields)]) {
    const enter = (blob: Buffer): Promise<Outcome> =>
      ask(hook, { algorithm: certName(KEY.type), blob, sign: (data) => KEY.sign(data) });
    t.match(await enter(whole), { kind: 'success' });
    const edit = fc.record({
      at: fc.nat(whole.length),
      cut: fc.nat(20),
      put: fc.oneof(fc.uint8Array({ maxLength: 12 }), fc.constant(Uint8Array.from(whole.subarray(30, 60)))),
    });
    await fc.assert(
      fc.asyncProperty(fc.array(edit, { minLength: 1, maxLength: 3 }), async (edits) => {
        let blob = whole;
        for (const { at, cut, put } of edits)
          blob = Buffer.concat([blob.subarray(0, at), put, blob.subarray(at + cut)]);
        const outcome = await enter(blob);
        return outcome.kind === 'failure' || blob.equals(whole);
      }),
      { numRuns: 1_000 },
    );
  }
});
