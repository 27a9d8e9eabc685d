/** METRICS of a scripted run, by OpenSSH's client and by hand: they equal what was done, to the last byte, whatever the log is
 *  told, in one process and with workers. */
import { setImmediate as nextTurn } from 'node:timers/promises';
import t, { type Test } from 'tap';
import type { Metrics } from '../../src/master/metrics.js';
import { MSG, message } from '../../src/shared/protocol.js';
import { exchange } from '../support/bytes.js';
import { DEADLINE_MS } from '../support/deadline.js';
import { flow } from '../support/flow.js';
import { type Measured, scrape, startMeasured } from '../support/measured.js';
import {
  dataMessage,
  directOpen,
  type OpenChannel,
  openDirectChannel,
  openRefusal,
  type RawClient,
  rawClient,
} from '../support/raw_client.js';
import { asked, bindRequest } from '../support/requests.js';
import { tunnel } from '../support/ssh.js';
import { connect, freePort, startEcho } from '../support/targets.js';

const DENIED = 300; // beyond what the log tells one by one

/** Asks again and again: what the server counts is not told to anybody. Between two questions the event loop turns. */
async function until(metrics: Metrics, fits: (numbers: ReadonlyMap<string, number>) => boolean): Promise<void> {
  const end = performance.now() + DEADLINE_MS;
  for (;;) {
    const numbers = await scrape(metrics);
    if (fits(numbers)) return;
    if (performance.now() > end) throw new Error(`no such numbers: ${JSON.stringify(counted(numbers))}`);
    await nextTurn();
  }
}

/** Sends, and waits until all of it has come back. */
async function echoes(client: RawClient, channel: OpenChannel, bytes: number): Promise<void> {
  client.send(dataMessage(channel, Buffer.alloc(bytes, 'x')));
  for (let back = 0; back < bytes; ) back += (await client.take(MSG.CHANNEL_DATA)).readUInt32BE(5);
}

async function close(client: RawClient, { id, peerId }: OpenChannel): Promise<void> {
  client.send(message(MSG.CHANNEL_CLOSE, peerId));
  await client.take(MSG.CHANNEL_CLOSE, (payload) => payload.readUInt32BE(1) === id);
}

