/** EXAMPLE CONFIGS: each is good to `check` once the keys are there that its head asks for, and does what it says. */
import { cpSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import root, { type Test } from 'tap';
import { exchange } from '../support/bytes.js';
import { EventLog } from '../support/events.js';
import { cliEntry, projectRoot } from '../support/paths.js';
import { mustRun, run, start } from '../support/process.js';
import { need } from '../support/programs.js';
import { endpointOf, type Login, type SshEndpoint } from '../support/server.js';
import { HOST, sshConfig, sshRun, startTunnel, tunnel } from '../support/ssh.js';
import { connect, freePort, startEcho } from '../support/targets.js';
import { tempDir } from '../support/temp.js';

interface Example {
  readonly dir: string;
  readonly configFile: string;
  login(name: string, key?: string): Login;
}

/** A copy of the folder, with a key for each `NAME.pub` that its config names, and its KRL. */
async function prepare(t: Test, name: string): Promise<Example> {
  const dir = tempDir(t);
  cpSync(join(projectRoot, 'examples', name), dir, { recursive: true });
  const configFile = join(dir, 'sallyport.yaml');
  const text = readFileSync(configFile, 'utf8');
  for (const [, key = ''] of text.matchAll(/: \.\/([\w-]+)\.pub/g))
    await mustRun(t, 'ssh-keygen', ['-q', '-t', 'ed25519', '-N', '', '-C', key, '-f', join(dir, key)]);
  if (text.includes('revoked.krl')) await mustRun(t, 'ssh-keygen', ['-k', '-f', join(dir, 'revoked.krl')]);
  return { dir, configFile, login: (user, key = user) => ({ name: user, keyFile: join(dir, key) }) };
}

/** What it says of its own address is changed to one from the kernel. */
async function serve(
  t: Test,
  { dir, configFile }: Example,
  args: readonly string[] = ['--listen', '127.0.0.1:0'],
): Promise<SshEndpoint> {
  const program = start(t, process.execPath, [cliEntry, 'serve', '--config', configFile, '--workers', '1', ...args], {
    cwd: dir,
  });
  const events = new EventLog(program);
  const listening = await events.wait('server.listening');
  await events.wait('worker.started');
  t.teardown(async () => {
    await program.stop();
  });
  return endpointOf(String(listening.address));
}

function example(name: string, body: (t: Test, example: Example) => Promise<void>): void {
  root.test(name, { timeout: 170_000 }, async (t) => {
    if (!need(t, ['ssh', 'ssh-keygen', 'haproxy'])) return;
    const made = await prepare(t, name);
    const checked = await run(t, process.execPath, [cliEntry, 'check', '--config', made.configFile]);
    t.match(checked, { code: 0, stdout: /: good: /, stderr: '' }, 'check');
    await body(t, made);
  });
}

async function echoes(t: Test, near: number): Promise<void> {
  const { sent, received } = await exchange(await connect(t, near), `at ${near}`, 10_000);
  t.same(received, sent);
}

/** For ports that are the kernel's to give. */
function change({ dir }: Example, name: string, from: string, to: string): void {
  const file = join(dir, name);
  writeFileSync(file, readFileSync(file, 'utf8').replaceAll(from, to));
}

example('home', async (t, home) => {
  const server = await serve(t, home);
  const echo = await startEcho(t);
  const near = await freePort();
  await tunnel(t, server, home.login('me'), ['-L', `${near}:localhost:${echo.port}`]);
  await echoes(t, near);
  const guest = await sshRun(t, server, home.login('guest'), ['-W', `localhost:${echo.port}`]);
  t.match(guest, { code: 255, stderr: /administratively prohibited/ });
});

example('bastion', async (t, bastion) => {
  const server = await serve(t, bastion);
  await mustRun(t, 'ssh-keygen', ['-q', '-t', 'ed25519', '-N', '', '-f', join(bastion.dir, 'alice')]);
  const sign = ['-q', '-s', join(bastion.dir, 'team_ca'), '-I', 'alice@laptop', '-n', 'operators', '-V', '+12h'];
  await mustRun(t, 'ssh-keygen', [...sign, join(bastion.dir, 'alice.pub')]);
  // Loopback is none of `*:*`: nobody comes to the bastion's own services.
  const local = await sshRun(t, server, bastion.login('operators', 'alice'), ['-W', 'localhost:22']);
  t.match(local, { code: 255, stderr: /administratively prohibited/ }, 'in, and no further than it should be');
  const other = await sshRun(t, server, bastion.login('developers', 'alice'), ['-W', 'localhost:22']);
  t.match(other, { code: 255, stderr: /Permission denied/ });
});

example('iot', async (t, fleet) => {
  const port = await freePort();
  change(fleet, 'sallyport.yaml', '20001', String(port));
  change(fleet, 'sallyport.yaml', '20000-29999', String(port));
  const server = await serve(t, fleet);
  const device = await startEcho(t);
  await tunnel(t, server, fleet.login('pump-1'), ['-R', `${port}:localhost:${device.port}`]);
  const near = await freePort();
  await tunnel(t, server, fleet.login('support'), ['-L', `${near}:localhost:${port}`]);
  await echoes(t, near);
  const { client } = startTunnel(t, server, fleet.login('pump-2'), ['-R', `${port + 1}:localhost:${device.port}`]);
  await client.waitFor(/remote port forwarding failed for listen port/);
  const config = sshConfig(t, [{ alias: HOST, endpoint: server, login: fleet.login('pump-2') }]);
  const reached = await run(t, 'ssh', ['-F', config, '-W', `localhost:${port}`, HOST]);
  t.match(reached, { code: 255, stderr: /administratively prohibited/ }, 'no device reaches another');
});

example('haproxy', async (t, behind) => {
  const [front, back] = [await freePort(), await freePort()];
  change(behind, 'sallyport.yaml', '127.0.0.1:2222', `127.0.0.1:${back}`);
  change(behind, 'sallyport.yaml', 'localhost:8000-8999', 'localhost:*');
  change(behind, 'haproxy.cfg', '127.0.0.1:2222', `127.0.0.1:${back}`);
  change(behind, 'haproxy.cfg', 'bind :22', `bind 127.0.0.1:${front}`);
  await serve(t, behind, []);
  const haproxy = start(t, 'haproxy', ['-W', '-db', '-f', join(behind.dir, 'haproxy.cfg')]);
  await haproxy.waitFor(/Loading success/);
  const echo = await startEcho(t);
  const near = await freePort();
  await tunnel(t, { host: '127.0.0.1', port: front }, behind.login('alice'), ['-L', `${near}:localhost:${echo.port}`]);
  await echoes(t, near);
});
