/** A35: the log's reader stops, goes away and comes back; the log's disk is full, or the audit's; the log may not be written at all. Tunnels go
 *  on, the server ends cleanly, and each line is either read or counted as lost. The server of this row writes to a FIFO or
 *  to a device in place of the harness's pipe, so it is started here; /dev/full answers each write as a full disk does (a
 *  write that a disk takes half of is in line_sink.test). Nothing is synced, so no fsync can hang. */

import { execFileSync } from 'node:child_process';
import { existsSync, mkdirSync, readFileSync, renameSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import t, { type Test } from 'tap';
import { stringify } from 'yaml';
import { MSG, message } from '../../src/shared/protocol.js';
import { deferred, within } from '../support/deadline.js';
import { flow, ONE_AND_TWO_WORKERS } from '../support/flow.js';
import { cliEntry } from '../support/paths.js';
import { mustRun, type Running, run, start } from '../support/process.js';
import { dataMessage, type OpenChannel, openDirectChannel, type RawClient, rawClient } from '../support/raw_client.js';
import { type Login, makeLogin, type SshEndpoint } from '../support/server.js';
import { connectWhenUp, freePort, startEcho } from '../support/targets.js';
import { tempDir } from '../support/temp.js';

interface Room extends SshEndpoint {
  readonly program: Running;
  readonly alice: Login;
  /** Writes the config anew, with this audit. */
  readonly configure: (audit: string | null) => void;
}

/** @param redirect of stderr, as a shell reads it */
async function serve(t: Test, workers: number, redirect: string, audit: string | null = null): Promise<Room> {
  const dir = tempDir(t);
  const [alice, port] = await Promise.all([makeLogin(t, dir, 'alice'), freePort()]);
  const file = join(dir, 'sallyport.yaml');
  const config = (audit: string | null) => ({
    listen: [`127.0.0.1:${port}`],
    workers,
    stateDir: join(dir, 'state'),
    timeouts: { drain: '2s' },
    // The audit has what the log is not told.
    log: audit === null ? { level: 'debug', format: 'json' } : { level: 'warn', format: 'json', audit },
    users: { alice: { authorizedKeys: `${alice.keyFile}.pub`, permitOpen: ['localhost:*'] } },
  });
  const configure = (audit: string | null): void => writeFileSync(file, stringify(config(audit)));
  configure(audit);
  const args = ['-c', `exec "$@" ${redirect}`, 'sh', process.execPath, cliEntry, 'serve', '--config', file];
  const program = start(t, 'sh', args, { cwd: dir });
  return { program, alice, configure, host: '127.0.0.1', port };
}

/** There may be no log that tells when the workers are ready: until then peers wait, but not for ever. */
async function login(t: Test, room: Room): Promise<RawClient> {
  const end = performance.now() + START_MS;
  for (;;) {
    (await connectWhenUp(t, room.port)).destroy();
    const client = rawClient(t, room);
    try {
      await client.login('alice', room.alice);
      return client;
    } catch (error) {
      if (performance.now() > end) throw error;
    }
  }
}

const START_MS = 60_000;

async function echoes(t: Test, client: RawClient, channel: OpenChannel): Promise<void> {
  client.send(dataMessage(channel, 'still here'));
  const data = await client.take(MSG.CHANNEL_DATA);
  t.equal(String(data.subarray(9)), 'still here', 'the tunnel goes on');
}

/** Two lines each: `channel.opened` and `channel.closed`. */
async function openAndClose(client: RawClient, port: number, count: number): Promise<void> {
  for (let done = 0; done < count; done++) {
    const { peerId } = await openDirectChannel(client, port, { id: 7 });
    client.send(message(MSG.CHANNEL_CLOSE, peerId));
    await client.take(MSG.CHANNEL_CLOSE, (close) => close.readUInt32BE(1) === 7);
  }
}

/** Reads the FIFO by a program of its own, which can be stopped and killed. */
class Reader {
  readonly program: Running;
  readonly #lines: Readonly<Record<string, unknown>>[] = [];
  #look: () => void = () => {};

  constructor(t: Test, fifo: string) {
    this.program = start(t, 'cat', [fifo], { rawStdout: true });
    createInterface({ input: this.program.rawStdout }).on('line', (line) => {
      this.#lines.push(JSON.parse(line)); // one that does not parse fails the test
      this.#look();
    });
  }

  /** Lines of channels. */
  get channels(): number {
    return this.#lines.filter(({ event }) => String(event).startsWith('channel.')).length;
  }
  /** What the log says that it has lost since the start. */
  get dropped(): number {
    return Math.max(0, ...this.#lines.map(({ dropped }) => Number(dropped ?? 0)));
  }
  async until(probe: () => boolean): Promise<void> {
    const { promise, resolve } = deferred<void>();
    this.#look = () => {
      if (probe()) resolve();
    };
    this.#look();
    await within(promise, 'line of the log', undefined, () => JSON.stringify(this.#lines.slice(-5)));
  }
}

/** Lines of channels beyond what a pipe and its reader hold. */
const STALLED_CHANNELS = 400;
const LOST_CHANNELS = 100;

flow(
  t,
  "A35 the log's reader stops, goes away and comes back",
  { needs: ['ssh-keygen'], workers: ONE_AND_TWO_WORKERS },
  async (t, workers) => {
    const fifo = join(tempDir(t), 'log');
    await mustRun(t, 'mkfifo', [fifo]);
    const room = await serve(t, workers, `2>'${fifo}'`);
    const echo = await startEcho(t);
    const first = new Reader(t, fifo);
    const client = await login(t, room);
    const channel = await openDirectChannel(client, echo.port);
    await first.until(() => first.channels === 1);

    first.program.rawStdout.pause();
    await openAndClose(client, echo.port, STALLED_CHANNELS);
    await echoes(t, client, channel);
    first.program.rawStdout.resume();
    await first.until(() => first.channels === 1 + 2 * STALLED_CHANNELS);
    t.equal(first.dropped, 0, 'who stops for a while loses nothing');

    await first.program.stop('SIGKILL');
    await openAndClose(client, echo.port, LOST_CHANNELS);
    await echoes(t, client, channel);

    const second = new Reader(t, fifo);
    let more = 0;
    const seen = second.until(() => second.channels > 0);
    for (let found = false; !found; more++) {
      await openAndClose(client, echo.port, 1);
      found = await Promise.race([
        seen.then(() => true),
        new Promise<false>((resolve) => setImmediate(resolve, false)),
      ]);
    }
    const told = 2 * (LOST_CHANNELS + more);
    await second.until(() => second.channels + second.dropped >= told);
    t.equal(second.channels + second.dropped, told, 'each line is read, or counted as lost');
    t.ok(second.dropped >= 2 * LOST_CHANNELS);
    await echoes(t, client, channel);
    client.socket.destroy();
    t.match(await room.program.stop(), { code: 0, signal: null });
  },
);

for (const [name, redirect] of [
  ["the log's disk is full", '2>/dev/full'],
  ['the log may not be written', '2</dev/null'],
  ['there is no log', '2>&-'],
] as const)
  flow(t, `A35 ${name}`, { needs: ['ssh-keygen'], workers: ONE_AND_TWO_WORKERS }, async (t, workers) => {
    const room = await serve(t, workers, redirect);
    const echo = await startEcho(t);
    const client = await login(t, room);
    const channel = await openDirectChannel(client, echo.port);
    await openAndClose(client, echo.port, LOST_CHANNELS);
    await echoes(t, client, channel);
    room.program.signal('SIGHUP');
    const other = await login(t, room);
    await echoes(t, other, await openDirectChannel(other, echo.port));
    await echoes(t, client, channel);
    client.socket.destroy();
    t.match(await room.program.stop(), { code: 0, signal: null });
  });

/** Lines of an audit so far; what has no end yet is being written. */
function audited(file: string): Readonly<Record<string, unknown>>[] {
  const text = existsSync(file) ? readFileSync(file, 'utf8') : '';
  const whole = text.slice(0, text.lastIndexOf('\n') + 1);
  return whole.split('\n').flatMap((line) => (line === '' ? [] : [JSON.parse(line)]));
}
function channelsIn(lines: readonly Readonly<Record<string, unknown>>[]): number {
  return lines.filter(({ event }) => String(event).startsWith('channel.')).length;
}

/** Asks the file again and again: a write ends without a word. */
async function untilAudited(file: string, fits: (lines: readonly Readonly<Record<string, unknown>>[]) => boolean) {
  const end = performance.now() + START_MS;
  while (!fits(audited(file))) {
    if (performance.now() > end) throw new Error(`not in the audit: ${JSON.stringify(audited(file).slice(-5))}`);
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}

flow(t, 'A35 the audit is moved away and opened anew', { needs: ['ssh-keygen'] }, async (t, workers) => {
  const file = join(tempDir(t), 'audit.jsonl');
  const room = await serve(t, workers, '', file);
  const echo = await startEcho(t);
  const client = await login(t, room);
  await openAndClose(client, echo.port, 10);
  renameSync(file, `${file}.1`);
  await openAndClose(client, echo.port, 10);
  room.program.signal('SIGHUP');
  await untilAudited(file, (lines) => lines.some(({ event }) => event === 'config.reloaded'));
  await openAndClose(client, echo.port, 10);
  client.socket.destroy();
  t.match(await room.program.stop(), { code: 0, signal: null });
  const [old, now] = [audited(`${file}.1`), audited(file)];
  t.equal(channelsIn(old) + channelsIn(now), 60, 'each line is in one of the two');
  t.ok(channelsIn(now) >= 20);
  t.ok(
    now.some(({ event }) => event === 'config.reloaded') && now.at(-1)?.event === 'server.stopped',
    'the new one goes on to the end',
  );
  t.equal(statSync(file).mode & 0o777, 0o600);
  t.notMatch(room.program.stderr, /channel\.opened/, 'the log is not told more than its level says');
});

flow(t, "A35 the audit's disk is full, and another one is given", { needs: ['ssh-keygen'] }, async (t, workers) => {
  const file = join(tempDir(t), 'audit.jsonl');
  const room = await serve(t, workers, '', '/dev/full');
  const echo = await startEcho(t);
  const client = await login(t, room);
  const channel = await openDirectChannel(client, echo.port);
  await openAndClose(client, echo.port, LOST_CHANNELS);
  await echoes(t, client, channel);
  t.match(room.program.stderr, /log\.audit: \/dev\/full cannot be written: ENOSPC/);
  room.configure(join(file, 'no', 'folder'));
  room.program.signal('SIGHUP');
  await room.program.waitFor(/config\.rejected.*log\.audit: cannot be opened/);
  room.configure(file);
  room.program.signal('SIGHUP');
  await room.program.waitFor(/is written again; 0 lines were lost/, START_MS);
  await untilAudited(file, (lines) => channelsIn(lines) === 1 + 2 * LOST_CHANNELS);
  t.match(audited(file)[0], { event: 'worker.started' }, 'from the first line on');
  await echoes(t, client, channel);
  client.socket.destroy();
  t.match(await room.program.stop(), { code: 0, signal: null });
});

flow(
  t,
  "A35 the audit's disk is full for a while",
  { needs: ['ssh-keygen'], workers: ONE_AND_TWO_WORKERS },
  async (t, workers) => {
    const disk = join(tempDir(t), 'disk');
    mkdirSync(disk);
    const mounted = await run(t, 'mount', ['-t', 'tmpfs', '-o', 'size=128k', 'none', disk]);
    if (mounted.code !== 0) {
      t.pass('no disk of our own here: only root may mount one');
      return;
    }
    t.teardown(() => execFileSync('umount', ['-l', disk]));
    const file = join(disk, 'audit.jsonl');
    const ballast = join(disk, 'ballast');
    const room = await serve(t, workers, '', file);
    const echo = await startEcho(t);
    const client = await login(t, room);
    const channel = await openDirectChannel(client, echo.port);
    await untilAudited(file, (lines) => channelsIn(lines) === 1);
    writeFileSync(ballast, Buffer.alloc(120 * 1024)); // a page or two are left: the disk fills up within a line
    await openAndClose(client, echo.port, LOST_CHANNELS);
    await room.program.waitFor(/log\.audit: .* cannot be written: ENOSPC/);
    await echoes(t, client, channel);
    rmSync(ballast);
    await room.program.waitFor(/is written again; 0 lines were lost/, START_MS);
    await untilAudited(file, (lines) => channelsIn(lines) === 1 + 2 * LOST_CHANNELS);
    await echoes(t, client, channel);
    client.socket.destroy();
    t.match(await room.program.stop(), { code: 0, signal: null });
  },
);
