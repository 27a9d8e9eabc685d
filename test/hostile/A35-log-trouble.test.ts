/** A35: the log's reader stops, goes away and comes back; the log's disk is full; the log may not be written at all. Tunnels go
 *  on, the server ends cleanly, and each line is either read or counted as lost. The server of this row writes to a FIFO or
 *  to a device in place of the harness's pipe, so it is started here; /dev/full answers each write as a full disk does (a
 *  write that a disk takes half of is in line_sink.test). Nothing is synced, so no fsync can hang. */

import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import t, { type Test } from 'tap';
import { stringify } from 'yaml';
import { MSG, message } from '../../src/shared/protocol.js';
import { deferred, within } from '../support/deadline.js';
import { flow, ONE_AND_TWO_WORKERS } from '../support/flow.js';
import { cliEntry } from '../support/paths.js';
import { mustRun, type Running, start } from '../support/process.js';
import { dataMessage, type OpenChannel, openDirectChannel, type RawClient, rawClient } from '../support/raw_client.js';
import { type Login, makeLogin, type SshEndpoint } from '../support/server.js';
import { connectWhenUp, freePort, startEcho } from '../support/targets.js';
import { tempDir } from '../support/temp.js';

interface Room extends SshEndpoint {
  readonly program: Running;
  readonly alice: Login;
}

/** @param redirect of stderr, as a shell reads it */
async function serve(t: Test, workers: number, redirect: string): Promise<Room> {
  const dir = tempDir(t);
  const [alice, port] = await Promise.all([makeLogin(t, dir, 'alice'), freePort()]);
  const file = join(dir, 'sallyport.yaml');
  const config = {
    listen: [`127.0.0.1:${port}`],
    workers,
    stateDir: join(dir, 'state'),
    timeouts: { drain: '2s' },
    log: { level: 'debug', format: 'json' },
    users: { alice: { authorizedKeys: `${alice.keyFile}.pub`, permitOpen: ['localhost:*'] } },
  };
  writeFileSync(file, stringify(config));
  const args = ['-c', `exec "$@" ${redirect}`, 'sh', process.execPath, cliEntry, 'serve', '--config', file];
  const program = start(t, 'sh', args, { cwd: dir });
  return { program, alice, host: '127.0.0.1', port };
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
