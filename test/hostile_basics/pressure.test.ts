/** PRESSURE: peers and targets that do not read, while others do. What we hold for them stays within bounds, nobody else
 *  waits for them, and when they read again nothing is lost. */
import { createHash } from 'node:crypto';
import type { Socket } from 'node:net';
import t, { type Test } from 'tap';
import { DISCONNECT, MSG, message } from '../../src/shared/protocol.js';
import { digestOf, KIB, MIB, send } from '../support/bytes.js';
import { deferred, within } from '../support/deadline.js';
import { type EndpointUnderTest, startEndpoint } from '../support/endpoint_under_test.js';
import {
  confirmed,
  dataMessage,
  directOpen,
  keyStream,
  openDirectChannel,
  type RawClient,
} from '../support/raw_client.js';
import { startEcho, startTarget, type Target } from '../support/targets.js';

/** Sends `totalBytes` of `seed` to each that connects, and ends. */
async function startSource(t: Test, seed: string, totalBytes: number): Promise<Target> {
  return await startTarget(t, (socket) => {
    send(socket.resume(), seed, totalBytes).then(
      () => socket.end(),
      () => socket.destroy(),
    );
  });
}

/** Hashes what comes for each channel; `ended` resolves when all of them have had EOF. */
function receive(client: RawClient, channels: number): { readonly ended: Promise<Map<number, string>> } {
  const hashes = new Map<number, ReturnType<typeof createHash>>();
  const digests = new Map<number, string>();
  const { promise, resolve } = deferred<Map<number, string>>();
  client.intercept = (payload) => {
    const id = payload.length >= 5 ? payload.readUInt32BE(1) : 0;
    if (payload[0] === MSG.CHANNEL_DATA) {
      const hash = hashes.get(id) ?? createHash('sha256');
      hashes.set(id, hash.update(payload.subarray(9)));
      return true;
    }
    if (payload[0] !== MSG.CHANNEL_EOF) return false;
    digests.set(id, hashes.get(id)?.digest('hex') ?? '');
    if (digests.size === channels) resolve(digests);
    return true;
  };
  return { ended: within(promise, `EOF of ${channels} channels`, 60_000) };
}

/** Lets the server work until it holds as much as it is going to: until that has not changed for many turns, in each of
 *  which another connection was served. */
async function settled(server: EndpointUnderTest, bystander: RawClient): Promise<number> {
  let held = -1;
  for (let same = 0; same < 50; ) {
    await bystander.roundTrip();
    const { bufferedBytes } = server.endpoint.load();
    same = bufferedBytes > 0 && bufferedBytes === held ? same + 1 : 0;
    held = bufferedBytes;
  }
  return held;
}

t.test('a peer that does not read, with a fast target', async (t) => {
  const server = await startEndpoint(t);
  const bystander = await server.login(t);
  const source = await startSource(t, 'fast', 40 * MIB);
  const client = await server.login(t);
  const { ended } = receive(client, 1);
  await openDirectChannel(client, source.port);
  client.socket.pause();
  const held = await settled(server, bystander);
  // The mark, a slab of which little is used, and one read.
  t.ok(held <= 1.25 * MIB, `${held} bytes are held`);
  t.equal(server.endpoint.load().connections, 2);
  client.socket.resume();
  t.equal((await ended).get(0), digestOf('fast', 40 * MIB).sha256, 'all of it arrives when the peer reads again');
});

t.test('a peer that does not read, with 300 fast targets: all pause, and all go on', async (t) => {
  const server = await startEndpoint(t, { config: { limits: { memoryPerConnection: '1MiB' } } });
  const bystander = await server.login(t);
  const source = await startSource(t, 'one of many', 200 * KIB);
  const client = await server.login(t);
  const { ended } = receive(client, 300);
  for (let id = 0; id < 300; id++) client.send(directOpen(source.port, { id }));
  client.socket.pause();
  const held = await settled(server, bystander);
  // The socket's own queue, a quarter of the budget, and what the reads under way brought beyond that.
  t.ok(held <= 2 * MIB, `${held} bytes are held`);
  client.socket.resume();
  const digests = await ended;
  const expected = digestOf('one of many', 200 * KIB).sha256;
  t.same([digests.size, new Set(digests.values())], [300, new Set([expected])]);
});

t.test('channels whose windows are used up hold up no other channel', async (t) => {
  const server = await startEndpoint(t, { config: { limits: { memoryPerConnection: '1MiB' } } });
  const stuck = await startSource(t, 'stuck', MIB);
  const live = await startTarget(t, (socket) => {
    socket.once('data', () => {
      send(socket, 'live', MIB).then(
        () => socket.end(),
        () => socket.destroy(),
      );
    });
  });
  const client = await server.login(t);
  const channel = await openDirectChannel(client, live.port);
  // A window of one byte: the rest of the first read is held, 16 KiB each, far more than a quarter of the budget together.
  const stuckIds = Array.from({ length: 40 }, (_, index) => index + 1);
  for (const id of stuckIds) client.send(directOpen(stuck.port, { id, windowBytes: 1 }));
  for (const id of stuckIds) await client.take(MSG.CHANNEL_DATA, (payload) => payload.readUInt32BE(1) === id);
  t.ok(server.endpoint.load().bufferedBytes > 256 * KIB);
  const { ended } = receive(client, 1);
  client.send(dataMessage(channel, 'go'));
  t.equal((await ended).get(0), digestOf('live', MIB).sha256);
});

