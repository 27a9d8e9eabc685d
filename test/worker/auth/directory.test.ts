import { hashSync, parseOptions, verifySync } from '@node-rs/argon2';
import t from 'tap';
import type { UserConfig } from '../../../src/shared/config.js';
import { LineMemory } from '../../../src/shared/line_memory.js';
import type { KeyLineFound } from '../../../src/worker/auth/authorized_keys.js';
import { Directory, type KeyVerdict } from '../../../src/worker/auth/directory.js';
import { fingerprint } from '../../../src/worker/auth/public_key.js';
import type { PasswordVerdict } from '../../../src/worker/pool/task.js';
import { certify } from './certificates.js';
import { ed25519, KNOWN, rsa } from './keys.js';

const HERE = { address: '192.0.2.7', nowMs: Date.UTC(2026, 0, 1) };
const CHEAP = { memoryCost: 1024, timeCost: 1, parallelism: 1 };

function user(name: string, options: { password?: string; keys?: readonly string[] } = {}): UserConfig {
  return {
    name,
    password: options.password ?? null,
    totp: null,
    authorizedKeys: (options.keys ?? []).map((text, index) => ({ text, file: `${name}.pub`, line: index + 1 })),
    permitOpen: ['*:*'],
    permitListen: [],
    limits: {
      ...{ connections: 1, channels: 1, forwards: 1, memoryBytes: 0 },
      ...{ bytesPerSecond: 0, opensPerSecond: 0, failedOpensPerMinute: 0 },
    },
  };
}

function textOf({ type, blob }: { readonly type: string; readonly blob: Buffer }): string {
  return `${type} ${blob.toString('base64')} comment`;
}

/** A directory whose hashing is done in place and written down. */
function directoryOf(...users: UserConfig[]): { directory: Directory; hashed: string[] } {
  const hashed: string[] = [];
  const verifyPassword = async (phc: string, password: string): Promise<PasswordVerdict> => {
    hashed.push(phc);
    return { ok: true, match: verifySync(phc, password) };
  };
  return { directory: new Directory({ users, verifyPassword }), hashed };
}

t.test('passwords: the right one, and all that is not', async (t) => {
  const names = ['bob', '__proto__', 'constructor'];
  const users = names.map((name) => user(name, { password: hashSync(`${name}'s`, CHEAP) }));
  const { directory, hashed } = directoryOf(...users, user('keys-only'));
  for (const name of names) {
    t.equal(await directory.checkPassword(name, `${name}'s`), true, name);
    t.equal(await directory.checkPassword(name, 'wrong'), false, name);
  }
  for (const name of ['keys-only', 'nobody', 'toString', 'BOB', 'bob ', '']) {
    t.equal(await directory.checkPassword(name, "bob's"), false, `'${name}'`);
  }
  t.equal(hashed.length, 12, 'each check costs one hash, known user or not');
  const costs = hashed.map((phc) => {
    const { memoryCost, timeCost, parallelism } = parseOptions(phc);
    return { memoryCost, timeCost, parallelism };
  });
  for (const cost of costs) t.strictSame(cost, CHEAP);
});

t.test('the dummy hash costs what most hashes cost', async (t) => {
  const phc = (cost: string): string => `$argon2id$v=19$${cost}$c2FsdHNhbHQ$aGFzaA`;
  const rows: ReadonlyArray<readonly [readonly string[], string]> = [
    [[], 'm=19456,t=2,p=1'],
    [['m=65536,t=3,p=4'], 'm=65536,t=3,p=4'],
    [['m=8,t=1,p=1', 'm=65536,t=3,p=4', 'm=65536,t=3,p=4'], 'm=65536,t=3,p=4'],
  ];
  for (const [costs, expected] of rows) {
    const { directory, hashed } = directoryOf(...costs.map((cost, i) => user(`u${i}`, { password: phc(cost) })));
    await directory.checkPassword('nobody', 'x');
    t.match(hashed[0], `$argon2id$v=19$${expected}$`);
  }
});

