/** THE PYTHON ORIGINAL: each thing that its user could override, as this library has it, in one process and in a cluster
 *  alike, with OpenSSH's client. One test a row of docs/from-python.md. */

import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import root, { type Test } from 'tap';
import { MSG, WireReader } from '../../src/shared/protocol.js';
import { exchange, MIB } from '../support/bytes.js';
import { callsAt } from '../support/calls.js';
import type { Call } from '../support/handlers/recorder.js';
import { POUR_BYTES } from '../support/handlers/shell.js';
import { handlerUrl, logins, MODES, type Mode, type Served, serveIn } from '../support/library.js';
import { mustRun, type Outcome, start } from '../support/process.js';
import { need } from '../support/programs.js';
import { rawClient } from '../support/raw_client.js';
import type { Login } from '../support/server.js';
import { wire } from '../support/session_client.js';
import { HOST, spoken, sshConfig, sshRun, tunnel } from '../support/ssh.js';
import { connect, freePort, startEcho } from '../support/targets.js';

const BY_PASSWORD = ['-o', 'BatchMode=no', '-o', 'NumberOfPasswordPrompts=1', '-o', 'PubkeyAuthentication=no'];

function withPassword(password: string) {
  return { program: ['sshpass', '-p', password, 'ssh'] };
}

/** Logs in by password and asks for a shell, of which there is none: 1 is a login, 255 a refusal. */
async function byPassword(t: Test, server: Served, login: Login, password: string): Promise<Outcome> {
  return await sshRun(t, server, login, BY_PASSWORD, [], withPassword(password));
}

/** A tunnel through which the page of calls can be read, and what was asked of `hook` so far. */
async function observed(t: Test, server: Served, login: Login, specs: readonly string[] = []) {
  const near = await freePort();
  const open = await tunnel(t, server, login, ['-L', `${near}:calls:80`, ...specs]);
  return {
    open,
    async asked(hook: string): Promise<readonly Call[]> {
      return (await callsAt(near)).calls.filter((call) => call.hook === hook);
    },
  };
}

/** The row as a test, once per mode. */
function row(name: string, body: (t: Test, mode: Mode) => Promise<void>): void {
  for (const mode of MODES)
    root.test(`${name}, ${mode}`, { timeout: 120_000 }, async (t) => {
      if (need(t, ['ssh', 'ssh-keygen', 'sshpass'])) await body(t, mode);
    });
}

row('check_auth_password(username, password)', async (t, mode) => {
  const server = await serveIn(t, mode, handlerUrl('recorder'));
  const { later, boss, sync } = await logins(t, 'later', 'boss', 'sync');
  for (const login of [sync, later]) {
    t.equal((await byPassword(t, server, login, 'foo')).code, 1, `${login.name}: the right one`);
    t.equal((await byPassword(t, server, login, 'bar')).code, 255, `${login.name}: a wrong one`);
  }
  t.equal((await byPassword(t, server, boss, 'anything')).code, 1);
  const succeeded = await server.wait('auth.succeeded', ({ user }) => user === 'team');
  t.equal(succeeded.method, 'password', 'the login is told under the name that the hook gave');

  await t.test('an identity of the hook reaches the later hooks', async (t) => {
    const near = await freePort();
    const config = sshConfig(t, [{ alias: HOST, endpoint: server, login: boss }]);
    const specs = ['-v', '-N', '-L', `${near}:calls:80`, '-R', '0:localhost:1'];
    const client = start(t, 'sshpass', ['-p', 'x', 'ssh', '-F', config, ...BY_PASSWORD, ...specs, HOST]);
    await client.waitFor(/Allocated port/);
    const { asker, calls } = await callsAt(near);
    t.match(asker, { user: 'team', note: 'kept' }, 'the in-process target');
    const bind = calls.find(({ hook }) => hook === 'checkForwardAddress');
    t.match(bind, { identity: { user: 'team', note: 'kept' }, address: { kind: 'tcp', host: 'localhost', port: 0 } });
    const login = calls.findLast(({ hook, username }) => hook === 'checkAuthPassword' && username === 'boss');
    t.match(login, { password: 'x', peer: { address: '127.0.0.1' }, aborted: false, soFar: null });
  });
});

row('check_auth_publickey(username, key)', async (t, mode) => {
  const server = await serveIn(t, mode, handlerUrl('recorder'));
  const { alice, stranger, ...more } = await logins(t, 'alice', 'stranger', 'offer-only');
  const { asked } = await observed(t, server, alice);
  const calls = await asked('checkAuthPublicKey');
  const line = readFileSync(`${alice.keyFile}.pub`, 'utf8').split(' ').slice(0, 2).join(' ');
  const listing = await mustRun(t, 'ssh-keygen', ['-l', '-f', `${alice.keyFile}.pub`]);
  const key = {
    type: 'ssh-ed25519',
    algorithm: 'ssh-ed25519',
    fingerprint: listing.split(' ')[1],
    line,
    blob: line.split(' ')[1],
  };
  t.match(
    calls,
    [
      { username: 'alice', key: { ...key, verified: false } },
      { username: 'alice', key: { ...key, verified: true } },
    ],
    'for the offer and again for the verified signature',
  );
  t.equal(calls.length, 2);
  t.equal((await server.wait('auth.succeeded')).fingerprint, key.fingerprint);
  for (const login of [stranger, more['offer-only']]) {
    const outcome = await sshRun(t, server, login, []);
    t.equal(outcome.code, 255, login.name);
    t.match(spoken(outcome), /Permission denied/);
  }
});

