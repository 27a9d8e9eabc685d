import { hashSync, parseOptions, verifySync } from '@node-rs/argon2';
import t from 'tap';
import type { UserConfig } from '../../../src/shared/config.js';
import { Directory } from '../../../src/worker/auth/directory.js';
import { fingerprint } from '../../../src/worker/auth/public_key.js';
import type { PasswordVerdict } from '../../../src/worker/pool/task.js';
import { ed25519, KNOWN, rsa } from './keys.js';

const CHEAP = { memoryCost: 1024, timeCost: 1, parallelism: 1 };

function user(name: string, options: { password?: string; keys?: readonly string[] } = {}): UserConfig {
  return {
    name,
    password: options.password ?? null,
    authorizedKeys: (options.keys ?? []).map((text, index) => ({ text, file: `${name}.pub`, line: index + 1 })),
    permitOpen: ['*:*'],
    permitListen: [],
    limits: {
      ...{ connections: 1, channels: 1, forwards: 1, memoryBytes: 0 },
      ...{ bytesPerSecond: 0, opensPerSecond: 0, failedOpensPerMinute: 0 },
    },
  };
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
  const textOf = (key: { type: string; blob: Buffer }): string => `${key.type} ${key.blob.toString('base64')} comment`;
  const { directory } = directoryOf(
    user('alice', { keys: [textOf(mine), 'restrict ssh-ed25519 AAAA', KNOWN[1]?.line ?? ''] }),
    user('bob', { keys: [textOf(theirs)] }),
  );
  t.match(directory.checkKey('alice', Buffer.from(mine.blob)), { type: 'ssh-ed25519', file: 'alice.pub', line: 1 });
  t.match(directory.checkKey('alice', Buffer.from(KNOWN[1]?.line.split(' ')[1] ?? '', 'base64')), { line: 3 });
  t.match(directory.checkKey('bob', theirs.blob), { type: 'ssh-rsa' });
  t.equal(directory.checkKey('alice', theirs.blob), null);
  t.equal(directory.checkKey('bob', mine.blob), null);
  t.equal(directory.checkKey('nobody', mine.blob), null);
  t.equal(directory.checkKey('__proto__', mine.blob), null);
  t.equal(directory.checkKey('alice', Buffer.concat([mine.blob, Buffer.from([0])])), null);
  t.equal(directory.checkKey('alice', Buffer.alloc(0)), null);
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
