/** A41: no descriptors are left. What is new is refused, each by an explicit answer or a closed connection; what runs goes on;
 *  nobody spins; and with the first free descriptor all is as before. The limit is taken from the running processes, so that
 *  the moment is the test's. A fork fails by the same lack: the process table cannot be filled by a test that runs as root.
 *  ENFILE, ENOBUFS and EADDRNOTAVAIL take the same ways as EMFILE does (a failed accept, dial or bind), and cannot be had
 *  for one process alone. */
import { readFileSync } from 'node:fs';
import t from 'tap';
import { MSG, message } from '../../src/shared/protocol.js';
import { exchange } from '../support/bytes.js';
import { hostile } from '../support/hostile.js';
import { takeOpenFiles } from '../support/open_files.js';
import { dataMessage, directOpen, openDirectChannel, openRefusal } from '../support/raw_client.js';
import type { Sallyport } from '../support/server.js';
import { tunnel } from '../support/ssh.js';
import { connect, cut, freePort } from '../support/targets.js';

const TICKS_PER_SECOND = 100; // USER_HZ, the same on every Linux

/** Seconds of CPU that a process has used. */
function cpuSecondsOf(pid: number): number {
  const fields = readFileSync(`/proc/${pid}/stat`, 'utf8').split(') ')[1]?.split(' ') ?? [];
  return (Number(fields[11]) + Number(fields[12])) / TICKS_PER_SECOND;
}

const NEEDS = { needs: ['prlimit'] } as const;

hostile(t, 'A41', 'workers without descriptors', NEEDS, async (t, { server, mine, login, stranger, echoPort }) => {
  const client = await login();
  const channel = await openDirectChannel(client, echoPort, { id: 1 });
  const port = await freePort();
  client.send(message(MSG.GLOBAL_REQUEST, 'tcpip-forward', true, 'localhost', port));
  await client.take(MSG.REQUEST_SUCCESS);
  const other = await freePort();
  const from = server.events.mark();
  const workers = server.workerPids;
  const give = await Promise.all(workers.map((pid) => takeOpenFiles(t, pid)));
  const before = workers.map(cpuSecondsOf);
  const sinceMs = performance.now();

  client.send(directOpen(echoPort, { id: 2 }));
  t.ok(await openRefusal(client, 2), 'a channel is refused');
  client.send(message(MSG.GLOBAL_REQUEST, 'tcpip-forward', true, 'localhost', other));
  await client.take(MSG.REQUEST_FAILURE);
  await cut(await connect(t, port));
  await t.rejects(stranger().ready, 'a new connection is closed');
  await server.events.wait('connection.refused', { reason: 'HANDOFF_FAILED' }, from);
  client.send(dataMessage(channel, 'on'));
  t.equal((await client.take(MSG.CHANNEL_DATA)).subarray(9).toString(), 'on', 'what runs goes on');

  await new Promise((resolve) => setTimeout(resolve, 1_000)); // long enough for one that spins to be seen
  const seconds = (performance.now() - sinceMs) / 1_000;
  for (const [at, pid] of workers.entries()) {
    const used = cpuSecondsOf(pid) - (before[at] ?? 0);
    t.ok(used < seconds / 2, `worker ${pid} used ${used} s of CPU in ${seconds} s`);
  }

  for (const back of give) await back();
  t.ok(await openDirectChannel(client, echoPort, { id: 3 }), 'a channel is opened');
  client.send(message(MSG.GLOBAL_REQUEST, 'tcpip-forward', true, 'localhost', other));
  await client.take(MSG.REQUEST_SUCCESS);
  const visitor = mine(await connect(t, other));
  await client.take(MSG.CHANNEL_OPEN);
  visitor.destroy();
  const next = stranger();
  await t.resolves(next.ready, 'a new connection is served');
});

hostile(
  t,
  'A41',
  'a primary without descriptors, for connections and for workers',
  { ...NEEDS, processesEnd: true, bystanders: 0 },
  async (t, { server, workers, echoPort, stranger }) => {
    const near = await freePort();
    await tunnel(t, server, server.alice, ['-L', `${near}:localhost:${echoPort}`]);
    const open = await connect(t, near);
    const from = server.events.mark();
    const give = await takeOpenFiles(t, server.pid);
    const before = cpuSecondsOf(server.pid);
    const sinceMs = performance.now();

    await t.rejects(stranger().ready, 'a new connection is closed');
    const idle = workers === 1 ? undefined : server.workerPids.find((pid) => pid !== holderOf(server));
    if (idle !== undefined) {
      process.kill(idle, 'SIGKILL');
      await server.events.wait('worker.exited', { reason: 'START_FAILED' }, from); // its successor could not be forked
    }
    await new Promise((resolve) => setTimeout(resolve, 1_000)); // long enough for one that spins to be seen
    const used = cpuSecondsOf(server.pid) - before;
    const seconds = (performance.now() - sinceMs) / 1_000;
    t.ok(used < seconds / 2, `the primary used ${used} s of CPU in ${seconds} s`);

    await give();
    if (idle !== undefined) await server.events.wait('worker.started', {}, from);
    const { sent, received } = await exchange(open, 'goes on', 1_000);
    t.same(received, sent, 'what ran has run on');
    await t.resolves(stranger().ready, 'new connections are served');
  },
);

/** The worker that has alice's connection. */
function holderOf(server: Sallyport): number | undefined {
  const { conn } = server.events.list('auth.succeeded', { user: 'alice' })[0] ?? {};
  const { worker } = server.events.list('connection.accepted', { conn: Number(conn) })[0] ?? {};
  return Number(server.events.list('worker.started', { worker: Number(worker) })[0]?.pid); // not in the order of their numbers
}