row('get_allowed_auths(username)', async (t, mode) => {
  const server = await serveIn(t, mode, handlerUrl('recorder'));
  const known = await logins(t, 'keys-only', 'both', 'either', 'stranger');

  await t.test('what it lists is what is offered', async (t) => {
    const outcome = await sshRun(t, server, known['keys-only'], BY_PASSWORD, [], withPassword('foo'));
    t.match(spoken(outcome), /Permission denied \(publickey\)/);
    t.equal((await sshRun(t, server, known['keys-only'], [])).code, 1);
  });

  await t.test('several methods in a row', async (t) => {
    const args = ['-v', '-o', 'BatchMode=no', '-o', 'NumberOfPasswordPrompts=1'];
    const outcome = await sshRun(t, server, known.both, args, [], withPassword('foo'));
    t.equal(outcome.code, 1, spoken(outcome));
    t.match(outcome.stderr, /Authenticated using "publickey" with partial success/);
    const partial = await server.wait('auth.partial');
    t.match(partial, { user: 'both', method: 'publickey', fingerprint: /^SHA256:/ });
    const whole = await server.wait('auth.succeeded', ({ user }) => user === 'both');
    t.match(whole, { method: 'password', fingerprint: partial.fingerprint }, 'with the key of the first step');
    t.equal((await sshRun(t, server, known.both, args, [], withPassword('bar'))).code, 255, 'a wrong second one');
    t.equal((await sshRun(t, server, known.both, [])).code, 255, 'the first alone');
    t.equal((await byPassword(t, server, known.both, 'foo')).code, 255, 'the second alone');
  });

  await t.test('one way or another', async (t) => {
    t.equal((await sshRun(t, server, known.either, [])).code, 1, 'by key');
    t.equal((await byPassword(t, server, known.either, 'foo')).code, 1, 'by the prompt');
  });
});

row('check_forward_address((address, port))', async (t, mode) => {
  const server = await serveIn(t, mode, handlerUrl('recorder'));
  const { alice } = await logins(t, 'alice');
  const echo = await startEcho(t);
  const far = await freePort();
  const { asked } = await observed(t, server, alice, ['-R', `localhost:${far}:localhost:${echo.port}`]);
  t.match(await asked('checkForwardAddress'), [{ address: { kind: 'tcp', host: 'localhost', port: far } }]);
  const { sent, received } = await exchange(await connect(t, far), 'through -R', MIB);
  t.same(received, sent);
  t.match(await server.wait('forward.bound'), {
    user: 'alice',
    kind: 'tcpip-forward',
    destination: `localhost:${far}`,
  });

  const refused = await sshRun(t, server, alice, ['-N', '-R', 'denied:4000:localhost:1']);
  t.equal(refused.code, 255);
  t.match(refused.stderr, /remote port forwarding failed/);
  t.match(await server.wait('forward.refused'), { destination: 'denied:4000', reason: 'POLICY_DENIED' });
});

row('check_direct(origin, destination)', async (t, mode) => {
  const server = await serveIn(t, mode, handlerUrl('recorder'));
  const { alice } = await logins(t, 'alice');
  const echo = await startEcho(t);
  const [near, denied] = [await freePort(), await freePort()];
  const { asked, open } = await observed(t, server, alice, [
    '-L',
    `${near}:localhost:${echo.port}`,
    '-L',
    `${denied}:denied:80`,
  ]);
  const socket = await connect(t, near);
  const { sent, received } = await exchange(socket, 'through -L', MIB);
  t.same(received, sent);
  t.match(await asked('checkDirect'), [
    {
      origin: { host: '127.0.0.1', port: Number },
      destination: { kind: 'tcp', host: 'localhost', port: echo.port },
      identity: { user: 'alice', fingerprint: /^SHA256:/ },
    },
  ]);
  await connect(t, denied);
  await open.client.waitFor(/open failed: administratively prohibited: not permitted/);
  t.match(await server.wait('channel.refused'), {
    kind: 'direct-tcpip',
    destination: 'denied:80',
    reason: 'POLICY_DENIED',
    detail: 'because of a test',
  });
});

row('no_shell', async (t, mode) => {
  const server = await serveIn(t, mode, handlerUrl('recorder'), { noShell: 'Only tunnels here, sorry.' });
  const { alice } = await logins(t, 'alice');
  for (const [args, command] of [
    [['-T'], []],
    [[], ['true']],
    [['-tt'], []],
  ] as const) {
    const outcome = await sshRun(t, server, alice, args, command);
    t.equal(outcome.code, 1);
    t.match(outcome.stdout + outcome.stderr, 'Only tunnels here, sorry.');
  }
  t.match(await server.wait('channel.refused'), { kind: 'session', reason: 'POLICY_DENIED' });
});

