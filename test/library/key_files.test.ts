/** What becomes of a server whose users' key files are not what they should be: at the start a mistake, and when it runs nobody's
 *  trouble but the user's own. */
import { execFileSync } from 'node:child_process';
import { mkdirSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import t, { type Test } from 'tap';
import { loadConfig } from '../../src/library/load_config.js';
import { tempDir } from '../support/temp.js';

/** No key that anybody has. */
const KEY = `ssh-ed25519 ${Buffer.concat([lengthOf(11), Buffer.from('ssh-ed25519'), lengthOf(32), Buffer.alloc(32, 9)]).toString('base64')}\n`;

function lengthOf(bytes: number): Buffer {
  return Buffer.from([0, 0, 0, bytes]);
}

function made(t: Test) {
  const dir = tempDir(t);
  const file = join(dir, 'sallyport.yaml');
  writeFileSync(join(dir, 'alice'), KEY);
  writeFileSync(join(dir, 'bob'), KEY);
  writeFileSync(file, 'users: { alice: { authorizedKeys: ./alice }, bob: { authorizedKeys: ./bob } }\n');
  return { file, bob: join(dir, 'bob') };
}

const WAYS: ReadonlyArray<readonly [string, (path: string) => void, RegExp]> = [
  ['is gone', () => {}, /is not there/],
  ['is a pipe that nobody writes to', (path) => execFileSync('mkfifo', [path]), /is no regular file/],
  ['is a folder', (path) => mkdirSync(path), /is a folder/],
  ['is a link to itself', (path) => symlinkSync(path, path), /cannot be read/],
  ['is a device without an end', (path) => symlinkSync('/dev/zero', path), /is no regular file/],
  ['is too large', (path) => writeFileSync(path, Buffer.alloc(2 ** 20 + 1, 10)), /is larger than 1MiB/],
  ['is not UTF-8', (path) => writeFileSync(path, Buffer.from([0xff, 0xfe])), /is not UTF-8 text/],
  ['is empty', (path) => writeFileSync(path, ''), /is an empty file|the file has no key/],
];

for (const [what, put, why] of WAYS) {
  t.test(`a file of keys that ${what}`, async (t) => {
    const { file, bob } = made(t);
    const before = loadConfig(file);
    t.ok(before.config);
    rmSync(bob);
    put(bob);
    const fresh = loadConfig(file);
    t.equal(fresh.config, null, 'at the start it is a mistake');
    t.match(fresh.errors, [why]);
    const again = loadConfig(file, { inForce: before.files });
    t.same(again.errors, [], 'for a server that runs it is none');
    t.match(again.warnings.join('\n'), /users\.bob\.authorizedKeys: warning/);
    const keysOf = (name: string) => again.config?.users.find((user) => user.name === name)?.authorizedKeys.length;
    t.same([keysOf('alice'), keysOf('bob')], [1, 0], 'bob has no key until it is mended, and alice hers');
  });
}

t.test('a file that a running server did not know before is a mistake as ever', async (t) => {
  const { file, bob } = made(t);
  rmSync(bob);
  t.equal(loadConfig(file, { inForce: new Map() }).config, null);
});
