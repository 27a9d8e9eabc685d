/** A19: peers that never read while their targets send as fast as they can, and targets that never read while their peers
 *  send. What is held stays within the budget, only who does not read is cut, and nobody else waits.
 *
 *  The row's 1,000 readers are 40 for each worker here, and their budget is as much smaller. A19_READERS=1000 and
 *  A19_BUDGET_MIB=256 make them what the row says, with one worker; each takes some MiB of the kernel's memory on loopback. */
import { createHash } from 'node:crypto';
import t, { type Test } from 'tap';
import { percentile } from '../../src/load/percentiles.js';
import { MSG, message } from '../../src/shared/protocol.js';
import { startAccepting } from '../support/accepting.js';
import { Credit } from '../support/credit.js';
import { deferred, within } from '../support/deadline.js';
import { ONE_AND_TWO_WORKERS } from '../support/flow.js';
import { hostile, settles } from '../support/hostile.js';
import { dataMessage, directOpen, type OpenChannel, openDirectChannel, type RawClient } from '../support/raw_client.js';
import { residentBytes } from '../support/resident.js';
import { startTarget, type Target } from '../support/targets.js';

const MIB = 1024 * 1024;
const IS_AS_THE_ROW_SAYS = process.env.A19_READERS !== undefined;
const READERS = Number(process.env.A19_READERS ?? 40);
const BUDGET_MIB = Number(process.env.A19_BUDGET_MIB ?? 16);
const OPEN_ALL_MS = 120_000;
/** Beside the bytes that are held: code that is compiled meanwhile, the heap, buffers that are kept for the next flow. */
const BESIDE_MIB = 64;

hostile(
  t,
  'A19',
  'peers that never read: no more than the budget, and nobody else waits',
  {
    // Who does not read answers no keepalive either: it is memory that is to tell here, and not time.
    config: {
      limits: { memoryPerWorker: `${BUDGET_MIB}MiB` },
      timeouts: { keepalive: 'off', stalledWrite: '10m', drain: '2s' },
    },
    users: { alice: { limits: { connections: 10_000 } } },
    workers: IS_AS_THE_ROW_SAYS ? [1] : ONE_AND_TWO_WORKERS,
    timeoutMs: 170_000 + 200 * READERS,
  },
  async (t, { server, login, stranger, workers, echoPort }) => {
    const source = await startEndless(t);
    const bob = stranger();
    await bob.login('bob', server.bob);
    const echo = await openDirectChannel(bob, echoPort);
    const clients: RawClient[] = [];
    for (let count = 0; count < READERS * workers; count++) clients.push(await login());
    const alone = await roundTrips(bob, echo);
    const before = server.workerPids.map(residentBytes);
    const from = server.events.mark();
    for (const client of clients) {
      client.send(directOpen(source.port, { id: 1, windowBytes: 0xffff_ffff }));
      client.socket.pause();
    }
    // More than one user may have: connections of his are cut until what is left is within it. A larger budget does for all.
    if (IS_AS_THE_ROW_SAYS)
      await server.events.waitAll(clients.length, 'channel.opened', { user: 'alice' }, from, OPEN_ALL_MS);
    else await server.events.wait('connection.closed', { reason: 'OVERFLOW' }, from);
    const beside = await roundTrips(bob, echo);
    const grown = server.workerPids.map((pid, index) => (residentBytes(pid) - (before[index] ?? 0)) / MIB);
    const ended = server.events.list('connection.closed', {}, from);
    t.comment(
      `${clients.length} readers, ${workers} x ${BUDGET_MIB} MiB: workers grown by ${grown.map(Math.round).join(' and ')} MiB, ` +
        `${ended.length} connections cut; a bystander's echo in ms (all in one process here), alone: ${alone}, beside them: ${beside}`,
    );
    t.ok(Math.max(...grown) <= BUDGET_MIB + BESIDE_MIB, `grown by ${grown.map(Math.round).join(' and ')} MiB`);
    t.same(
      ended.filter(({ user, reason }) => user !== 'alice' || reason !== 'OVERFLOW'),
      [],
      'nobody else is cut, and for no other reason',
    );
    for (const client of clients) client.socket.destroy();
    await settles(() => server.events.list('connection.closed', {}, from).length === clients.length);
    const late = await openDirectChannel(await login(), echoPort, { id: 2 });
    t.ok(late.windowBytes >= MIB, 'when they have gone, windows are what they were');
  },
);

const TRIPS = 200;

/** One byte there and back, again and again. @returns the median and the 99th percentile, for the reader of the log */
async function roundTrips(client: RawClient, channel: OpenChannel): Promise<string> {
  const ms: number[] = [];
  for (let trip = 0; trip < TRIPS; trip++) {
    const startMs = performance.now();
    client.send(dataMessage(channel, 'x'));
    await client.take(MSG.CHANNEL_DATA);
    ms.push(performance.now() - startMs);
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
  const [median, most] = [0.5, 0.99].map((part) => (percentile(ms, part * 100) ?? 0).toFixed(1));
  return `median ${median}, p99 ${most}`;
}

hostile(
  t,
  'A19',
  'a peer that takes no byte for the time allowed is the one that is cut',
  { config: { timeouts: { stalledWrite: '1s' } } },
  async (t, { server, login, echoPort }) => {
    const source = await startEndless(t);
    const neighbour = await login();
    const channel = await openDirectChannel(neighbour, echoPort);
    const client = await login();
    await openDirectChannel(client, source.port);
    const from = server.events.mark();
    client.socket.pause();
    await server.events.wait('connection.closed', { reason: 'WRITE_STALLED' }, from);
    t.equal(server.events.list('connection.closed', {}, from).length, 1);
    neighbour.send(message(MSG.CHANNEL_DATA, channel.peerId, 'still here'));
    t.equal((await neighbour.take(MSG.CHANNEL_DATA)).subarray(9).toString(), 'still here');
  },
);

hostile(
  t,
  'A19',
  'targets that never read: the peer gets no more credit, and what was sent arrives when they do',
  { config: { limits: { memoryPerConnection: '1MiB' } } },
  async (t, { login }) => {
    const { port, accepted } = await startAccepting(t);
    const client = await login();
    const channel = await openDirectChannel(client, port);
    const target = (await accepted()).pause();
    const sentHash = createHash('sha256');
    const credit = new Credit(client, channel);
    const sent = await credit.exhaust(() => client.roundTrip(), { onSent: (bytes) => sentHash.update(bytes) });
    t.ok(sent < 32 * MIB, `${Math.round(sent / MIB)} MiB are in kernels and windows`);
    client.send(message(MSG.CHANNEL_EOF, channel.peerId));
    const takenHash = createHash('sha256');
    let taken = 0;
    const end = deferred<void>();
    target.on('data', (chunk: Buffer) => {
      taken += chunk.length;
      takenHash.update(chunk);
    });
    target.once('end', () => end.resolve()).resume();
    await within(end.promise, 'end at the target');
    t.same([taken, takenHash.digest('hex')], [sent, sentHash.digest('hex')]);
  },
);

/** Sends zeros to each that connects, as fast as it is let. */
async function startEndless(t: Test): Promise<Target> {
  const block = Buffer.alloc(64 * 1024);
  return await startTarget(t, (socket) => {
    const send = (): void => {
      while (!socket.destroyed && socket.write(block));
    };
    socket.on('drain', send).resume();
    send();
  });
}
