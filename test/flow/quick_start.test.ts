/** QUICK START: `sallyport` without a config in an empty folder: the ssh lines that it prints work when pasted.
 *  Only the ports of the examples are exchanged, because another program may hold 8080 on this machine. */
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import t, { type Test } from 'tap';
import { exchange, KIB } from '../support/bytes.js';
import { EventLog } from '../support/events.js';
import { flow } from '../support/flow.js';
import { cliEntry } from '../support/paths.js';
import { type Running, start } from '../support/process.js';
import { makeLogin } from '../support/server.js';
import { socks5 } from '../support/socks.js';
import { startSshd } from '../support/sshd.js';
import { connect, connectWhenUp, freePort, startEcho } from '../support/targets.js';
import { tempDir } from '../support/temp.js';

interface QuickStart {
  readonly program: Running;
  readonly events: EventLog;
  /** The printed line that has `option`, e.g. `-L`. */
  line(option: string): string;
}

async function startQuickly(t: Test, home: string): Promise<QuickStart> {
  const args = [cliEntry, 'serve', '--listen', '127.0.0.1:0'];
  const program = start(t, process.execPath, args, { cwd: tempDir(t), env: { HOME: home } });
  const events = new EventLog(program);
  await program.waitFor(/^ +ssh .*-J .*$/m);
  return {
    program,
    events,
    line(option) {
      const line = program.stdout.split('\n').find((text) => /^ *ssh /.test(text) && text.includes(` ${option} `));
      if (line === undefined) throw new Error(`no ssh ${option} line in:\n${program.stdout}`);
      return line.trim();
    },
  };
}

/** A shell gets the line as a user's would, with one place of it exchanged. */
function paste(t: Test, home: string, line: string, from: string, to: string, before: readonly string[] = []): Running {
  if (!line.includes(from)) throw new Error(`no ${from} in ${line}`);
  const [program = 'sh', ...args] = [...before, 'sh', '-c', `exec ${line.replace(from, to)}`];
  return start(t, program, args, { env: { HOME: home } });
}

async function echoes(t: Test, port: number, what: string): Promise<void> {
  const { sent, received } = await exchange(await connectWhenUp(t, port), what, 10 * KIB);
  t.same(received, sent, what);
}

const ONCE = [2]; // workers: auto

flow(t, 'quick start with a key', { needs: ['ssh', 'ssh-keygen', 'sshd'], workers: ONCE }, async (t) => {
  const home = tempDir(t);
  mkdirSync(join(home, '.ssh'), { mode: 0o700 });
  // No name that ssh tries by itself: OpenSSH takes the home folder of the password file, not HOME.
  const key = await makeLogin(t, join(home, '.ssh'), 'work');
  const { program, events, line } = await startQuickly(t, home);
  const echo = await startEcho(t);

  await t.test('-L', async (t) => {
    const near = await freePort();
    const client = paste(t, home, line('-L'), '8080:localhost:80', `${near}:localhost:${echo.port}`);
    await events.wait('auth.succeeded');
    await echoes(t, near, '-L');
    await client.stop();
  });

  await t.test('-R', async (t) => {
    const port = await freePort();
    const client = paste(t, home, line('-R'), '9000:localhost:3000', `${port}:localhost:${echo.port}`);
    await events.wait('forward.bound');
    await echoes(t, port, '-R');
    await client.stop();
  });

  await t.test('-D', async (t) => {
    const proxy = await freePort();
    const client = paste(t, home, line('-D'), '-D 1080', `-D ${proxy}`);
    await connectWhenUp(t, proxy);
    const { sent, received } = await exchange(await socks5(t, proxy, 'localhost', echo.port), '-D', 10 * KIB);
    t.same(received, sent);
    await client.stop();
  });

  await t.test('-J', async (t) => {
    const sshd = await startSshd(t, { authorizedKeysFile: `${key.keyFile}.pub` });
    const host = `${sshd.login.name}@localhost`;
    const client = paste(t, home, line('-J'), host, `-p ${sshd.port} ${host} 'exit 7'`);
    t.match(await client.exited, { code: 7 });
  });

  t.match(await program.stop(), { code: 0 });
  t.same(events.otherLines, []);
});

flow(t, 'quick start without a key', { needs: ['ssh', 'sshpass'], workers: ONCE }, async (t) => {
  const home = tempDir(t);
  const { program, events, line } = await startQuickly(t, home);
  const password = program.stdout.match(/password (\S+)/)?.[1] ?? '';
  t.ok(password.length >= 16, 'a password was made for this run');
  const echo = await startEcho(t);
  const near = await freePort();
  const spec = `${near}:localhost:${echo.port}`;
  const client = paste(t, home, line('-L'), '8080:localhost:80', spec, ['sshpass', '-p', password]);
  await events.wait('auth.succeeded');
  await connectWhenUp(t, near);
  const { sent, received } = await exchange(await connect(t, near), 'by password', 10 * KIB);
  t.same(received, sent);
  await client.stop();

  const refused = paste(t, home, line('-L'), '8080:localhost:80', spec, ['sshpass', '-p', 'wrong']);
  t.not((await refused.exited).code, 0, 'another password is refused');
  t.match(await program.stop(), { code: 0 });
});
