/** PRIMARY'S MAIN: signals, exit codes, inherited sockets, and what outlives the primary. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync, writeFileSync } from 'node:fs';
import net from 'node:net';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import t, { type Test } from 'tap';
import { startPrimary } from '../../src/master/main.js';
import { within } from '../support/deadline.js';
import { EventLog } from '../support/events.js';
import { FakePeer, fakeWorkerEntry } from '../support/primary_under_test.js';
import { type Running, start } from '../support/process.js';
import { tempDir } from '../support/temp.js';
import { testConfig } from '../support/test_config.js';

const entry = fileURLToPath(new URL('../support/primary_entry.js', import.meta.url));

interface Served {
  readonly program: Running;
  readonly events: EventLog;
  readonly port: number;
}

function launch(t: Test, keys: Readonly<Record<string, unknown>>, reloaded?: string): Running & { stateDir: string } {
  const stateDir = tempDir(t);
  const args = [JSON.stringify({ stateDir, ...keys }), ...(reloaded === undefined ? [] : [reloaded])];
  return Object.assign(start(t, process.execPath, [entry, ...args]), { stateDir });
}

async function serve(t: Test, keys: Readonly<Record<string, unknown>> = {}): Promise<Served> {
  const program = launch(t, keys);
  const [, port] = await program.waitFor(/port (\d+)/);
  return { program, events: new EventLog(program), port: Number(port) };
}

/** A zombie does not: in a container nobody may collect an orphan. */
function runs(pid: number): boolean {
  try {
    return !/^State:\s+Z/m.test(readFileSync(`/proc/${pid}/status`, 'utf8'));
  } catch {
    return false;
  }
}

function isRefused(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = net.connect(port, '127.0.0.1');
    socket.on('error', () => resolve(true));
    socket.on('connect', () => {
      socket.destroy();
      resolve(false);
    });
  });
}

for (const signal of ['SIGTERM', 'SIGINT'] as const)
  t.test(`${signal} drains; the last one out ends it with 0`, async (t) => {
    const { program, events, port } = await serve(t);
    await events.wait('server.listening', { address: `127.0.0.1:${port}` });
    const peer = await FakePeer.connect(t, port);
    await peer.worker();
    program.signal(signal);
    await events.wait('server.draining');
    t.equal(await peer.ask('still'), 'still');
    peer.socket.end();
    t.match(await program.exited, { code: 0 });
    t.match(events.list('server.stopped'), [{ reason: 'DRAINED' }]);
    t.equal(events.list('worker.exited', { reason: 'DRAINED' }).length, 2);
    t.same(events.otherLines, []);
    t.equal(program.stdout, `port ${port}\n`, 'stdout is not for the log');
  });

t.test('a second signal ends at once', async (t) => {
  const { program, events, port } = await serve(t, { timeouts: { drain: '10m' } });
  const peer = await FakePeer.connect(t, port);
  await peer.worker();
  program.signal('SIGTERM');
  await events.wait('server.draining');
  program.signal('SIGINT'); // SIGTERM once more, and so soon, would be the echo of the first
  t.match(await program.exited, { code: 1 });
  t.equal(await peer.line(), undefined);
  t.match(events.list('server.stopped'), [{ reason: 'KILLED' }]);
});

t.test('workers ignore all signals', async (t) => {
  const { events, port } = await serve(t);
  for (const { pid } of events.list('worker.started'))
    for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP', 'SIGUSR2'] as const) process.kill(Number(pid), signal);
  t.ok((await (await FakePeer.connect(t, port)).worker()) > 0);
  t.same(events.list('worker.exited'), []);
});

