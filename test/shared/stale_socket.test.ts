/** What is taken for the leaving of a dead process, and what is not. */
import { existsSync, lstatSync, mkdirSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs';
import t from 'tap';
import { removeStaleSocket } from '../../src/shared/stale_socket.js';
import { run } from '../support/process.js';
import { connect, startEcho } from '../support/targets.js';
import { tempDir } from '../support/temp.js';

const CRASH = `require('net').createServer().listen(process.argv[1], () => process.kill(process.pid, 'SIGKILL'))`;

t.test('a socket on which nobody listens goes', async (t) => {
  const path = `${tempDir(t)}/stale.sock`;
  await run(t, process.execPath, ['-e', CRASH, path]);
  t.ok(lstatSync(path).isSocket());
  t.equal(await removeStaleSocket(path), true);
  t.notOk(existsSync(path));
  t.equal(await removeStaleSocket(path), true, 'where nothing is, nothing has to go');
});

t.test('a living one stays, and so does what is no socket', async (t) => {
  const dir = tempDir(t);
  await startEcho(t, `${dir}/living.sock`);
  writeFileSync(`${dir}/file`, 'precious');
  mkdirSync(`${dir}/folder`);
  symlinkSync(`${dir}/file`, `${dir}/link`);
  symlinkSync(`${dir}/none`, `${dir}/dangling`);
  for (const name of ['living.sock', 'file', 'folder', 'link', 'dangling']) {
    t.equal(await removeStaleSocket(`${dir}/${name}`), false, name);
    t.ok(lstatSync(`${dir}/${name}`));
  }
  t.ok(await connect(t, `${dir}/living.sock`));
  t.equal(readFileSync(`${dir}/file`, 'utf8'), 'precious');
  await t.rejects(removeStaleSocket(`${dir}/file/a.sock`), { code: 'ENOTDIR' });
});
