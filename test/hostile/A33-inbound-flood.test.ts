/** A33: strangers who flood a port that a tenant has bound with -R: many at a time, silent ones, ones that come and reset. The
 *  port's owner keeps room for its other channels, other forwards and other tenants are not touched, and when the flood is over the
 *  port serves again. Half-open connections, of which only a SYN has come, are the kernel's (tcp_syncookies) and reach nobody here. */
import type { Socket } from 'node:net';
import t, { type Test } from 'tap';
import { MSG, message, WireReader } from '../../src/shared/protocol.js';
import { startEndpoint } from '../support/endpoint_under_test.js';
import { hostile, type Scene } from '../support/hostile.js';
import { openDirectChannel, type RawClient } from '../support/raw_client.js';
import { connect, cut } from '../support/targets.js';

const AT_A_TIME = 20;
const A_SECOND = 100;
const STORM = 1_000;
/** Of a storm, under way at a time. */
const LANES = 50;

async function bindAny(client: RawClient): Promise<number> {
  client.send(message(MSG.GLOBAL_REQUEST, 'tcpip-forward', true, 'localhost', 0));
  return (await client.take(MSG.REQUEST_SUCCESS)).readUInt32BE(1);
}

/** The number of our side of the next channel that the server opens. */
async function nextOpen(client: RawClient): Promise<number> {
  const open = new WireReader(await client.take(MSG.CHANNEL_OPEN), 1);
  open.text();
  return open.uint32();
}

function confirm(client: RawClient, peerId: number): void {
  client.send(message(MSG.CHANNEL_OPEN_CONFIRMATION, peerId, peerId, 100_000, 32_768));
}

/** A visitor of that port is served. */
async function visit(t: Test, client: RawClient, port: number): Promise<void> {
  const visitor = await connect(t, port);
  const peerId = await nextOpen(client);
  confirm(client, peerId);
  visitor.write('hello');
  t.equal((await client.take(MSG.CHANNEL_DATA)).subarray(9).toString(), 'hello');
  client.send(message(MSG.CHANNEL_CLOSE, peerId));
  await cut(visitor);
  await client.take(MSG.CHANNEL_CLOSE);
}

async function tenants({ login, stranger, server }: Scene): Promise<{ alice: RawClient; bob: RawClient }> {
  const bob = stranger();
  await bob.login('bob', server.bob);
  return { alice: await login(), bob };
}

const LIMITS = { inboundPerForward: AT_A_TIME, inboundPerSecond: A_SECOND, channelsPerConnection: 64 };

hostile(t, 'A33', 'a flood of visitors on a bound port', { config: { limits: LIMITS } }, async (t, scene) => {
  await t.test('that stay', async (t) => await stay(t, scene));
  await t.test('that come and reset', async (t) => await comeAndReset(t, scene));
});

async function stay(t: Test, scene: Scene): Promise<void> {
  const { server, echoPort, mine } = scene;
  const { alice, bob } = await tenants(scene);
  const [port, other, bobs] = [await bindAny(alice), await bindAny(alice), await bindAny(bob)];
  const visitors: Socket[] = [];
  for (let count = 0; count < 3 * AT_A_TIME; count++) visitors.push(mine(await connect(t, port)));
  await Promise.all(visitors.slice(AT_A_TIME).map(cut));
  t.match(await server.events.wait('channel.refused', { user: 'alice' }), { reason: 'INBOUND_LIMIT' });
  const opens: number[] = [];
  for (let count = 0; count < AT_A_TIME; count++) opens.push(await nextOpen(alice));
  t.same(
    alice.untaken.filter((type) => type === MSG.CHANNEL_OPEN),
    [],
    'no more than those',
  );

  // Half of them are answered, and say nothing; the others wait for an answer. Each holds its place.
  for (const peerId of opens.slice(0, AT_A_TIME / 2)) confirm(alice, peerId);
  await alice.roundTrip();
  await cut(mine(await connect(t, port)));
  await visit(t, alice, other);
  await visit(t, bob, bobs);
  await openDirectChannel(alice, echoPort, { id: 9_000 });

  // One leaves: its place is another's.
  visitors[0]?.destroy();
  const [first = 0] = opens;
  await alice.take(MSG.CHANNEL_EOF, (payload) => payload.readUInt32BE(1) === first);
  alice.send(message(MSG.CHANNEL_CLOSE, first));
  await alice.take(MSG.CHANNEL_CLOSE, (payload) => payload.readUInt32BE(1) === first);
  await visit(t, alice, port);
}

async function comeAndReset(t: Test, scene: Scene): Promise<void> {
  const { server, mine } = scene;
  const { alice, bob } = await tenants(scene);
  const [port, bobs] = [await bindAny(alice), await bindAny(bob)];
  const from = server.events.mark();
  let opens = 0;
  // An owner that answers all of them, and closes what has gone.
  alice.intercept = (payload) => {
    if (payload[0] === MSG.CHANNEL_CLOSE) alice.send(message(MSG.CHANNEL_CLOSE, payload.readUInt32BE(1)));
    if (payload[0] !== MSG.CHANNEL_OPEN) return payload[0] === MSG.CHANNEL_CLOSE;
    const open = new WireReader(payload, 1);
    open.text();
    confirm(alice, open.uint32());
    opens++;
    return true;
  };
  const startedMs = performance.now();
  const storm = Array.from({ length: LANES }, async () => {
    for (let count = 0; count < STORM / LANES; count++) (await connect(t, port)).resetAndDestroy();
  });
  await visit(t, bob, bobs);
  await Promise.all(storm);
  t.match(await server.events.wait('channel.refused', { user: 'alice', reason: 'INBOUND_RATE' }, from), {
    user: 'alice',
  });
  await alice.roundTrip();
  const seconds = (performance.now() - startedMs) / 1_000;
  t.ok(opens <= A_SECOND * (2 + seconds), `${opens} of ${STORM} were opened in ${seconds.toFixed(1)} s`);
  t.notOk(alice.hasEnded || bob.hasEnded);

  // When it is over, visitors are served: those that come before one more may come are let go.
  const before = opens;
  while (opens === before) {
    const visitor = mine(await connect(t, port));
    const gone = new Promise<void>((resolve) => visitor.once('close', () => resolve()));
    await alice.roundTrip();
    visitor.destroy();
    await gone;
  }
  t.pass('one is opened again');
}

t.test('opens without an answer count as channels: beyond the limit, whoever comes is let go at once', async (t) => {
  const server = await startEndpoint(t, { config: { limits: { channelsPerConnection: 4 } } });
  const client = await server.login(t);
  const port = await bindAny(client);
  for (let count = 0; count < 4; count++) {
    await connect(t, port);
    await nextOpen(client);
  }
  await cut(await connect(t, port));
  t.match(await server.primary.wait('channel.refused'), { reason: 'CHANNEL_LIMIT' });
  t.equal(server.endpoint.load().channels, 4);
});