t.test('SIGHUP puts another config in force in every worker, or says what is wrong and changes nothing', async (t) => {
  const file = join(tempDir(t), 'keys.json');
  const program = launch(t, { limits: { connections: 7 } }, file);
  const [, port] = await program.waitFor(/port (\d+)/);
  const events = new EventLog(program);
  const stateDir = program.stateDir;
  const peers = [];
  for (let count = 0; count < 4; count++) peers.push(await FakePeer.connect(t, Number(port)));
  for (const peer of peers) await peer.worker();

  writeFileSync(file, JSON.stringify({ stateDir, limits: { connections: 5 }, log: { level: 'debug' } }));
  program.signal('SIGHUP');
  const { changed } = await events.wait('config.reloaded');
  t.same(new Set(Array.isArray(changed) ? changed : []), new Set(['limits', 'log']));
  for (const peer of peers) t.equal(await peer.line(), 'reload 5');

  for (const [text, reason, error] of [
    ['{', 'INTERNAL', /JSON/],
    [JSON.stringify({ stateDir: '/elsewhere' }), 'CONFIG_INVALID', /^stateDir: /],
    [JSON.stringify({ stateDir, listen: ['192.0.2.1:1025'] }), 'LISTEN_FAILED', /192\.0\.2\.1:1025 is no address/],
  ] as const) {
    writeFileSync(file, text);
    const from = events.mark();
    program.signal('SIGHUP');
    const rejected = await events.wait('config.rejected', { reason }, from);
    t.match(Array.isArray(rejected.errors) ? rejected.errors[0] : undefined, error);
  }
  t.equal(await peers[0]?.ask('still'), 'still');
  t.same(events.list('worker.exited'), []);
});

t.test('SIGHUP before the server listens waits until it does', async (t) => {
  const file = join(tempDir(t), 'keys.json');
  const program = launch(t, {}, file);
  writeFileSync(file, JSON.stringify({ stateDir: program.stateDir }));
  await program.waitFor(/worker\.started/); // its handlers stand since before that
  program.signal('SIGHUP');
  t.match(await new EventLog(program).wait('config.reloaded'), { changed: [] });
});

t.test('SIGUSR2 replaces each worker; the old ones go on with their connections and end with the last', async (t) => {
  const { program, events, port } = await serve(t);
  const old = await FakePeer.connect(t, port);
  const worker = await old.worker();
  program.signal('SIGUSR2');
  await events.waitAll(4, 'worker.started');
  await program.waitFor(/the workers are replaced/);
  await events.wait('worker.exited', { worker: worker === 1 ? 2 : 1, reason: 'DRAINED', detail: 'exit code 0' });
  t.ok((await (await FakePeer.connect(t, port)).worker()) > 2, 'whoever comes is served by a new one');
  t.equal(await old.ask('still'), 'still');
  t.match(await old.ask('lease bob 1 0 30000-30009'), '"ok":true', 'ports and all');
  t.equal(events.list('worker.exited').length, 1);
  old.socket.end();
  await events.wait('worker.exited', { worker, reason: 'DRAINED', detail: 'exit code 0' });
});

t.test('timeouts.retire bounds how long a replaced worker goes on', async (t) => {
  const { program, events, port } = await serve(t, { timeouts: { retire: '1s', drain: '0s' } });
  const old = await FakePeer.connect(t, port);
  const worker = await old.worker();
  program.signal('SIGUSR2');
  await events.wait('worker.exited', { worker, reason: 'DRAINED' });
  t.equal(await old.line(), undefined);
});

t.test('SIGTERM drains replaced workers too', async (t) => {
  const { program, port } = await serve(t, { timeouts: { drain: '10m' } });
  const old = await FakePeer.connect(t, port);
  await old.worker();
  program.signal('SIGUSR2');
  await program.waitFor(/the workers are replaced/);
  program.signal('SIGTERM');
  await program.waitFor(/server\.draining/);
  t.equal(await old.ask('still'), 'still');
  old.socket.end();
  t.match(await program.exited, { code: 0 });
});

t.test('a program that keeps the signals to itself ends the server by a call', async (t) => {
  for (const end of ['drain', 'kill'] as const) {
    const before = process.listenerCount('SIGTERM');
    const started = await startPrimary({
      config: testConfig({ stateDir: tempDir(t), log: { level: 'silent' } }),
      handler: null,
      workerEntry: fakeWorkerEntry,
      execArgv: [],
      signals: false,
    });
    t.equal(process.listenerCount('SIGTERM'), before);
    const [address] = started.addresses;
    if (address?.kind !== 'tcp') throw new Error('no TCP listener');
    const peer = await FakePeer.connect(t, address.port);
    await peer.worker();
    started[end]();
    if (end === 'drain') {
      t.equal(await peer.ask('still'), 'still', 'what runs may end');
      peer.socket.end();
    } else t.equal(await peer.line(), undefined, 'at once');
    t.equal(await within(started.exitCode, 'end of the server'), end === 'drain' ? 0 : 1);
    started[end](); // it has ended: nothing happens
  }
});