t.test('a password over 1024 bytes is refused unhashed, for whoever it is sent', async (t) => {
  const long = 'é'.repeat(512);
  const { directory, hashed } = directoryOf(user('bob', { password: hashSync(long, CHEAP) }));
  t.equal(await directory.checkPassword('bob', long), true, 'twin: 1024 bytes are hashed');
  t.equal(await directory.checkPassword('bob', `${long}x`), false);
  t.equal(await directory.checkPassword('nobody', `${long}x`), false);
  t.equal(hashed.length, 1);
});

t.test('no verdict is a rejection with its code, for known and unknown users', async (t) => {
  for (const code of ['POOL_BUSY', 'HOOK_TIMEOUT', 'HOOK_FAILED'] as const) {
    const directory = new Directory({
      users: [user('bob', { password: hashSync('right', CHEAP) })],
      verifyPassword: async () => ({ ok: false, code }),
    });
    for (const name of ['bob', 'nobody']) await t.rejects(directory.checkPassword(name, 'right'), { code });
  }
});

t.test('a match against the dummy lets nobody in', async (t) => {
  const directory = new Directory({ users: [user('x')], verifyPassword: async () => ({ ok: true, match: true }) });
  t.equal(await directory.checkPassword('x', 'any'), false);
  t.equal(await directory.checkPassword('nobody', 'any'), false);
});

t.test('keys: exactly the blobs that stand under this user', async (t) => {
  const mine = ed25519();
  const theirs = rsa();
  const { directory } = directoryOf(
    user('alice', { keys: [textOf(mine), 'restrict ssh-ed25519 AAAA', KNOWN[1]?.line ?? ''] }),
    user('bob', { keys: [textOf(theirs)] }),
  );
  const check = (name: string, blob: Buffer) => directory.checkKey(name, blob, HERE);
  t.match(check('alice', Buffer.from(mine.blob)), { key: { type: 'ssh-ed25519', file: 'alice.pub', line: 1 } });
  t.match(check('alice', Buffer.from(KNOWN[1]?.line.split(' ')[1] ?? '', 'base64')), { key: { line: 3 } });
  t.match(check('bob', theirs.blob), { kind: 'accepted', key: { type: 'ssh-rsa' } });
  const unknown = { kind: 'unknown' };
  t.same(check('alice', theirs.blob), unknown);
  t.same(check('bob', mine.blob), unknown);
  t.same(check('nobody', mine.blob), unknown);
  t.same(check('__proto__', mine.blob), unknown);
  t.same(check('alice', Buffer.concat([mine.blob, Buffer.from([0])])), unknown);
  t.same(check('alice', Buffer.alloc(0)), unknown);
  t.equal(directory.user('alice')?.name, 'alice');
  t.equal(directory.user('toString'), undefined);
});

t.test('what stands behind a step of a login: the key, the hash, or nothing', async (t) => {
  const [key, other] = [ed25519(), ed25519()];
  const hash = hashSync('secret', CHEAP);
  const lines = [key].map(({ blob }) => `ssh-ed25519 ${blob.toString('base64')}`);
  const { directory } = directoryOf(user('bob', { password: hash, keys: lines }), user('__proto__'));
  const [known, unknown] = [fingerprint(key.blob), fingerprint(other.blob)];
  t.equal(directory.behind({ username: 'bob', method: 'publickey', fingerprint: known }), known);
  t.equal(directory.behind({ username: 'bob', method: 'publickey', fingerprint: unknown }), null);
  for (const method of ['password', 'keyboard-interactive'] as const) {
    t.equal(directory.behind({ username: 'bob', method }), hash);
    t.equal(directory.behind({ username: '__proto__', method }), null);
    t.equal(directory.behind({ username: 'constructor', method }), null);
  }
});

