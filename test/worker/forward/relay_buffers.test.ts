/** The read buffers that a relay writes from without a copy: kept while anything refers to them, and given back whatever
 *  happens. Content is the proof: a buffer that was written over too early changes a hash. */
import { createHash } from 'node:crypto';
import t from 'tap';
import { MSG } from '../../../src/shared/protocol.js';
import type { Channel } from '../../../src/worker/channel/channel.js';
import type { Buffers, ReadLease } from '../../../src/worker/transport/buffers.js';
import { deferred, within } from '../../support/deadline.js';
import { startEndpoint } from '../../support/endpoint_under_test.js';
import { collected, type Joined, join, until } from '../../support/joined.js';
import { dataMessage, keyStream, openDirectChannel } from '../../support/raw_client.js';
import { startEcho, startTarget } from '../../support/targets.js';

/** Puts `bytes` into a lease as a read would, and hands them to the channel in packets. */
function deliverLeased(channel: Channel, buffers: Buffers, bytes: Buffer): ReadLease {
  const lease = buffers.borrowLarge();
  if (lease === null) throw new Error('no lease');
  lease.buffer.set(bytes);
  for (let at = 0; at < bytes.length; at += 32_768)
    channel.onData(lease.buffer.subarray(at, Math.min(at + 32_768, bytes.length)), lease);
  channel.onReadEnd();
  return lease;
}

t.test('large reads are written without a copy, and kept while the kernel still has to take them', async (t) => {
  const { channel, buffers, target, near } = await join(t);
  const next = keyStream(5);
  const expected: Buffer[] = [];
  let pinned: ReadLease | null = null;
  let rounds = 0;
  for (; pinned === null && rounds < 100; rounds++) {
    const bytes = next(200_000);
    expected.push(bytes);
    const lease = deliverLeased(channel, buffers, bytes);
    if (lease.isShared) pinned = lease;
    lease.release(); // as the reader does when it takes another
    if (pinned === null) lease.buffer.fill(0); // free: the next read writes over it
    await new Promise((resolve) => setImmediate(resolve));
  }
  t.ok(pinned, 'the kernel is full after some rounds');
  t.ok(near.writableLength > 0);
  // A second read while the first is pinned is copied.
  const bytes = next(100_000);
  expected.push(bytes);
  const second = deliverLeased(channel, buffers, bytes);
  t.equal(second.isShared, false);
  second.buffer.fill(0);
  second.release();
  t.not(buffers.borrowLarge()?.buffer, pinned?.buffer, 'the pinned one is not lent again');
  channel.onEof();
  t.ok((await collected(target)).equals(Buffer.concat(expected)));
});

for (const [name, end] of [
  [
    'the target takes all of it',
    ({ target, channel }: Joined) => {
      target.resume();
      channel.onEof();
    },
  ],
  ['the target resets', ({ target }: Joined) => target.resetAndDestroy()],
  ['the peer closes', ({ channel }: Joined) => channel.onPeerClose()],
  [
    'the peer closes after EOF, the target resets',
    ({ channel, target }: Joined) => {
      channel.onEof();
      channel.onPeerClose();
      target.resetAndDestroy();
    },
  ],
  ['the connection is lost', ({ table }: Joined) => table.loseAll()],
] as const)
  t.test(`a pinned buffer comes back when ${name}`, async (t) => {
    const joined = await join(t);
    const { channel, buffers } = joined;
    let lent = 0;
    for (let pinned = false; !pinned && lent < 100; lent++) {
      const lease = deliverLeased(channel, buffers, Buffer.alloc(150_000));
      pinned = lease.isShared;
      lease.release();
      await new Promise((resolve) => setImmediate(resolve));
    }
    const available = (): number => {
      const leases: ReadLease[] = [];
      for (let lease = buffers.borrowLarge(); lease !== null; lease = buffers.borrowLarge()) leases.push(lease);
      for (const lease of leases) lease.release();
      return leases.length;
    };
    const all = available() + 1;
    end(joined);
    await until(() => available() === all, 'the buffer');
    t.pass();
  });

t.test('a slow target and bulk traffic beside it on the same SSH connection: no byte is exchanged', async (t) => {
  const server = await startEndpoint(t);
  const slowHash = createHash('sha256');
  const slowDone = deferred<void>();
  const slow = await startTarget(t, (socket) => {
    // Takes a little per turn of the event loop.
    socket.pause();
    const step = (): void => {
      const chunk: Buffer | null = socket.read();
      if (chunk !== null) slowHash.update(chunk);
      if (socket.readableEnded) slowDone.resolve();
      else setImmediate(step);
    };
    step();
  });
  const echo = await startEcho(t);
  const client = await server.login(t);
  const channels = [
    await openDirectChannel(client, slow.port, { id: 0 }),
    await openDirectChannel(client, echo.port, { id: 1 }),
  ];
  const credit = channels.map(({ windowBytes }) => windowBytes);
  const echoHash = createHash('sha256');
  const echoDone = deferred<void>();
  let wake = (): void => {};
  client.intercept = (payload) => {
    const id = payload.length >= 5 ? payload.readUInt32BE(1) : -1;
    if (payload[0] === MSG.CHANNEL_WINDOW_ADJUST) {
      credit[id] = (credit[id] ?? 0) + payload.readUInt32BE(5);
      wake();
    } else if (payload[0] === MSG.CHANNEL_DATA) echoHash.update(payload.subarray(9));
    else if (payload[0] === MSG.CHANNEL_EOF && id === 1) echoDone.resolve();
    return true;
  };
  const TOTAL_BYTES = 12 * 1024 * 1024;
  const expected = channels.map(() => createHash('sha256'));
  const left = channels.map(() => TOTAL_BYTES);
  const streams = channels.map((_, index) => keyStream(20 + index));
  while (left.some((bytes) => bytes > 0)) {
    let moved = false;
    for (const [index, channel] of channels.entries()) {
      const bytes = Math.min(32_768, left[index] ?? 0, credit[index] ?? 0);
      if (bytes === 0) continue;
      moved = true;
      const piece = streams[index]?.(bytes) ?? Buffer.alloc(0);
      expected[index]?.update(piece);
      left[index] = (left[index] ?? 0) - bytes;
      credit[index] = (credit[index] ?? 0) - bytes;
      client.send(dataMessage(channel, piece));
    }
    if (!moved)
      await within(
        new Promise<void>((resolve) => {
          wake = resolve;
        }),
        'credit',
      );
  }
  for (const channel of channels) client.send(Buffer.concat([Buffer.of(MSG.CHANNEL_EOF), uint32(channel.peerId)]));
  await within(Promise.all([slowDone.promise, echoDone.promise]), 'the end of both');
  t.same(
    [slowHash, echoHash].map((hash) => hash.digest('hex')),
    expected.map((hash) => hash.digest('hex')),
  );
});

function uint32(value: number): Buffer {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32BE(value);
  return bytes;
}
