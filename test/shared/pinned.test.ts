/** What is pinned stays what it was, and is looked at without being opened. */
import { mkdirSync, readdirSync, renameSync, statSync, symlinkSync, writeFileSync } from 'node:fs';
import t from 'tap';
import { type Pinned, pinFile, pinFolder } from '../../src/shared/pinned.js';
import { mustRun } from '../support/process.js';
import { connect, startEcho } from '../support/targets.js';
import { tempDir } from '../support/temp.js';

t.test('the real path is told, and the path leads there after a change', async (t) => {
  const dir = tempDir(t);
  writeFileSync(`${dir}/first`, 'first');
  writeFileSync(`${dir}/second`, 'the second');
  symlinkSync(`${dir}/first`, `${dir}/link`);
  const pinned = await pinFile(`${dir}/link`);
  t.equal(pinned.realPath, `${dir}/first`);
  renameSync(`${dir}/second`, `${dir}/first`);
  t.equal(statSync(pinned.path).size, 'first'.length);
  pinned.close();
  pinned.close();
});

t.test('a socket is connected to by it', async (t) => {
  const dir = tempDir(t);
  await startEcho(t, `${dir}/echo.sock`);
  const pinned = await pinFile(`${dir}/echo.sock`);
  renameSync(`${dir}/echo.sock`, `${dir}/moved.sock`);
  const socket = await connect(t, pinned.path);
  pinned.close();
  socket.end('hello');
  t.equal(Buffer.concat(await socket.toArray()).toString(), 'hello');
});

t.test('a pipe that nobody writes does not hold anything up', async (t) => {
  const path = `${tempDir(t)}/fifo`;
  await mustRun(t, 'mkfifo', [path]);
  const pinned = await pinFile(path);
  t.equal(pinned.realPath, path);
  pinned.close();
});

t.test('what cannot be found, and folders', async (t) => {
  const dir = tempDir(t);
  writeFileSync(`${dir}/file`, '');
  mkdirSync(`${dir}/folder`);
  symlinkSync(`${dir}/loop`, `${dir}/loop`);
  await t.rejects(pinFile(`${dir}/none`), { code: 'ENOENT' });
  await t.rejects(pinFile(`${dir}/loop`), { code: 'ELOOP' });
  await t.rejects(pinFolder(`${dir}/file`), { code: 'ENOTDIR' });
  const folder = await pinFolder(`${dir}/folder`);
  t.equal(folder.realPath, `${dir}/folder`);
  folder.close();
});

t.test('no descriptor is left', async (t) => {
  const descriptors = (): number => readdirSync('/proc/self/fd').length;
  const dir = tempDir(t);
  const before = descriptors();
  const held: Pinned[] = [];
  for (let count = 0; count < 20; count++) held.push(await pinFolder(dir));
  for (let count = 0; count < 20; count++) await pinFile(`${dir}/none`).catch(() => {});
  t.ok(descriptors() >= before + 20);
  for (const pinned of held) pinned.close();
  while (descriptors() > before) await new Promise((resolve) => setImmediate(resolve)); // closing takes a thread's turn
  t.pass('all are closed');
});
