/** WORKER LOSS: kill -9 of one worker ends its connections, visibly, and nothing else. */
import t, { type Test } from 'tap';
import { exchange } from '../support/bytes.js';
import { within } from '../support/deadline.js';
import { flow } from '../support/flow.js';
import { type Sallyport, startSallyport } from '../support/server.js';
import { type Tunnel, tunnel } from '../support/ssh.js';
import { connect, cut, freePort, startEcho } from '../support/targets.js';

const NEEDS = ['ssh', 'ssh-keygen'] as const;
/** Enough for each worker to hold some: dispatch goes by load. */
const TUNNELS = 6;
/** A lost worker's ports can be bound again within this time; read from the server's own clock. */
const PORTS_FREE_MS = 2_000;

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

flow(t, 'kill -9 of a worker', { needs: NEEDS, workers: [2] }, async (t, workers) => {
  const server = await startSallyport(t, { workers });
  const echo = await startEcho(t);
  const open: Open[] = [];
  for (let count = 0; count < TUNNELS; count += 1) {
    open.push(await openTunnel(t, server, await freePort(), echo.port));
  }
  const [victim] = server.workerPids;
  if (victim === undefined) throw new Error('no worker');
  const sockets = new Map(await Promise.all(open.map(async (one) => [one.conn, await connect(t, one.port)] as const)));

  const from = server.events.mark();
  process.kill(victim, 'SIGKILL');
  const exited = await server.events.wait('worker.exited', { pid: victim }, from);
  await server.events.wait('worker.started', {}, from);
  const closed = server.events.list('connection.closed', { reason: 'WORKER_LOST' }, from);
  const lost = open.filter(({ conn }) => closed.some((event) => event.conn === conn));
  const kept = open.filter((one) => !lost.includes(one));
  t.ok(lost.length > 0 && kept.length > 0, `${lost.length} connections lost, ${kept.length} kept`);
  t.equal(closed.length, lost.length, 'nothing else was closed');
  for (const event of closed) {
    t.ok(Date.parse(String(event.time)) - Date.parse(String(exited.time)) < PORTS_FREE_MS, 'released in time');
  }

  for (const { conn, client, port } of lost) {
    t.match(await within(client.exited, 'end of a lost client'), { code: 255 }, 'its client ends and says so');
    const socket = sockets.get(conn);
    if (socket !== undefined) await cut(socket);
    await openTunnel(t, server, port, echo.port);
    await echoes(t, port, 'its port is bound again at the first try');
  }
  for (const { client, port } of kept) {
    await echoes(t, port, 'a tunnel of the other worker goes on');
    t.equal(client.hasExited, false);
  }
  const near = await freePort();
  await tunnel(t, server, server.bob, ['-L', `${near}:localhost:${echo.port}`]);
  await echoes(t, near, 'new logins go on');
});
