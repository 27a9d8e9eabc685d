/** A29: paths of Unix sockets that lead out of what is permitted, by their text, by links, by links that are put there between
 *  the check and the use; and what stands at a path already. Only a permitted real path is opened or bound, and only a socket
 *  of ours that nobody listens on is replaced.
 *  A tenant owns his folder and its parent: that is what it takes to swap them. */
import { once } from 'node:events';
import {
  existsSync,
  lstatSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { createServer, type Server } from 'node:net';
import { join } from 'node:path';
import t, { type Test } from 'tap';
import { MSG, message, OPEN_FAILURE } from '../../src/shared/protocol.js';
import { hostile, settles } from '../support/hostile.js';
import { mustRun, type Running, run, start } from '../support/process.js';
import { confirmed, openRefusal } from '../support/raw_client.js';
import { asked, bindSocketRequest, cancelSocketRequest, socketOpen } from '../support/requests.js';
import { connect } from '../support/targets.js';
import { tempDir } from '../support/temp.js';

const base = tempDir(t);
const [ALICES, BOBS, OUTSIDE] = [join(base, 'alice'), join(base, 'bob'), join(base, 'out')];
/** In a folder of alice's, so that she can put another one in its place. */
const SUB = join(ALICES, 'sub');

const users = {
  alice: {
    permitOpen: [`${ALICES}/*.sock`],
    permitListen: [`${ALICES}/*.sock`, `${SUB}/*.sock`],
    limits: { forwards: 10 },
  },
  bob: { permitOpen: ['localhost:*', `${BOBS}/*.sock`], permitListen: [`${BOBS}/*.sock`] },
};

function freshFolders(): void {
  for (const dir of [ALICES, BOBS, OUTSIDE]) {
    rmSync(dir, { recursive: true, force: true });
    mkdirSync(dir);
  }
  mkdirSync(SUB);
}

/** @returns how often somebody came */
async function listenAt(t: Test, path: string): Promise<() => number> {
  let knocks = 0;
  const server: Server = createServer((socket) => {
    knocks++;
    socket.pipe(socket).on('error', () => socket.destroy());
  });
  server.listen(path);
  await once(server, 'listening');
  t.teardown(() => server.close());
  return () => knocks;
}

/** Swaps as fast as it can, in a process of its own, until it is stopped. */
async function startSwapping(t: Test, script: string, args: readonly string[]): Promise<Running> {
  const loop = `const fs = require('fs'); const a = process.argv.slice(1); const go = (f) => { try { f(); } catch {} };
    process.stdout.write('swapping'); for (;;) { ${script} }`;
  const swapper = start(t, process.execPath, ['-e', loop, ...args]);
  await swapper.waitFor(/swapping/);
  return swapper;
}

const LINK_FOR_SOCKET = `
  go(() => fs.linkSync(a[1], a[0] + '.new')); go(() => fs.renameSync(a[0] + '.new', a[0]));
  go(() => fs.symlinkSync(a[2], a[0] + '.link')); go(() => fs.renameSync(a[0] + '.link', a[0]));`;
const LINK_FOR_FOLDER = `
  for (let count = 0; count < 8; count++) go(() => fs.statSync(a[0])); go(() => fs.renameSync(a[0], a[0] + '.real')); go(() => fs.symlinkSync(a[1], a[0]));
  go(() => fs.unlinkSync(a[0])); go(() => fs.renameSync(a[0] + '.real', a[0]));`;
const TRIES = 400;
/** Where one of the two was not met yet: on a busy machine the other process may have had no turn. */
const MAX_TRIES = 10_000;

hostile(t, 'A29', 'socket paths', { users }, async (t, { server, login, stranger }) => {
  freshFolders();
  const alice = await login();
  const bob = stranger();
  await bob.login('bob', server.bob);
  const secret = join(OUTSIDE, 'secret.sock');
  const knocks = await listenAt(t, secret);
  let id = 0;

  await t.test('texts', async (t) => {
    for (const [path, reason] of [
      ['', 'BAD_ADDRESS'],
      ['a.sock', 'BAD_ADDRESS'],
      ['\0abstract', 'BAD_ADDRESS'],
      [`${ALICES}/a\0.sock`, 'BAD_ADDRESS'],
      [`${ALICES}/a\n.sock`, 'BAD_ADDRESS'],
      [`${ALICES}/../bob/b.sock`, 'BAD_ADDRESS'],
      [`${ALICES}/./a.sock`, 'BAD_ADDRESS'],
      [`${ALICES}//a.sock`, 'BAD_ADDRESS'],
      [`${ALICES}/a.sock/`, 'BAD_ADDRESS'],
      [`${ALICES}/${'a'.repeat(103 - ALICES.length)}.sock`, 'BAD_ADDRESS'], // 109 bytes: one too many with its NUL
      [`${ALICES}/${'a'.repeat(30_000)}.sock`, 'BAD_ADDRESS'],
      ['/var/run/docker.sock', 'POLICY_DENIED'],
      ['/proc/self/fd/3', 'POLICY_DENIED'],
      [ALICES, 'POLICY_DENIED'],
      [`${BOBS}/b.sock`, 'POLICY_DENIED'],
      [`${ALICES}/a.sock.other`, 'POLICY_DENIED'],
      [`${ALICES}/more/a.sock`, 'POLICY_DENIED'],
    ] as const) {
      const from = server.events.mark();
      alice.send(socketOpen(path, ++id));
      const shown = JSON.stringify(path.slice(0, 60));
      t.match(await openRefusal(alice, id), { reason: OPEN_FAILURE.ADMINISTRATIVELY_PROHIBITED }, shown);
      t.equal(await asked(alice, bindSocketRequest(path)), null, shown);
      await server.events.wait('channel.refused', { user: 'alice', reason }, from);
      await server.events.wait('forward.refused', { user: 'alice', reason }, from);
    }
  });

  await t.test('links', async (t) => {
    symlinkSync(secret, join(ALICES, 'out.sock'));
    symlinkSync(join(OUTSIDE, 'none'), join(ALICES, 'dangling.sock'));
    for (const name of ['out.sock', 'dangling.sock']) {
      const path = join(ALICES, name);
      alice.send(socketOpen(path, ++id));
      const denied = { reason: OPEN_FAILURE.ADMINISTRATIVELY_PROHIBITED, text: 'not permitted' };
      t.same(await openRefusal(alice, id), denied, `${name}: the answer does not tell whether there is anything`);
      t.equal(await asked(alice, bindSocketRequest(path)), null, name);
      t.ok(lstatSync(path).isSymbolicLink(), 'which stays');
    }
    symlinkSync(BOBS, join(ALICES, 'bobs'));
    rmSync(SUB, { recursive: true });
    symlinkSync(BOBS, SUB);
    t.equal(await asked(alice, bindSocketRequest(join(SUB, 'x.sock'))), null, 'a folder that is a link');
    rmSync(SUB);
    mkdirSync(SUB);
    t.same(readdirSync(BOBS), []);
  });

  await t.test('what stands there already', async (t) => {
    const at = (name: string): string => join(ALICES, name);
    writeFileSync(at('file.sock'), 'precious');
    mkdirSync(at('folder.sock'));
    await mustRun(t, 'mkfifo', [at('fifo.sock')]);
    await listenAt(t, at('living.sock'));
    for (const name of ['file.sock', 'folder.sock', 'fifo.sock', 'living.sock'])
      t.equal(await asked(alice, bindSocketRequest(at(name))), null, `${name} is not replaced`);
    t.equal(readFileSync(at('file.sock'), 'utf8'), 'precious');
    for (const name of ['file.sock', 'folder.sock', 'fifo.sock', 'none.sock']) {
      alice.send(socketOpen(at(name), ++id));
      t.match(await openRefusal(alice, id), { reason: OPEN_FAILURE.CONNECT_FAILED }, `nobody listens at ${name}`);
    }
    alice.send(socketOpen(at('living.sock'), ++id));
    t.ok(await confirmed(alice, id), 'twin: a socket of hers');

    const crash = `require('net').createServer().listen(process.argv[1], () => process.kill(process.pid, 'SIGKILL'))`;
    await run(t, process.execPath, ['-e', crash, at('stale.sock')]);
    t.ok(lstatSync(at('stale.sock')).isSocket());
    t.equal(await asked(alice, bindSocketRequest(at('stale.sock'))), 0, 'a socket that a crash has left is');
    t.equal(lstatSync(at('stale.sock')).mode & 0o777, 0o600, "and the new one is its owner's alone");
    await connect(t, at('stale.sock'));
    t.ok(await alice.take(MSG.CHANNEL_OPEN));
    t.equal(await asked(alice, cancelSocketRequest(at('stale.sock'))), 0);
    t.notOk(existsSync(at('stale.sock')), 'gone with its forward');
  });

  await t.test('a link in the place of a socket, between the check and the connect', async (t) => {
    const [own, path] = [join(ALICES, 'own.sock'), join(ALICES, 'swapped.sock')];
    const opened = await listenAt(t, own);
    const swapper = await startSwapping(t, LINK_FOR_SOCKET, [path, own, secret]);
    let refused = 0;
    const isDone = (tries: number): boolean => tries >= TRIES && opened() > 0 && refused > 0;
    for (let tries = 0; tries < MAX_TRIES && !isDone(tries); tries++) {
      alice.send(socketOpen(path, ++id));
      const answer = await alice.takeFirst([MSG.CHANNEL_OPEN_CONFIRMATION, MSG.CHANNEL_OPEN_FAILURE]);
      if (answer[0] === MSG.CHANNEL_OPEN_FAILURE) refused++;
      else alice.send(message(MSG.CHANNEL_CLOSE, answer.readUInt32BE(5)));
    }
    await swapper.stop('SIGKILL');
    t.ok(opened() > 0 && refused > 0, `both were met: ${opened()} opened, ${refused} refused`);
    t.equal(knocks(), 0, 'nobody came out behind the link');
  });

  await t.test('a link in the place of a folder, between the check and the bind', async (t) => {
    const swapper = await startSwapping(t, LINK_FOR_FOLDER, [SUB, BOBS]);
    let bound = 0;
    let refused = 0;
    for (let tries = 0; tries < MAX_TRIES && !(tries >= TRIES && bound > 0 && refused > 0); tries++) {
      const path = join(SUB, `${tries}.sock`);
      if ((await asked(alice, bindSocketRequest(path))) === null) {
        refused++;
        continue;
      }
      bound++;
      t.same(readdirSync(BOBS), [], "nothing of hers in another's folder");
      t.equal(await asked(alice, cancelSocketRequest(path)), 0);
    }
    await swapper.stop('SIGKILL');
    t.ok(bound > 0 && refused > 0, `both were met: ${bound} bound, ${refused} refused`);
    const left = [SUB, `${SUB}.real`].flatMap((dir) => (existsSync(dir) ? readdirSync(dir) : []));
    t.same(left, [], 'and each was removed where it was');
  });

  await t.test('with its client', async (t) => {
    const path = join(BOBS, 'b.sock');
    t.equal(await asked(bob, bindSocketRequest(path)), 0);
    bob.socket.destroy();
    t.ok(await settles(() => !existsSync(path)), 'a socket goes');
  });
});

hostile(
  t,
  'A29',
  'the socket of a worker that was killed',
  { users, workers: [2], bystanders: 0, processesEnd: true },
  async (t, { server, login }) => {
    freshFolders();
    const path = join(ALICES, 'a.sock');
    const first = await login();
    t.equal(await asked(first, bindSocketRequest(path)), 0);
    const { conn } = await server.events.wait('forward.bound', { user: 'alice' });
    const { worker } = await server.events.wait('connection.accepted', { conn: Number(conn) });
    const { pid } = await server.events.wait('worker.started', { worker: Number(worker) });
    process.kill(Number(pid), 'SIGKILL');
    await server.events.wait('forward.released', { user: 'alice', reason: 'WORKER_LOST' });
    const second = await login();
    t.equal(await asked(second, bindSocketRequest(path)), 0, 'is there for whoever comes back');
    await connect(t, path);
    t.ok(await second.take(MSG.CHANNEL_OPEN), 'and works');
  },
);