t.test('what cannot start says why and exits 1', async (t) => {
  const { port } = await serve(t);
  const second = launch(t, { listen: [`127.0.0.1:${port}`] });
  t.match(await second.exited, { code: 1 });
  t.match(second.stderr, `failed: 127.0.0.1:${port} is taken`);
  const keyless = launch(t, { hostKeys: ['/nonexistent/key'] });
  t.match(await keyless.exited, { code: 1 });
  t.match(keyless.stderr, 'failed: /nonexistent/key: no such file');
});

t.test('kill -9 of the primary: tunnels go on, nobody new, and the workers end with their last one', async (t) => {
  const { program, events, port } = await serve(t, { timeouts: { drain: '10m' } });
  const peers = [await FakePeer.connect(t, port), await FakePeer.connect(t, port)];
  for (const peer of peers) await peer.worker();
  const pids = (await events.waitAll(2, 'worker.started')).map(({ pid }) => Number(pid));
  program.signal('SIGKILL');
  for (const peer of peers) t.equal(await peer.ask('on'), 'on');
  t.equal(await peers[0]?.ask('lease alice 5 4713'), '{"ok":false,"reason":"DRAINING"}', 'every question is answered');
  await program.died;
  t.ok(await isRefused(port), 'the port is free for the next primary');
  for (const peer of peers) peer.socket.end();
  await program.exited; // its output ends when the last worker, which shares it, is gone
  for (const pid of pids) t.notOk(runs(pid), `worker ${pid} has ended`);
});

/** Its log until something stands there. */
async function heard(log: NodeJS.ReadableStream | null, until: RegExp): Promise<string> {
  let text = '';
  for await (const chunk of log ?? []) {
    text += String(chunk);
    if (until.test(text)) return text;
  }
  return text;
}

t.test('systemd socket activation: the inherited socket is used, and `listen` is not', async (t) => {
  const server = net.createServer();
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const address = server.address();
  const fd = '_handle' in server ? server._handle : undefined;
  if (address === null || typeof address === 'string' || typeof fd !== 'object' || fd === null || !('fd' in fd))
    throw new Error('no listening socket');
  // The shell becomes the server, so LISTEN_PID is its own number.
  const script = 'LISTEN_PID=$$ LISTEN_FDS=1 exec "$0" "$@"';
  const stateDir = tempDir(t);
  const reloaded = join(stateDir, 'reloaded.json');
  const keys = JSON.stringify({ stateDir, listen: ['203.0.113.7:1'] });
  const child = spawn('/bin/sh', ['-c', script, process.execPath, entry, keys, reloaded], {
    stdio: ['ignore', 'pipe', 'pipe', Number(fd.fd)],
  });
  t.teardown(() => child.kill('SIGKILL'));
  server.close(); // the child's copy lives
  const [text] = await within(once(child.stdout ?? child, 'data'), 'start');
  t.equal(String(text), `port ${address.port}\n`);
  const trusted = { address: `203.0.113.7:${address.port}`, proxyProtocol: { from: ['127.0.0.1'] } };
  writeFileSync(reloaded, JSON.stringify({ stateDir, listen: [trusted, `203.0.113.8:${address.port}`] }));
  const told = within(heard(child.stderr, /listen has changed, and nothing with it/), 'warning');
  child.kill('SIGHUP');
  t.match(await told, /file descriptor 3: nobody is a proxy here/);
  t.ok((await (await FakePeer.connect(t, address.port)).worker()) > 0);
});

t.test('a burst of connections: each is served, all workers get a share', async (t) => {
  const { port, events } = await serve(t, { limits: { startups: '1000:30:2000' } });
  const count = 200;
  const peers = await Promise.all(Array.from({ length: count }, () => FakePeer.connect(t, port)));
  const workers = await Promise.all(peers.map((peer) => peer.worker()));
  t.equal(workers.filter((worker) => worker > 0).length, count);
  // Not how large: a worker that this machine does not let run gets less, and rightly.
  for (const worker of [1, 2]) t.ok(workers.includes(worker), `share of worker ${worker}`);
  await events.waitAll(count, 'connection.accepted');
  for (const peer of peers) peer.socket.end();
});
