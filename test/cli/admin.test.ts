/** STATUS, PS, KILL, DRAIN, RELOAD: the commands as people and scripts type them, at a server that runs, and at none. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import { join } from 'node:path';
import t, { type Test } from 'tap';
import { bytesText, connectionLines, durationText, statusLines } from '../../src/cli/admin_text.js';
import type { ConnectionView, ServerStatus } from '../../src/shared/admin.js';
import { hasControl } from '../../src/shared/text.js';
import { within } from '../support/deadline.js';
import { cliEntry } from '../support/paths.js';
import { type Outcome, run } from '../support/process.js';
import { startSallyport } from '../support/server.js';
import { tunnel } from '../support/ssh.js';
import { connect, firstLine, freePort, startEcho } from '../support/targets.js';
import { tempDir } from '../support/temp.js';

async function sallyport(t: Test, args: readonly string[], cwd = tempDir(t)): Promise<Outcome> {
  return await run(t, process.execPath, [cliEntry, ...args], { cwd });
}

t.test('at a server that runs', async (t) => {
  const server = await startSallyport(t, { workers: 1 });
  const config = ['--config', server.configFile];
  const echo = await startEcho(t);
  const local = await freePort();
  const specs = ['-L', `${local}:127.0.0.1:${echo.port}`, '-R', 'localhost:0:127.0.0.1:1'];
  const { client, allocatedPorts } = await tunnel(t, server, server.alice, specs);
  const socket = await connect(t, local);
  socket.write('hello\n');
  await firstLine(socket);

  const status = await sallyport(t, ['status', ...config]);
  t.match(status, {
    code: 0,
    stderr: '',
    stdout: /^running for .*\nlistens on {3}127\.0\.0\.1:\d+\nconnections {2}1, of these 0/,
  });
  t.match(status.stdout, /\nchannels {5}1, forwards 1, workers 1\npayload {6}6 B in, 6 B out, /);
  const whole = await sallyport(t, ['status', '--json', ...config]);
  t.match(JSON.parse(whole.stdout), { state: 'running', connections: 1, pid: server.pid });

  const ps = await sallyport(t, ['ps', '--channels', ...config]);
  t.match(ps, { code: 0, stderr: '' });
  const [head = '', row = '', channel = '', ...rest] = ps.stdout.trimEnd().split('\n');
  t.match(head, /^ID +USER +PEER +CLIENT +AGE +IN +OUT +CHANNELS +WORKER$/);
  t.match(row, /^(\d+) +alice +127\.0\.0\.1:\d+ +OpenSSH\S* .*6 B +6 B +1 +1$/);
  t.match(channel, new RegExp(`^    direct-tcpip 127\\.0\\.0\\.1:${echo.port}, \\d+s, 6 B in, 6 B out$`));
  t.same(rest, []);
  t.match((await sallyport(t, ['ps', '--user', 'bob', ...config])).stdout, /^no connections\n$/);
  const listed = JSON.parse((await sallyport(t, ['ps', '--json', '--search', 'ALICE', ...config])).stdout);
  t.match(listed, { total: 1, connections: [{ user: 'alice' }], silentWorkers: [] });
  const bound = new RegExp(`\\n\\d+ +alice +localhost:${allocatedPorts[0]} `);
  t.match(await sallyport(t, ['ps', '--forwards', ...config]), { code: 0, stdout: bound });

  server.write({ ...server.config, limits: { connections: 77 } });
  t.match(await sallyport(t, ['reload', ...config]), { code: 0, stdout: 'reloaded: limits\n', stderr: '' });
  t.match(await sallyport(t, ['reload', '--json', ...config]), { code: 0, stdout: '{"changed":[]}\n' });
  server.write({ ...server.config, limits: { connections: -1 } });
  const rejected = await sallyport(t, ['reload', ...config]); // what is wrong elsewhere in the file keeps nobody from asking
  t.match(rejected, {
    code: 1,
    stdout: '',
    stderr: /limits\.connections: .*\nerror: the config was rejected, and nothing/,
  });
  t.match(await sallyport(t, ['reload', '--json', ...config]), {
    code: 1,
    stdout: /^\{"error":\{"code":"CONFIG_INVALID",/,
  });

  const id = String(listed.connections[0].id);
  const admin = ['--admin', `unix:${join(server.dir, 'state', 'admin.sock')}`];
  t.match(await sallyport(t, ['kill', id, ...admin]), { code: 0, stdout: `connection ${id} is ended\n` });
  await within(client.exited, 'end of the client');
  t.match(await sallyport(t, ['kill', id, ...admin]), { code: 1, stderr: `error: there is no connection "${id}"\n` });

  t.match(await sallyport(t, ['drain', ...admin]), { code: 0, stdout: 'draining: no connections\n' });
  t.same(await server.ended, { code: 0, signal: null });
  const silent = /^error: no server answers at unix:\S+admin\.sock: is it running, and with this config\?\n$/;
  for (const command of [['status'], ['ps'], ['kill', '1'], ['drain'], ['reload']])
    t.match(await sallyport(t, [...command, ...admin]), { code: 1, stdout: '', stderr: silent }, command.join(' '));
});

t.test('whose reader goes away ends without a word', async (t) => {
  const server = await startSallyport(t, { workers: 1 });
  const config = ['--config', server.configFile];
  for (const command of [
    ['status', ...config],
    ['ps', ...config],
    ['top', '--once', '-d', '0.5', ...config],
    ['schema'],
  ]) {
    const child = spawn(process.execPath, [cliEntry, ...command], { stdio: ['ignore', 'pipe', 'pipe'] });
    t.teardown(() => child.kill('SIGKILL'));
    child.stdout.destroy(); // as `head` does when it has read enough
    let stderr = '';
    child.stderr.setEncoding('utf8').on('data', (text: string) => {
      stderr += text;
    });
    const [code] = await within(once(child, 'close'), command.join(' '));
    t.same({ code, stderr }, { code: 0, stderr: '' }, command.join(' '));
  }
});

t.test('with the state dir that serve was given', async (t) => {
  const dir = tempDir(t);
  const server = await startSallyport(t, { workers: 1 });
  const stateDir = ['--state-dir', join(server.dir, 'state')];
  t.match(await sallyport(t, ['status', ...stateDir], dir), { code: 0, stdout: /^running/ }, 'without a config');
  writeFileSync(join(dir, 'sallyport.yaml'), 'stateDir: ./elsewhere\n');
  t.match(
    await sallyport(t, ['ps', ...stateDir], dir),
    { code: 0, stdout: /^no connections/ },
    "instead of the config's",
  );
  t.match(await sallyport(t, ['status', '--state-dir', 'here'], dir), {
    code: 1,
    stderr: `at unix:${join(dir, 'here', 'admin.sock')}: is it running`,
  });
  const named = ['--admin', `unix:${join(dir, 'none')}`];
  t.match(await sallyport(t, ['status', ...stateDir, ...named], dir), { code: 1, stderr: /none: is it running/ });
});

t.test('by TCP, with the token of the config or of a file', async (t) => {
  const [port, dir] = [await freePort(), tempDir(t)];
  const [file, other] = [join(dir, 'token'), join(dir, 'other')];
  writeFileSync(file, 'this is the token'.replaceAll(' ', '-'), { mode: 0o600 });
  writeFileSync(other, 'this is no token'.replaceAll(' ', '-'), { mode: 0o600 });
  const server = await startSallyport(t, {
    workers: 1,
    config: { admin: { listen: `127.0.0.1:${port}`, tokenFile: file } },
  });
  const admin = ['--admin', `127.0.0.1:${port}`];
  t.match(await sallyport(t, ['status', '--config', server.configFile]), { code: 0, stdout: /^running/ });
  t.match(await sallyport(t, ['status', ...admin, '--token-file', file]), { code: 0, stdout: /^running/ });
  t.match(await sallyport(t, ['status', ...admin, '--token-file', other]), {
    code: 1,
    stderr: /^error: allowed: Authorization/,
  });
  t.match(await sallyport(t, ['status', ...admin]), { code: 2, stderr: /^error: --token-file: is missing/ });
});

t.test('bad usage', async (t) => {
  const dir = tempDir(t);
  writeFileSync(join(dir, 'off.yaml'), 'admin: false\n');
  writeFileSync(join(dir, 'bad.yaml'), 'admin: { listen: "0.0.0.0:1" }\n');
  const rows = [
    [['kill'], /missing required argument 'id'/],
    [['kill', 'x'], /^error: "x" is no number of a connection/],
    [['ps', '--limit', '0'], /^error: --limit: 0, allowed/],
    [['ps', '--forwards', '--user', 'a'], /^error: --forwards: /],
    [['status', '--admin', '192.0.2.1:9'], /^error: --admin: "192\.0\.2\.1:9" is no address of the loopback, allowed/],
    [['status', '--admin', 'nonsense'], /^error: --admin: "nonsense" is neither/],
    [['status', '--token-file', 'gone'], /^error: --token-file: gone is not there/],
    [['status', '--config', 'gone.yaml'], /^error: gone\.yaml: is not there/],
    [['status', '--config', 'off.yaml'], /^error: off\.yaml: admin: is false/],
    [['status', '--config', 'bad.yaml'], /^error: bad\.yaml: admin\.listen: /],
  ] as const;
  for (const [args, stderr] of rows)
    t.match(await sallyport(t, args, dir), { code: 2, stdout: '', stderr }, args.join(' '));
  // Without a config: the place of the quick start.
  t.match(await sallyport(t, ['status'], dir), {
    code: 1,
    stderr: /at unix:\S+\/\.sallyport\/admin\.sock: is it running/,
  });
});

t.test('what is no admin API', async (t) => {
  const socketPath = join(tempDir(t), 's');
  const answers = ['nonsense', '{}', '[]', '{"total":1,"connections":[{}],"silentWorkers":[]}'];
  const server = createServer((_request, response) => response.end(answers.shift())).listen(socketPath);
  t.teardown(() => server.close());
  while (answers.length > 0)
    t.match(await sallyport(t, ['ps', '--admin', `unix:${socketPath}`]), {
      code: 1,
      stderr: /is no admin API of Sallyport/,
    });
});

t.test('what answers says nothing to the terminal', async (t) => {
  const socketPath = join(tempDir(t), 's');
  const evil = '\u001b]0;owned\u0007\u009b2J\nline';
  const server = createServer((request, response) => {
    const error = { code: 'X', message: evil, ...(request.method === 'POST' ? { errors: [evil] } : {}) };
    response.writeHead(409).end(JSON.stringify({ error }));
  }).listen(socketPath);
  t.teardown(() => server.close());
  for (const command of [['status'], ['reload'], ['top', '--once']]) {
    const outcome = await sallyport(t, [...command, '--admin', `unix:${socketPath}`]);
    t.match(outcome, { code: 1, stdout: '', stderr: /\\x1b\]0;owned\\x07\\x9b2J\\x0aline\n/ }, command.join(' '));
    t.notOk(hasControl(outcome.stderr, '\n'));
  }
  const json = await sallyport(t, ['status', '--json', '--admin', `unix:${socketPath}`]);
  t.notOk(hasControl(json.stdout, '\n'));
  t.match(JSON.parse(json.stdout), { error: { message: evil } });
});

t.test('what people read', async (t) => {
  t.same([0, 999, 1_000, 1_536, 150_000, 5e9, 1e18].map(bytesText), [
    '0 B',
    '999 B',
    '1.0 KiB',
    '1.5 KiB',
    '146 KiB',
    '4.7 GiB',
    '909495 TiB',
  ]);
  t.same([0, 999, 61_000, 3_600_000, 7_380_000, 90_061_000].map(durationText), [
    '0s',
    '0s',
    '1m 1s',
    '1h',
    '2h 3m',
    '1d 1h',
  ]);
  const status: ServerStatus = {
    ...{ version: '1', node: 'v20', pid: 7, state: 'running', startedAt: '', uptimeMs: 1_000, listeners: ['a', 'b'] },
    ...{ connections: 3, unauthenticated: 1, waiting: 0, channels: 2, forwards: 1, bytesIn: 0, bytesOut: 0 },
    ...{ workers: 2, bufferedBytes: 0, penalisedSources: 4 },
    refusals: [
      { what: 'login', reason: 'UNKNOWN_USER', count: 2 },
      { what: 'channel', reason: 'OPEN_RATE', count: 9 },
    ],
  };
  t.match(statusLines(status).slice(-2), [/channel OPEN_RATE 9, login UNKNOWN_USER 2$/, /4 sources are refused/]);
  t.match(statusLines({ ...status, penalisedSources: 1 }).at(-1), /1 source is refused/);
  const one: ConnectionView = {
    ...{ id: 5, peer: 'p:1', worker: 1, state: 'open', user: 'eve\u001b[2J', client: 'SSH-2.0-x\r\ny' },
    ...{ openedAt: '', ageMs: 0, bytesIn: 0, bytesOut: 0, channelsTotal: 3, channels: [] },
  };
  const lines = connectionLines({ total: 9, connections: [one], silentWorkers: [] }, true);
  t.match(lines, [/^ID/, /^5 {3}eve\\x1b\[2J +p:1 +x\\x0d\\x0ay /, /and 3 more$/, /^and 8 more: --limit/]);
  t.notMatch(lines.join('\n'), '\u001b');
});
