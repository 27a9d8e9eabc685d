import { spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdirSync, readFileSync, statSync, symlinkSync, writeFileSync } from 'node:fs';
import net from 'node:net';
import { join } from 'node:path';
import t, { type Test } from 'tap';
import { openStateSocket, type StateSocket } from '../../src/master/state_socket.js';
import { run } from '../support/process.js';
import { tempDir } from '../support/temp.js';

async function open(t: Test, path: string): Promise<StateSocket> {
  const outcome = await openStateSocket(
    path,
    net.createServer((socket) => socket.on('error', () => {}).end('here')),
  );
  if (outcome.kind !== 'open') throw new Error(outcome.kind);
  t.teardown(() => outcome.socket.close());
  return outcome.socket;
}

t.test(
  'the file is for its owner alone, in a folder that is made when missing, and goes with the socket',
  async (t) => {
    const path = join(tempDir(t), 'state', 's');
    const socket = await open(t, path);
    t.equal(statSync(path).mode & 0o777, 0o600);
    t.equal(statSync(join(path, '..')).mode & 0o777, 0o700);
    const client = net.connect(path);
    const [data]: Buffer[] = await once(client, 'data');
    t.equal(String(data), 'here');
    await once(client, 'close');
    await socket.close();
    t.notOk(existsSync(path));
  },
);

t.test('a living process keeps it', async (t) => {
  const path = join(tempDir(t), 's');
  await open(t, path);
  t.same(await openStateSocket(path, net.createServer()), { kind: 'taken' });
  t.ok(existsSync(path));
});

t.test('what is no socket at all is replaced', async (t) => {
  const path = join(tempDir(t), 's');
  writeFileSync(path, '');
  await open(t, path);
  t.ok(statSync(path).isSocket());
});

t.test("but not where it is somebody's: a file, a folder, a link", async (t) => {
  const dir = tempDir(t);
  const [file, link] = [join(dir, 'file'), join(dir, 'link')];
  writeFileSync(file, 'precious');
  symlinkSync(file, link);
  for (const path of [file, link, dir]) {
    const outcome = await openStateSocket(path, net.createServer(), { keepsOthers: true });
    t.same(outcome, { kind: 'failed', why: 'what stands there is no socket' }, path);
  }
  t.equal(readFileSync(file, 'utf8'), 'precious');
});

t.test('a socket that cannot have its name listens no more', async (t) => {
  const path = join(tempDir(t), 's');
  mkdirSync(path);
  const server = net.createServer();
  t.match(await openStateSocket(path, server), { kind: 'failed', why: /EISDIR/ });
  t.notOk(server.listening);
  t.notOk(existsSync(`${path}.${process.pid}`));
});

t.test("what one of our number has left where it stood aside is in nobody's way", async (t) => {
  const path = join(tempDir(t), 's');
  const crash = `require('net').createServer().listen(process.argv[1], () => process.kill(process.pid, 'SIGKILL'))`;
  spawnSync(process.execPath, ['-e', crash, `${path}.${process.pid}`]);
  t.ok(existsSync(`${path}.${process.pid}`));
  await open(t, path);
  t.notOk(existsSync(`${path}.${process.pid}`));
});

t.test('what a dead process left is replaced, and known for it', async (t) => {
  const path = join(tempDir(t), 's');
  const listen = `require('node:net').createServer().listen(${JSON.stringify(path)}, () => process.kill(process.pid, 'SIGKILL'))`;
  t.match(await run(t, process.execPath, ['-e', listen]), { signal: 'SIGKILL' });
  for (const wasLeft of [true, false]) {
    const outcome = await openStateSocket(path, net.createServer());
    t.match(outcome, { kind: 'open', wasLeft });
    if (outcome.kind === 'open') await outcome.socket.close();
  }
});

t.test("another's file under the name is left alone at the end", async (t) => {
  const path = join(tempDir(t), 's');
  const first = await open(t, path);
  const aside = net.createServer().listen(`${path}.new`);
  await once(aside, 'listening');
  t.teardown(() => aside.close());
  const { renameSync } = await import('node:fs');
  renameSync(`${path}.new`, path);
  await first.close();
  t.ok(existsSync(path));
});

t.test('a folder that cannot be, a path that is too long: told, not thrown', async (t) => {
  const file = join(tempDir(t), 'file');
  writeFileSync(file, '');
  t.match(await openStateSocket(join(file, 'under', 's'), net.createServer()), {
    kind: 'failed',
    why: /ENOTDIR|EEXIST/,
  });
  t.match(await openStateSocket(join(tempDir(t), 'x'.repeat(200)), net.createServer()), { kind: 'failed' });
});

t.test('who has come stays, and the end does not wait for it', async (t) => {
  const path = join(tempDir(t), 's');
  const outcome = await openStateSocket(
    path,
    net.createServer((socket) => socket.pipe(socket)),
  );
  if (outcome.kind !== 'open') throw new Error(outcome.kind);
  const client = net.connect(path);
  t.teardown(() => client.destroy());
  client.write('a');
  await once(client, 'data');
  await outcome.socket.close();
  client.write('b');
  const [data]: Buffer[] = await once(client, 'data');
  t.equal(String(data), 'b');
});
