/** A37: kill -9 of one worker while its tunnels carry bytes. Its connections end, visibly, and nothing else: their ports are
 *  free, another worker takes its place, and what runs on other workers goes on. */
import { once } from 'node:events';
import t, { type Test } from 'tap';
import { exchange, MIB } from '../support/bytes.js';
import { within } from '../support/deadline.js';
import type { ServerEvent } from '../support/events.js';
import { hostile } from '../support/hostile.js';
import type { Sallyport } from '../support/server.js';
import { type Tunnel, tunnel } from '../support/ssh.js';
import { connect, freePort } from '../support/targets.js';

/** Enough for each worker to hold some: dispatch goes by load. */
const TUNNELS = 6;
/** A lost worker's ports can be bound again within this time; read from the server's own clock. */
const PORTS_FREE_MS = 2_000;
/** More than is through when the worker dies. */
const STREAM_BYTES = 32 * MIB;

interface Open extends Tunnel {
  readonly port: number;
  /** Number of the connection in the server's log. */
  readonly conn: unknown;
}

async function openTunnel(t: Test, server: Sallyport, port: number, echoPort: number): Promise<Open> {
  const from = server.events.mark();
  const opened = await tunnel(t, server, server.alice, ['-R', `${port}:localhost:${echoPort}`]);
  const { conn } = await server.events.wait('auth.succeeded', { user: 'alice' }, from);
  return { ...opened, port, conn };
}

async function echoes(t: Test, port: number, what: string): Promise<void> {
  const { sent, received } = await exchange(await connect(t, port), `${what} ${port}`, 1000);
  t.same(received, sent, what);
}

/** A stream through the tunnel, under way when this resolves. Its end is `equal`, or `cut` where an error told it. */
async function startStream(t: Test, port: number): Promise<{ readonly end: Promise<'equal' | 'other' | 'cut'> }> {
  const socket = await connect(t, port);
  const end = exchange(socket, `stream ${port}`, STREAM_BYTES).then(
    ({ sent, received }) => (sent.sha256 === received.sha256 ? 'equal' : 'other'),
    () => 'cut' as const,
  );
  await within(once(socket, 'data'), 'the first bytes');
  return { end: within(end, 'end of a stream', 60_000) };
}

const OPTIONS = { processesEnd: true, bystanders: 0 }; // those of the killed worker would be cut; the others are looked at here

hostile(t, 'A37', 'kill -9 of a worker', OPTIONS, async (t, { server, workers, echoPort }) => {
  const open: Open[] = [];
  for (let count = 0; count < TUNNELS; count += 1) {
    open.push(await openTunnel(t, server, await freePort(), echoPort));
  }
  const [victim] = server.workerPids;
  if (victim === undefined) throw new Error('no worker');
  const streams = new Map(
    await Promise.all(open.map(async ({ conn, port }) => [conn, await startStream(t, port)] as const)),
  );

  const from = server.events.mark();
  process.kill(victim, 'SIGKILL');
  const exited = await server.events.wait('worker.exited', { pid: victim }, from);
  const started = await server.events.wait('worker.started', {}, from);
  t.comment(`the next worker was ready after ${timeOf(started) - timeOf(exited)} ms`);
  const closed = server.events.list('connection.closed', { reason: 'WORKER_LOST' }, from);
  const lost = open.filter(({ conn }) => closed.some((event) => event.conn === conn));
  const kept = open.filter((one) => !lost.includes(one));
  t.ok(lost.length > 0 && (kept.length > 0 || workers === 1), `${lost.length} connections lost, ${kept.length} kept`);
  t.equal(closed.length, lost.length, 'nothing else was closed, and one line tells each');
  for (const event of closed) t.ok(timeOf(event) - timeOf(exited) < PORTS_FREE_MS, 'released in time');

  for (const { conn, client, port } of lost) {
    t.match(await within(client.exited, 'end of a lost client'), { code: 255 }, 'its client ends and says so');
    t.equal(await streams.get(conn)?.end, 'cut', 'its stream does not look whole');
    await openTunnel(t, server, port, echoPort);
    await echoes(t, port, 'its port is bound again at the first try');
  }
  for (const { conn, client, port } of kept) {
    t.equal(await streams.get(conn)?.end, 'equal', 'a stream of the other worker is whole');
    await echoes(t, port, 'a tunnel of the other worker goes on');
    t.equal(client.hasExited, false);
  }
  const near = await freePort();
  await tunnel(t, server, server.bob, ['-L', `${near}:localhost:${echoPort}`]);
  await echoes(t, near, 'new logins go on');
});

function timeOf(event: ServerEvent): number {
  return Date.parse(String(event.time));
}
