import { createPrivateKey, createPublicKey } from 'node:crypto';
import { chmodSync, existsSync, mkdirSync, readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
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