/** Some hundred thousand messages, sealed and opened in this one process, until the kernel's buffers and ours are full. */
const FLOOD_MS = 120_000;

// Global requests that nobody knows have a bound of their own: A30.
t.test('a peer that does not read and asks for answers without end is cut', async (t) => {
  const server = await startEndpoint(t);
  const bystander = await server.login(t);
  const { port } = await startEcho(t);
  for (const [name, make] of [
    ['channel requests', (peerId: number) => message(MSG.CHANNEL_REQUEST, peerId, 'x', true)],
    ['opens', () => message(MSG.CHANNEL_OPEN, 'unknown', 1, 1000, 1000)],
  ] as const)
    await t.test(name, async (t) => {
      const client = await server.login(t);
      const channel = await openDirectChannel(client, port);
      client.socket.pause();
      const closed = server.primary.wait('connection.closed', ({ reason }) => reason === 'OVERFLOW', FLOOD_MS);
      const request = make(channel.peerId);
      const gone = closed.then(() => true);
      let most = 0;
      for (let over = false; !over; ) {
        for (let count = 0; count < 2_000 && !client.socket.destroyed; count++) client.send(request);
        await bystander.roundTrip();
        most = Math.max(most, server.endpoint.load().bufferedBytes);
        over = await Promise.race([gone, Promise.resolve(false)]);
      }
      t.ok(most <= 2 * MIB, `${most} bytes were held`);
      server.primary.events.length = 0;
      t.equal(server.endpoint.load().connections, 1);
    });
  await t.resolves(bystander.roundTrip());
});

t.test(
  'a target that does not read keeps what was sent before EOF and CLOSE, and that counts as a channel',
  async (t) => {
    const server = await startEndpoint(t, { config: { limits: { channelsPerConnection: 2 } } });
    const targets: Socket[] = [];
    const { port } = await startTarget(t, (socket) => targets.push(socket.pause()));
    const client = await server.login(t);
    for (const id of [0, 1]) {
      const channel = await openDirectChannel(client, port, { id });
      let credit = channel.windowBytes;
      client.intercept = (payload) => {
        if (payload[0] !== MSG.CHANNEL_WINDOW_ADJUST) return false;
        credit += payload.readUInt32BE(5);
        return true;
      };
      for (let turns = 0; turns < 20; turns++) {
        turns = credit > 0 ? 0 : turns;
        for (; credit > 0; credit -= 32_768) client.send(dataMessage(channel, Buffer.alloc(Math.min(credit, 32_768))));
        await client.roundTrip();
      }
      client.send(message(MSG.CHANNEL_EOF, channel.peerId));
      client.send(message(MSG.CHANNEL_CLOSE, channel.peerId));
      await client.take(MSG.CHANNEL_CLOSE);
    }
    client.intercept = () => false;
    t.equal(server.endpoint.load().channels, 2, 'a peer cannot fill our memory channel by channel');
    client.send(directOpen(port, { id: 2 }));
    t.ok(await client.take(MSG.CHANNEL_OPEN_FAILURE));
    t.same(server.primary.list('channel.closed'), [], 'it is not over yet');
    targets[0]?.resetAndDestroy();
    await server.primary.wait('channel.closed');
    await client.roundTrip();
    t.ok(await openDirectChannel(client, port, { id: 3 }), 'when it is, there is room again');
  },
);

t.test('RFC 4253 §9: a peer that asks for new keys all the time is cut', async (t) => {
  const server = await startEndpoint(t);
  const client = await server.login(t);
  for (let count = 1; count <= 10; count++) {
    await client.rekey();
    t.equal(client.rekeys, count);
  }
  client.rekey().catch(() => {});
  t.match(await client.ended, { reason: DISCONNECT.PROTOCOL_ERROR, text: 'too many key exchanges' });
});

t.test('RFC 4253 §9: new keys every 64 KiB, at the wish of the server, lose nothing either way', async (t) => {
  const server = await startEndpoint(t, { config: { rekey: { bytes: '64KiB' } } });
  const { port } = await startEcho(t);
  for (const cipher of ['aes128-gcm@openssh.com', 'chacha20-poly1305@openssh.com', 'aes128-ctr'])
    await t.test(cipher, async (t) => {
      const client = await server.login(t, { cipher });
      const channels = await Promise.all(
        [0, 1].map((id) => {
          client.send(directOpen(port, { id }));
          return confirmed(client, id);
        }),
      );
      const { ended } = receive(client, 2);
      const expected = channels.map((channel) => {
        const hash = createHash('sha256');
        const next = keyStream(channel.id + 1);
        for (let sent = 0; sent < MIB; sent += 10_000) {
          const bytes = next(10_000);
          hash.update(bytes);
          client.send(dataMessage(channel, bytes));
        }
        client.send(message(MSG.CHANNEL_EOF, channel.peerId));
        return hash.digest('hex');
      });
      const digests = await ended;
      t.same([digests.get(0), digests.get(1)], expected);
      t.ok(client.rekeys >= 3, `${client.rekeys} key exchanges`);
    });
});
