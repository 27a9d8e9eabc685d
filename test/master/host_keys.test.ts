import { createPrivateKey, createPublicKey } from 'node:crypto';
import {
  chmodSync,
  chownSync,
  existsSync,
  linkSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  statSync,
  symlinkSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import { loadHostKeys } from '../../src/master/host_keys.js';
import { mustRun, run } from '../support/process.js';
import { tempDir } from '../support/temp.js';

const NAMES = ['ssh_host_ed25519_key', 'ssh_host_ecdsa_key'];

const hasKeygen = (process.env.PATH ?? '').split(':').some((dir) => existsSync(join(dir, 'ssh-keygen')));
const NEEDS_KEYGEN = { skip: !hasKeygen && 'no ssh-keygen' };

t.test('missing keys are made: private, whole, and once', async (t) => {
  const dir = join(tempDir(t), 'state');
  const made = await loadHostKeys([], dir);
  t.same(
    made.map(({ path }) => path),
    NAMES.map((name) => join(dir, name)),
  );
  t.equal(statSync(dir).mode & 0o777, 0o700);
  for (const { path, pem } of made) {
    t.equal(statSync(path).mode & 0o777, 0o600);
    t.match(pem, /^-----BEGIN OPENSSH PRIVATE KEY-----\n/);
  }
  t.same(readdirSync(dir).sort(), NAMES.flatMap((name) => [name, `${name}.pub`]).sort(), 'nothing else is left');
  t.same(await loadHostKeys([], dir), made, 'and the next start uses them');
});

t.test('ssh-keygen reads them, and the public half fits', NEEDS_KEYGEN, async (t) => {
  // ecdsa's numbers may begin with a zero byte or a high bit: several, so that each form comes up.
  for (let round = 0; round < 8; round++) {
    const dir = tempDir(t);
    await loadHostKeys([], dir);
    for (const name of NAMES) {
      const file = join(dir, name);
      const derived = await mustRun(t, 'ssh-keygen', ['-y', '-f', file]);
      t.equal(derived.trim(), readFileSync(`${file}.pub`, 'utf8').trim(), name);
      await mustRun(t, 'ssh-keygen', ['-l', '-f', `${file}.pub`]);
    }
  }
});

t.test('many servers that start at once end up with one key', async (t) => {
  const dir = tempDir(t);
  const all = await Promise.all(Array.from({ length: 8 }, () => loadHostKeys([], dir)));
  for (const keys of all) t.same(keys, all[0]);
  if (hasKeygen)
    for (const name of NAMES)
      t.equal(
        (await mustRun(t, 'ssh-keygen', ['-y', '-f', join(dir, name)])).trim(),
        readFileSync(join(dir, `${name}.pub`), 'utf8').trim(),
        'the public file belongs to the key that won',
      );
  t.equal(readdirSync(dir).length, 4);
});

t.test('a key that others can read stops the start; 0600 and 0400 do not', async (t) => {
  const dir = tempDir(t);
  await loadHostKeys([], dir);
  const file = join(dir, NAMES[0] ?? '');
  for (const mode of [0o640, 0o604, 0o666, 0o620]) {
    chmodSync(file, mode);
    await t.rejects(loadHostKeys([], dir), {
      code: 'HOST_KEY_INVALID',
      message: `${file}: others may read this private key (mode ${mode.toString(8)}): chmod 600 it`,
    });
  }
  for (const mode of [0o600, 0o400]) {
    chmodSync(file, mode);
    await t.resolves(loadHostKeys([], dir));
  }
});

t.test('what is no usable key is named, and none of it is repeated', async (t) => {
  const dir = tempDir(t);
  const write = (name: string, text: string): string => {
    const file = join(dir, name);
    writeFileSync(file, text, { mode: 0o600 });
    return file;
  };
  const encrypted = join(dir, 'encrypted');
  const table: (readonly [string, string])[] = [
    [join(dir, 'missing'), 'no such file'],
    [write('empty', ''), 'this is no private key'],
    [write('secret', 'hunter2'), 'this is no private key'],
    [
      write('cut', '-----BEGIN OPENSSH PRIVATE KEY-----\nAAAA\n'),
      'this private key is cut short: its END line is missing',
    ],
    [
      write('openssl', '-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n'),
      "this private key is in PKCS#8 form, which is not read: `ssh-keygen -p -N '' -f FILE` rewrites",
    ],
    [write('public', 'ssh-ed25519 AAAA x'), 'this is a public key; the private one is wanted'],
    [
      write('damaged', '-----BEGIN OPENSSH PRIVATE KEY-----\nAAAA\n-----END OPENSSH PRIVATE KEY-----\n'),
      'this private key is damaged',
    ],
    [
      write('pkcs8', '-----BEGIN ENCRYPTED PRIVATE KEY-----\nAAAA\n-----END ENCRYPTED PRIVATE KEY-----\n'),
      'this private key has a passphrase',
    ],
    [write('huge', 'x'.repeat(70_000)), 'too large for a private key'],
  ];
  chmodSync(write('id.pub', 'ssh-ed25519 AAAA x'), 0o644);
  table.push([join(dir, 'id.pub'), 'this is a public key']);
  if (hasKeygen) {
    await run(t, 'ssh-keygen', ['-q', '-t', 'ed25519', '-N', 'secret', '-f', encrypted]);
    table.push([encrypted, 'this private key has a passphrase']);
  }
  for (const [file, what] of table) {
    const error: unknown = await loadHostKeys([file], dir).catch((thrown: unknown) => thrown);
    t.match(error, { code: 'HOST_KEY_INVALID' }, what);
    const text = error instanceof Error ? error.message : '';
    t.ok(text.startsWith(`${file}: ${what}`), text);
    t.notMatch(text, 'hunter2');
  }
});

t.test('named files are taken as they are, in their order, and nothing is made', async (t) => {
  const dir = tempDir(t);
  const other = tempDir(t);
  const [first, second] = await loadHostKeys([], dir);
  if (first === undefined || second === undefined) throw new Error('no keys');
  t.same(await loadHostKeys([second.path, first.path], other), [second, first]);
  t.same(readdirSync(other), []);
});

t.test('a state folder in which anybody may write is refused', async (t) => {
  const dir = join(tempDir(t), 'open');
  mkdirSync(dir);
  chmodSync(dir, 0o777);
  await t.rejects(loadHostKeys([], dir), { code: 'HOST_KEY_INVALID', message: /others may write in it/ });
});

t.test('node:crypto agrees about an ecdsa key in PEM, too', NEEDS_KEYGEN, async (t) => {
  const dir = tempDir(t);
  const file = join(dir, 'ec.pem');
  await mustRun(t, 'ssh-keygen', ['-q', '-m', 'PEM', '-t', 'ecdsa', '-N', '', '-f', file]);
  const [key] = await loadHostKeys([file], dir);
  t.equal(createPublicKey(createPrivateKey(key?.pem ?? '')).asymmetricKeyType, 'ec');
});

t.test('what a start that was cut off has left is taken away, once nobody can be at it', async (t) => {
  const dir = tempDir(t);
  const left = (name: string, minutesAgo: number): string => {
    const file = join(dir, name);
    writeFileSync(file, 'x', { mode: 0o600 });
    const time = new Date(Date.now() - minutesAgo * 60_000);
    utimesSync(file, time, time);
    return name;
  };
  left('ssh_host_ed25519_key.0123456789ab.new', 61);
  left('ssh_host_ecdsa_key.0123456789ab.new.pub', 600);
  const kept = [
    left('ssh_host_ed25519_key.ba9876543210.new', 1),
    left('ssh_host_ed25519_key.mine.new', 600),
    left('ssh_host_rsa_key.0123456789ab.new', 600),
  ];
  // One that cannot be taken away is no reason to leave the others.
  for (const name of ['000000000000', 'ffffffffffff'].map((hex) => `ssh_host_ecdsa_key.${hex}.new`)) {
    mkdirSync(join(dir, name));
    utimesSync(join(dir, name), new Date(0), new Date(0));
    kept.push(name);
  }
  const made = await loadHostKeys([], dir);
  const names = NAMES.flatMap((name) => [name, `${name}.pub`]);
  t.same(readdirSync(dir).sort(), [...names, ...kept].sort());
  // Between the link and the end the key has two names: taking the other one away leaves the key.
  const file = join(dir, NAMES[0] ?? '');
  const other = join(dir, 'ssh_host_ed25519_key.aaaaaaaaaaaa.new');
  linkSync(file, other);
  utimesSync(other, new Date(0), new Date(0));
  t.same(await loadHostKeys([], dir), made);
  t.notOk(existsSync(other));
});

t.test('a link is followed, and one that leads nowhere is never written through', async (t) => {
  const [dir, elsewhere] = [tempDir(t), tempDir(t)];
  const [key] = await loadHostKeys([], elsewhere);
  symlinkSync(key?.path ?? '', join(dir, NAMES[0] ?? ''));
  const [linked] = await loadHostKeys([], dir);
  t.equal(linked?.pem, key?.pem);
  chmodSync(key?.path ?? '', 0o644);
  await t.rejects(
    loadHostKeys([], dir),
    { message: /others may read this private key \(mode 644\)/ },
    "the mode is the target's",
  );
  const lost = join(tempDir(t), 'state');
  mkdirSync(lost, { mode: 0o700 });
  const target = join(elsewhere, 'not-there');
  symlinkSync(target, join(lost, NAMES[0] ?? ''));
  await t.rejects(loadHostKeys([], lost), {
    code: 'HOST_KEY_INVALID',
    message: `${join(lost, NAMES[0] ?? '')}: no such file`,
  });
  t.notOk(existsSync(target));
});

t.test('what is no file is refused at once, a pipe too', { timeout: 20_000 }, async (t) => {
  const dir = tempDir(t);
  const pipe = join(dir, 'pipe');
  await mustRun(t, 'mkfifo', [pipe]);
  for (const [file, what] of [
    [pipe, 'this is no regular file'],
    ['/dev/zero', 'this is no regular file'],
    [dir, 'this is a folder, not a file'],
  ] as const)
    await t.rejects(loadHostKeys([file], dir), { code: 'HOST_KEY_INVALID', message: `${file}: ${what}` });
});

t.test("another user's key is his to share with a group, and with nobody else", async (t) => {
  if (process.getuid?.() !== 0) return t.comment('needs root, to give a file away');
  const dir = tempDir(t);
  await loadHostKeys([], dir);
  const file = join(dir, NAMES[0] ?? '');
  chownSync(file, 65_534, 65_534);
  for (const mode of [0o600, 0o400, 0o440, 0o640]) {
    chmodSync(file, mode);
    await t.resolves(loadHostKeys([], dir), mode.toString(8));
  }
  for (const [mode, who] of [
    [0o644, 'others may read'],
    [0o604, 'others may read'],
    [0o666, 'others may read'],
    [0o660, 'its group may write'],
    [0o620, 'its group may write'],
  ] as const) {
    chmodSync(file, mode);
    const message = `${file}: ${who} this private key of another user (mode ${mode.toString(8)}): chmod 640 it`;
    await t.rejects(loadHostKeys([], dir), { message });
  }
  chmodSync(file, 0o640);
  await t.resolves(loadHostKeys([], dir), 'what it advises is a way out');
});
