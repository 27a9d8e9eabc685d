/** QUICK START: `sallyport` alone, as a real program: keys of the home folder, or a password; the lines really work. */
import { copyFileSync, existsSync, mkdirSync, readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { userInfo } from 'node:os';
import { join } from 'node:path';
import t, { type Test } from 'tap';
import { deferred } from '../support/deadline.js';
import { cliEntry, projectRoot } from '../support/paths.js';
import { mustRun, type Running, run, start } from '../support/process.js';
import { need } from '../support/programs.js';
import { tempDir } from '../support/temp.js';

async function newKey(t: Test, file: string): Promise<string> {
  await mustRun(t, 'ssh-keygen', ['-q', '-t', 'ed25519', '-N', '', '-C', 'test', '-f', file]);
  return readFileSync(`${file}.pub`, 'utf8');
}

/** A home with an `.ssh`, and an empty folder to work in. */
function places(t: Test): { home: string; ssh: string; cwd: string } {
  const dir = tempDir(t);
  const home = join(dir, 'home');
  const ssh = join(home, '.ssh');
  const cwd = join(dir, 'work');
  mkdirSync(ssh, { recursive: true, mode: 0o700 });
  mkdirSync(cwd);
  return { home, ssh, cwd };
}

async function quickStart(t: Test, home: string, cwd: string): Promise<Running> {
  const args = [cliEntry, '--listen', '127.0.0.1:0', '--workers', '1'];
  const program = start(t, process.execPath, args, { cwd, env: { HOME: home } });
  await program.waitFor(/-J sallyport/);
  return program;
}

/** The pasted line, with `options` added and our own forward in place of the example's. */
function pasted(program: Running, example: string, forward: string): string {
  const line = program.stdout.split('\n').find((text) => text.includes(example));
  if (line === undefined) throw new Error(program.describe());
  return line.trim().replace(example, forward);
}

/** A TCP service that says hello and closes. */
async function greeter(t: Test): Promise<number> {
  const server = createServer((socket) => socket.end('hello\n'));
  const listening = deferred<void>();
  server.listen(0, '127.0.0.1', () => listening.resolve());
  await listening.promise;
  t.teardown(() => server.close());
  const address = server.address();
  if (address === null || typeof address === 'string') throw new Error('no port');
  return address.port;
}

t.test('keys of ~/.ssh open; a line with an unknown option does not; nothing of the user is touched', async (t) => {
  if (!need(t, ['ssh'])) return;
  const { home, ssh, cwd } = places(t);
  await newKey(t, join(ssh, 'work'));
  const restricted = await newKey(t, join(cwd, 'restricted'));
  const listed = await newKey(t, join(cwd, 'listed'));
  writeFileSync(join(ssh, 'authorized_keys'), `# mine\n${listed}restrct ${restricted}`);
  copyFileSync(join(ssh, 'work.pub'), join(ssh, 'work-cert.pub'));
  const before = readdirSync(ssh);

  const program = await quickStart(t, home, cwd);
  t.match(program.stderr, /authorized_keys:3: restrct: unknown option \(did you mean restrict\?\)/);
  t.match(
    program.stdout,
    new RegExp(`log in as +${userInfo().username}, with a key of .*work\\.pub, .*authorized_keys\n`),
  );
  t.match(program.stdout, /listens on +127\.0\.0\.1:[1-9]\d*\n/);
  t.equal(statSync(join(cwd, '.sallyport')).mode & 0o777, 0o700);
  t.equal(statSync(join(cwd, '.sallyport', 'ssh_config')).mode & 0o777, 0o600);

  const port = await greeter(t);
  const reach = (line: string) => run(t, 'sh', ['-c', `exec ${line} </dev/null`], { env: { HOME: home } });
  // -W in place of -N -L: the same channel, and it ends by itself.
  const line = pasted(program, '-N -L 8080:localhost:80', `-o BatchMode=yes -W localhost:${port}`);
  t.match(await reach(line), { code: 0, stdout: 'hello\n' }, line);
  const sshConfig = join(cwd, '.sallyport', 'ssh_config');
  const lineWith = (key: string): string => {
    const changed = readFileSync(sshConfig, 'utf8').replace(join(ssh, 'work'), join(cwd, key));
    writeFileSync(`${sshConfig}_${key}`, changed);
    return line.replace(sshConfig, `${sshConfig}_${key} -o IdentitiesOnly=yes`);
  };
  t.match(await reach(lineWith('listed')), { code: 0, stdout: 'hello\n' });
  t.not((await reach(lineWith('restricted'))).code, 0);
  t.ok(existsSync(join(cwd, '.sallyport', 'known_hosts')));
  t.same(readdirSync(ssh), before);

  const second = places(t);
  copyFileSync(join(ssh, 'work.pub'), join(second.ssh, 'work.pub'));
  const behind = await quickStart(t, second.home, second.cwd);
  const behindPort = /listens on +127\.0\.0\.1:(\d+)/.exec(behind.stdout)?.[1];
  const jump = pasted(program, '-J sallyport', `-o BatchMode=yes -J sallyport -p ${behindPort} -W localhost:${port}`);
  t.match(await reach(jump), { code: 0, stdout: 'hello\n' }, jump);
  t.same(readdirSync(ssh), before);

  for (const one of [program, behind]) t.equal((await one.stop('SIGTERM')).code, 0);
});

t.test('without a key there is a password, made for this run', async (t) => {
  const { home, cwd } = places(t);
  const first = await quickStart(t, home, cwd);
  const password = /with the password (\S+) /.exec(first.stdout)?.[1] ?? '';
  t.match(password, /^[a-zA-Z2-9]{20}$/);
  t.equal(first.stdout.split(password).length, 2, 'printed once');
  t.notOk(first.stderr.includes(password), 'and not logged');
  for (const entry of readdirSync(join(cwd, '.sallyport'), { withFileTypes: true }))
    if (entry.isFile())
      t.notOk(readFileSync(join(cwd, '.sallyport', entry.name), 'utf8').includes(password), `not in ${entry.name}`);

  if (need(t, ['ssh'])) {
    const port = await greeter(t);
    const askpass = join(home, 'askpass');
    writeFileSync(askpass, `#!/bin/sh\necho ${password}\n`, { mode: 0o700 });
    const line = pasted(first, '-N -L 8080:localhost:80', `-o PubkeyAuthentication=no -W localhost:${port}`);
    const env = { HOME: home, SSH_ASKPASS: askpass, SSH_ASKPASS_REQUIRE: 'force' };
    t.match(await run(t, 'sh', ['-c', `exec ${line} </dev/null`], { env }), { code: 0, stdout: 'hello\n' }, 'it opens');
  }
  await first.stop('SIGTERM');
  const second = await quickStart(t, home, cwd);
  t.notOk(second.stdout.includes(password), 'another one for the next run');
  await second.stop('SIGTERM');
});

t.test('a port that is taken is told, and what to do', async (t) => {
  const { home, cwd } = places(t);
  const port = await greeter(t);
  const outcome = await run(t, process.execPath, [cliEntry, '--listen', `127.0.0.1:${port}`, '--workers', '1'], {
    cwd,
    env: { HOME: home },
  });
  t.equal(outcome.code, 1);
  t.match(outcome.stderr, new RegExp(`error: 127\\.0\\.0\\.1:${port} is taken: a program listens there already`));
  t.equal(outcome.stdout, '', 'no lines to paste that would not work');
});

t.test('where it runs already, that is told: by npm start before it builds, and whose the port is', async (t) => {
  const { home, cwd } = places(t);
  const first = await quickStart(t, home, cwd);
  const port = /listens on +127\.0\.0\.1:(\d+)/.exec(first.stdout)?.[1];
  const options = { cwd, env: { HOME: home } };
  const script = join(projectRoot, 'src', 'cli', 'start.mjs');
  t.match(await run(t, process.execPath, [script, 'serve'], options), {
    code: 1,
    stdout: '',
    stderr: /^Sallyport runs already, .* npm start -- --takeover\n$/,
  });
  const own = new RegExp(`^error: 127\\.0\\.0\\.1:${port} is taken: your own Sallyport runs there already`);
  t.match(await run(t, process.execPath, [cliEntry, '--listen', `127.0.0.1:${port}`, '--workers', '1'], options), {
    code: 1,
    stderr: own,
  });
  await first.stop('SIGTERM');
});
