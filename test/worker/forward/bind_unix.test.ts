/** Real sockets: whose they are, what they may replace, and that they stand where they were found to stand. */
import {
  chmodSync,
  existsSync,
  lstatSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import t from 'tap';
import type { BindOutcome, OnAccept } from '../../../src/worker/forward/bind.js';
import { SocketPlace } from '../../../src/worker/forward/bind_unix.js';
import { run } from '../../support/process.js';
import { connect, startTarget } from '../../support/targets.js';
import { tempDir } from '../../support/temp.js';

async function bindUnix(path: string, onAccept: OnAccept): Promise<BindOutcome> {
  const place = await SocketPlace.find(path);
  if (place === null) return { ok: false, code: 'BIND_FAILED' };
  const bound = await place.bind(onAccept);
  if (!bound.ok) place.close();
  return bound;
}

t.test('a Unix socket', async (t) => {
  const dir = tempDir(t);

  await t.test("is its owner's alone, works, and is gone when it is closed", async (t) => {
    const path = `${dir}/new.sock`;
    const mask = process.umask();
    const bound = await bindUnix(path, (socket) => socket.end('hello'));
    t.equal(process.umask(), mask, 'the mask of the process is as before');
    t.ok(bound.ok);
    t.equal(lstatSync(path).mode & 0o777, 0o600);
    const socket = await connect(t, path);
    t.equal(Buffer.concat(await socket.toArray()).toString(), 'hello');
    t.match(await bindUnix(path, () => {}), { ok: false, code: 'PORT_TAKEN' }, 'somebody listens: it stays');
    await connect(t, path);
    if (bound.ok) bound.listeners.close();
    t.notOk(existsSync(path));
  });

  await t.test('that a crash has left is replaced', async (t) => {
    const path = `${dir}/stale.sock`;
    const script = `require('net').createServer().listen(${JSON.stringify(path)}, () => process.kill(process.pid, 'SIGKILL'))`;
    await run(t, process.execPath, ['-e', script]);
    t.ok(lstatSync(path).isSocket());
    const bound = await bindUnix(path, (socket) => socket.end('alive'));
    t.ok(bound.ok);
    const socket = await connect(t, path);
    t.equal(Buffer.concat(await socket.toArray()).toString(), 'alive');
    if (bound.ok) bound.listeners.close();
  });

  await t.test('of another program that listens is left alone', async (t) => {
    const path = `${dir}/foreign.sock`;
    await startTarget(t, (socket) => socket.end('foreign'), path);
    t.match(await bindUnix(path, () => {}), { ok: false, code: 'PORT_TAKEN' });
    const socket = await connect(t, path);
    t.equal(Buffer.concat(await socket.toArray()).toString(), 'foreign');
  });

  await t.test('does not replace a file, a folder or a link', async (t) => {
    writeFileSync(`${dir}/file`, 'precious');
    mkdirSync(`${dir}/folder`);
    symlinkSync(`${dir}/file`, `${dir}/link`);
    symlinkSync(`${dir}/nowhere`, `${dir}/dangling`);
    for (const name of ['file', 'folder', 'link', 'dangling'])
      t.match(await bindUnix(`${dir}/${name}`, () => {}), { ok: false, code: 'PORT_TAKEN' }, name);
    t.equal(readFileSync(`${dir}/file`, 'utf8'), 'precious');
    t.ok(lstatSync(`${dir}/link`).isSymbolicLink());
    t.notOk(existsSync(`${dir}/nowhere`));
  });

  await t.test('where there is no folder, or none that may be written', async (t) => {
    t.match(await bindUnix(`${dir}/none/a.sock`, () => {}), { ok: false, code: 'BIND_FAILED' });
    t.match(await bindUnix(`${dir}/file/a.sock`, () => {}), { ok: false, code: 'BIND_FAILED' });
    if (process.getuid?.() === 0) return; // root may write anywhere
    mkdirSync(`${dir}/closed`);
    chmodSync(`${dir}/closed`, 0o500);
    t.match(await bindUnix(`${dir}/closed/a.sock`, () => {}), { ok: false, code: 'BIND_FAILED' });
  });
});

t.test('the real path of a bind resolves the folder and leaves the file', async (t) => {
  const dir = tempDir(t);
  mkdirSync(`${dir}/real`);
  symlinkSync(`${dir}/real`, `${dir}/link`);
  symlinkSync('/etc/passwd', `${dir}/real/file-link`);
  for (const [path, expected] of [
    [`${dir}/link/a.sock`, `${dir}/real/a.sock`],
    [`${dir}/real/file-link`, `${dir}/real/file-link`],
    [`${dir}/none/a.sock`, undefined],
    [`${dir}/\0/a.sock`, undefined],
  ] as const) {
    const place = await SocketPlace.find(path);
    t.equal(place?.realPath, expected);
    place?.close();
    place?.close();
  }
});

t.test('a folder that was checked is the one, whatever stands in its place since', async (t) => {
  const dir = tempDir(t);
  for (const name of ['mine', 'theirs']) mkdirSync(`${dir}/${name}`);
  const place = await SocketPlace.find(`${dir}/mine/a.sock`);
  renameSync(`${dir}/mine`, `${dir}/moved`);
  symlinkSync(`${dir}/theirs`, `${dir}/mine`);
  writeFileSync(`${dir}/theirs/a.sock`, 'precious');
  const bound = await place?.bind((socket) => socket.destroy());
  t.ok(bound?.ok);
  t.ok(lstatSync(`${dir}/moved/a.sock`).isSocket());
  if (bound?.ok) bound.listeners.close();
  t.same(readdirSync(`${dir}/moved`), []);
  t.equal(readFileSync(`${dir}/theirs/a.sock`, 'utf8'), 'precious');
});

t.test('a name that is too long behind the descriptor is not cut short', async (t) => {
  const dir = tempDir(t);
  for (const [length, usable] of [
    [80, true],
    [104, false],
  ] as const) {
    const place = await SocketPlace.find(`${dir}/${'a'.repeat(length)}`);
    t.equal(place?.isUsable, usable, `${length} bytes`);
    place?.close();
  }
});