row('own shell', async (t, mode) => {
  const server = await serveIn(t, mode, handlerUrl('shell'));
  const { alice } = await logins(t, 'alice');
  const exec = (command: string, input?: string) =>
    sshRun(t, server, alice, ['-o', 'SetEnv=COLOUR=green'], [command], input === undefined ? {} : { input });

  await t.test('exec, environment, exit status, stderr', async (t) => {
    t.match(await exec('env'), { code: 0, stdout: 'COLOUR=green\n' });
    const left = await exec('exit 42');
    t.equal(left.code, 42);
    t.match(left.stderr, 'leaving with 42');
    t.equal((await exec('signalled')).code, 255);
    t.match(await exec('nothing'), { code: 1, stderr: 'no such command: nothing\n' });
  });

  await t.test('both directions, with an end of each', async (t) => {
    t.match(await exec('cat', 'over and out\n'), { code: 0, stdout: 'over and out\n' });
    const input = 'x'.repeat(5 * MIB);
    const sum = createHash('sha256').update(input).digest('hex');
    t.match(await exec('hash', input), { code: 0, stdout: `${sum}\n` }, 'the answer comes after the end of the input');
  });

  await t.test('20 MB of output through a reader that is slow to begin', async (t) => {
    const config = sshConfig(t, [{ alias: HOST, endpoint: server, login: alice }]);
    const client = start(t, 'ssh', ['-F', config, HOST, 'pour'], { rawStdout: true });
    await server.wait('channel.opened');
    let bytes = 0;
    for await (const chunk of client.rawStdout) bytes += chunk.length;
    t.equal(bytes, POUR_BYTES);
    t.same(await client.exited, { code: 0, signal: null });
  });

  await t.test('a terminal, its changes, signals', async (t) => {
    const client = rawClient(t, server);
    await client.login('alice', { keyFile: alice.keyFile });
    const session = await wire(client);
    session.request('pty-req', 'xterm', 80, 24, 0, 0, Buffer.from([53, 0, 0, 0, 1, 0]));
    session.request('shell');
    await session.heard('terminal xterm 80x24\r\n');
    session.request('window-change', 100, 30, 0, 0);
    await session.heard('now 100x30\r\n');
    session.request('signal', 'INT');
    await session.heard('signal INT\r\n');
    session.type('q');
    const status = await client.take(MSG.CHANNEL_REQUEST);
    const reader = new WireReader(status, 5);
    t.equal(reader.text(), 'exit-status');
    reader.boolean();
    t.equal(reader.uint32(), 3);
  });

  await t.test('stderr waits for a peer that does not read', async (t) => {
    const client = rawClient(t, server);
    await client.login('alice', { keyFile: alice.keyFile });
    const channels = await Promise.all([0, 1, 2, 3, 4, 5, 6, 7].map((id) => wire(client, id)));
    client.socket.pause();
    for (const channel of channels) channel.request('exec', 'complain');
    t.equal((await exec('exit 5')).code, 5, 'others are served');
    client.socket.resume();
    const statuses = await Promise.all(
      channels.map((_, id) =>
        client.take(
          MSG.CHANNEL_REQUEST,
          (p) => p.readUInt32BE(1) === id && new WireReader(p, 5).text() === 'exit-status',
        ),
      ),
    );
    t.equal(statuses.length, 8, 'all of it came, with its exit status');
  });

  await t.test('a handler that breaks ends its own session alone', async (t) => {
    const throws = await exec('throws');
    t.equal(throws.code, 255);
    t.match(await server.wait('channel.refused', ({ reason }) => reason === 'HOOK_FAILED'), {
      destination: 'session: exec',
      detail: 'onSession: the session broke',
    });
    const rejects = await exec('rejects');
    t.equal(rejects.code, 255);
    t.match(await server.wait('channel.closed', ({ reason }) => reason === 'HOOK_FAILED'), {
      kind: 'session',
      detail: 'onSession: the session broke later',
    });
    t.equal((await exec('async', 'anything')).code, 255);
    t.match(await server.wait('channel.closed', ({ reason }) => reason === 'TARGET_ERROR'), {
      detail: 'the listener broke',
    });
    t.equal((await exec('env')).code, 0, 'and the server serves on');
  });
});

row('set_keepalive(60)', async (t, mode) => {
  const server = await serveIn(t, mode, handlerUrl('recorder'), { timeouts: { keepalive: '1s', drain: '0s' } });
  const client = rawClient(t, server);
  await client.login('sync', { password: 'foo' });
  const request = new WireReader(await client.take(MSG.GLOBAL_REQUEST), 1);
  t.equal(request.text(), 'keepalive@openssh.com', 'asked after a second of silence');
  t.equal(request.boolean(), true);
});