t.test('of several lines with one key the first that lets the peer in holds', async (t) => {
  const [key, authority] = [ed25519(), ed25519()];
  const text = `ssh-ed25519 ${key.blob.toString('base64')}`;
  const { directory } = directoryOf(
    user('alice', {
      keys: [
        `expiry-time="20200101Z" ${text}`,
        `from="10.0.0.0/8",restrict ${text}`,
        `from="10.1.0.0/16" ${text}`,
        `expiry-time="20300101Z",permitopen="a:1" ${text}`,
        `cert-authority,restrict ssh-ed25519 ${authority.blob.toString('base64')}`,
      ],
    }),
    user('bob', { keys: [`expiry-time="20200101Z" ${text}`, `from="10.0.0.0/8" ${text}`] }),
  );
  const nowMs = Date.UTC(2026, 0, 1);
  const check = (name: string, address: string, atMs = nowMs) =>
    directory.checkKey(name, key.blob, { address, nowMs: atMs });
  t.match(check('alice', '10.1.2.3'), { kind: 'accepted', key: { line: 2 } });
  t.match(check('alice', '192.0.2.1'), { kind: 'accepted', key: { line: 4 } });
  t.match(check('alice', '192.0.2.1', Date.UTC(2019, 0, 1)), { kind: 'accepted', key: { line: 1 } });
  t.same(check('alice', '192.0.2.1', Date.UTC(2031, 0, 1)), {
    kind: 'refused',
    code: 'KEY_EXPIRED',
    detail:
      'alice.pub:1: expired at 2020-01-01T00:00:00.000Z; alice.pub:2: 192.0.2.1 is not in from=; ' +
      'alice.pub:3: 192.0.2.1 is not in from=; alice.pub:4: expired at 2030-01-01T00:00:00.000Z',
  });
  t.match(check('bob', '192.0.2.1'), { kind: 'refused', code: 'KEY_EXPIRED' });
  t.match(check('bob', '10.0.0.1'), { kind: 'accepted', key: { line: 2 } });
  t.same(directory.checkKey('alice', authority.blob, HERE), { kind: 'unknown' }, 'an authority does not log in itself');
  const certificate = certify(ed25519(), authority);
  t.match(directory.checkCertificate('alice', certificate, HERE), { kind: 'accepted', where: 'alice.pub:5' });
  for (const name of ['bob', '__proto__'])
    t.same(directory.checkCertificate(name, certificate, HERE), { kind: 'unknown' }, name);

  const print = fingerprint(key.blob);
  const use = { username: 'alice', fingerprint: print, address: '192.0.2.1', atMs: nowMs };
  t.match(directory.narrowing(use), { where: 'alice.pub:4', permitOpen: [{ host: 'a', port: 1 }], line: use });
  t.match(directory.narrowing({ ...use, address: '10.1.2.3' }), { where: 'alice.pub:2', portForwarding: false });
  t.equal(directory.narrowing({ ...use, atMs: Date.UTC(2031, 0, 1) }), null);
  t.equal(directory.narrowing({ ...use, fingerprint: fingerprint(authority.blob) }), null);
  t.same(
    directory.narrowings('alice', print).map(({ where }) => where),
    [1, 2, 3, 4].map((line) => `alice.pub:${line}`),
  );
  const step = { username: 'bob', method: 'publickey', fingerprint: print } as const;
  t.equal(directory.letsIn(step, { address: '10.0.0.1', nowMs }), true);
  t.equal(directory.letsIn(step, { address: '192.0.2.1', nowMs }), false);
});

t.test(
  'a directory after another one: a line that both have is parsed once, and named where it stands now',
  async (t) => {
    const keyLines = new LineMemory<KeyLineFound>();
    const mine = ed25519();
    const after = (...keys: string[]): KeyVerdict => {
      keyLines.turn();
      const users = [user('ann', { keys })];
      const verifyPassword = async (): Promise<PasswordVerdict> => ({ ok: true, match: false });
      return new Directory({ users, verifyPassword, keyLines }).checkKey('ann', Buffer.from(mine.blob), HERE);
    };
    const first = after(textOf(mine));
    const second = after(textOf(ed25519()), textOf(mine));
    t.match(first, { key: { line: 1 } });
    t.match(second, { key: { line: 2 } });
    t.ok(first.kind === 'accepted' && second.kind === 'accepted' && first.key.key === second.key.key, 'the very same');
  },
);