/** What differs from zero, but for what depends on time. */
function counted(numbers: ReadonlyMap<string, number>): Readonly<Record<string, number>> {
  const timed = /_seconds(_bucket|_sum|$|\{)|event_loop|buffered|build_info|native_binding|workers/;
  return Object.fromEntries([...numbers].filter(([series, value]) => value !== 0 && !timed.test(series)));
}

async function run(t: Test, server: Measured, workers: number): Promise<void> {
  const { metrics } = server.primary;
  const echo = await startEcho(t);

  const near = await freePort();
  const { client: ssh } = await tunnel(t, server, server.alice, ['-L', `${near}:127.0.0.1:${echo.port}`]);
  await exchange(await connect(t, near), 'by ssh', 100_000);

  const client = rawClient(t, server);
  await client.login('alice', server.alice);
  const channel = await openDirectChannel(client, echo.port);
  await echoes(client, channel, 5_000);
  t.match(await metrics.totals(), { bytesIn: 105_000, bytesOut: 105_000 }, 'bytes count while the channel is open');

  const stranger = rawClient(t, server);
  await stranger.refusedLogin('alice', server.bob);
  await stranger.refusedLogin('alice', { password: 'none' });
  for (let id = 1; id <= DENIED; id++) client.send(directOpen(80, { id, host: '192.0.2.1' }));
  for (let id = 1; id <= DENIED; id++) await openRefusal(client, id);
  client.send(directOpen(await freePort(), { id: 1 }));
  await openRefusal(client, 1);
  const port = await freePort();
  t.equal(await asked(client, bindRequest('localhost', port)), 0, 'granted');
  t.equal(await asked(client, bindRequest('0.0.0.0', port)), null);
  await until(
    metrics,
    (numbers) => numbers.get('sallyport_channels_closed_total{kind="direct-tcpip",reason="COMPLETE"}') === 1,
  );

  const during = {
    'sallyport_connections{state="open"}': 2,
    'sallyport_connections{state="login"}': 1,
    sallyport_connections_accepted_total: 3,
    'sallyport_refusals_total{what="channel",reason="POLICY_DENIED"}': DENIED,
    'sallyport_refusals_total{what="channel",reason="CONNECT_REFUSED"}': 1,
    'sallyport_refusals_total{what="forward",reason="POLICY_DENIED"}': 1,
    sallyport_handoff_seconds_count: 3,
    'sallyport_logins_total{method="publickey",result="accepted"}': 2,
    'sallyport_logins_total{method="publickey",result="KEY_NOT_ACCEPTED"}': 1,
    'sallyport_logins_total{method="password",result="WRONG_PASSWORD"}': 1,
    sallyport_login_seconds_count: 2,
    'sallyport_channels{kind="direct-tcpip"}': 1,
    'sallyport_channels_opened_total{kind="direct-tcpip"}': 2,
    'sallyport_channels_closed_total{kind="direct-tcpip",reason="COMPLETE"}': 1,
    'sallyport_channel_open_seconds_count{kind="direct-tcpip"}': 2,
    'sallyport_channel_bytes_total{direction="in"}': 105_000,
    'sallyport_channel_bytes_total{direction="out"}': 105_000,
    'sallyport_forwards{kind="tcpip-forward"}': 1,
    'sallyport_forwards_bound_total{kind="tcpip-forward"}': 1,
  };
  const numbers = await scrape(metrics);
  t.same(counted(numbers), during);
  t.equal(numbers.get('sallyport_workers{state="ready"}'), Math.max(1, workers));
  t.equal(numbers.get('sallyport_native_binding'), 1);
  t.match(metrics.known(), {
    ...{ channels: 1, forwards: 1 },
    refusals: [
      { what: 'channel', reason: 'POLICY_DENIED', count: DENIED },
      { what: 'channel', reason: 'CONNECT_REFUSED', count: 1 },
      { what: 'forward', reason: 'POLICY_DENIED', count: 1 },
    ],
  });

  await close(client, channel);
  client.socket.destroy();
  stranger.socket.destroy();
  await ssh.stop();
  await until(metrics, (all) => all.get('sallyport_connections_closed_total{reason="PEER_CLOSED"}') === 2);
  await until(metrics, (all) => all.get('sallyport_connections{state="open"}') === 0);
  const {
    'sallyport_connections{state="open"}': _open,
    'sallyport_connections{state="login"}': _login,
    'sallyport_channels{kind="direct-tcpip"}': _channels,
    'sallyport_forwards{kind="tcpip-forward"}': _forwards,
    ...totals
  } = during;
  t.same(counted(await scrape(metrics)), {
    ...totals,
    'sallyport_channels_closed_total{kind="direct-tcpip",reason="PEER_CLOSED"}': 1,
    'sallyport_connections_closed_total{reason="PEER_CLOSED"}': 2,
    'sallyport_connections_closed_total{reason="PEER_DISCONNECTED"}': 1,
  });
}

for (const workers of [0, 1, 2]) {
  const title = workers === 0 ? 'in one process' : `${workers} worker${workers === 1 ? '' : 's'}`;
  flow(t, `metrics equal what was done, ${title}`, { needs: ['ssh', 'ssh-keygen'] }, async (t) => {
    await run(t, await startMeasured(t, workers), workers);
  });
}

flow(t, 'what a killed worker had counted stays, and what it had is gone', { needs: ['ssh-keygen'] }, async (t) => {
  const server = await startMeasured(t, 1);
  const { metrics } = server.primary;
  const echo = await startEcho(t);
  const client = rawClient(t, server);
  await client.login('alice', server.alice);
  await echoes(client, await openDirectChannel(client, echo.port), 7_000);
  t.match(await metrics.totals(), { channels: 1, bytesIn: 7_000 });
  process.kill(server.primary.status().workers[0]?.pid ?? 0, 'SIGKILL');
  await until(metrics, (numbers) => numbers.get('sallyport_worker_restarts_total{reason="CRASHED"}') === 1);
  await until(metrics, (numbers) => numbers.get('sallyport_connections{state="open"}') === 0);
  t.match(await metrics.totals(), { channels: 0, bytesIn: 7_000, bytesOut: 7_000 });
  const numbers = await scrape(metrics);
  t.equal(numbers.get('sallyport_connections_closed_total{reason="WORKER_LOST"}'), 1);
});

flow(t, 'a worker that hangs does not keep anybody from the numbers', { needs: ['ssh-keygen'] }, async (t) => {
  const server = await startMeasured(t, 1);
  const { metrics } = server.primary;
  const echo = await startEcho(t);
  const client = rawClient(t, server);
  await client.login('alice', server.alice);
  await echoes(client, await openDirectChannel(client, echo.port), 7_000);
  t.match(await metrics.totals(), { bytesIn: 7_000 });
  const pid = server.primary.status().workers[0]?.pid ?? 0;
  process.kill(pid, 'SIGSTOP');
  const asked = performance.now();
  t.match(await metrics.totals(), { channels: 1, bytesIn: 7_000 }, 'what it has told before');
  t.ok(performance.now() - asked < 4_000, 'within a second, and some');
  process.kill(pid, 'SIGCONT');
});
