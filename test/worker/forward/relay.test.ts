/** A relay between a real socket and a real channel on a fake port: both ends in every order, and pressure from both. */
import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { connect, createServer, type Socket } from 'node:net';
import t, { type Test } from 'tap';
import type { RelayEnd } from '../../../src/shared/errors.js';
import { adoptHandle, takeHandle } from '../../../src/shared/handles.js';
import { MSG } from '../../../src/shared/protocol.js';
import type { Channel } from '../../../src/worker/channel/channel.js';
import { ChannelTable } from '../../../src/worker/channel/table.js';
import { Relay, type RelayTimeouts } from '../../../src/worker/forward/relay.js';
import { Buffers, type ReadLease } from '../../../src/worker/transport/buffers.js';
import { deferred, within } from '../../support/deadline.js';
import { startEndpoint } from '../../support/endpoint_under_test.js';
import { FakePort } from '../../support/fake_port.js';
import { dataMessage, keyStream, openDirectChannel } from '../../support/raw_client.js';
import { cut, startEcho, startTarget } from '../../support/targets.js';

interface Joined {
  readonly channel: Channel;
  readonly table: ChannelTable;
  readonly port: FakePort;
  readonly buffers: Buffers;
  /** The relay's end of the connection to the target. */
  readonly near: Socket;
  /** The target's end; paused. */
  readonly target: Socket;
  readonly ends: RelayEnd[];
  readonly ended: () => Promise<RelayEnd>;
}

async function join(
  t: Test,
  options: {
    readonly timeouts?: Partial<RelayTimeouts>;
    readonly windowBytes?: number;
    readonly maxPacketBytes?: number;
    readonly path?: string;
    /** Before the relay starts. */
    readonly prepare?: (joined: { near: Socket; target: Socket; port: FakePort }) => Promise<void> | void;
  } = {},
): Promise<Joined> {
  const buffers = new Buffers();
  const port = new FakePort();
  const table = new ChannelTable(port, { maxChannels: 1, memoryBytes: 16 * 1024 * 1024, violated: t.fail });
  const reservation = table.reserve();
  if (reservation === null) throw new Error('no room');
  const { windowBytes = 100 * 1024 * 1024, maxPacketBytes = 32_768 } = options;
  const channel = table.open(reservation, { id: 9, windowBytes, maxPacketBytes });
  const ends: RelayEnd[] = [];
  const ended = deferred<RelayEnd>();
  const relay = new Relay(buffers, { halfCloseMs: 0, idleChannelMs: 0, ...options.timeouts }, (end) => {
    ends.push(end);
    ended.resolve(end);
  });
  const server = createServer({ pauseOnConnect: true, allowHalfOpen: true }).listen(0, '127.0.0.1');
  await once(server, 'listening');
  const accepting = once(server, 'connection');
  const address = server.address();
  const target = connect({
    port: address !== null && typeof address === 'object' ? address.port : 0,
    host: '127.0.0.1',
    allowHalfOpen: true,
  });
  target.on('error', () => {});
  await once(target, 'connect');
  const [accepted]: Socket[] = await accepting;
  const handle = accepted === undefined ? undefined : takeHandle(accepted);
  if (handle === undefined) throw new Error('no connection');
  const near = adoptHandle(handle, { paused: true, onread: relay.onread });
  near.on('error', () => {});
  t.teardown(() => {
    near.destroy();
    target.destroy();
    server.close();
  });
  await options.prepare?.({ near, target, port });
  relay.start(channel, near);
  return { channel, table, port, buffers, near, target, ends, ended: () => within(ended.promise, 'end of the relay') };
}

/** Everything that reaches the target until its end. */
function collected(target: Socket): Promise<Buffer> {
  const chunks: Buffer[] = [];
  target.on('data', (chunk: Buffer) => chunks.push(chunk));
  return within(
    once(target, 'end').then(() => Buffer.concat(chunks)),
    'end at the target',
  );
}

/** Resolves when `probe` holds; looks once per turn of the event loop. */
async function until(probe: () => boolean, what: string): Promise<void> {
  const looking = async (): Promise<void> => {
    while (!probe()) await new Promise((resolve) => setImmediate(resolve));
  };
  await within(looking(), what);
}

const types = (port: FakePort): number[] => port.sent.map(({ type }) => type);
const sentText = (port: FakePort): string =>
  port.sent
    .filter(({ type }) => type === MSG.CHANNEL_DATA)
    .map(({ text }) => text)
    .join('');

t.test('RFC 4254 §5.3: each direction ends by itself', async (t) => {
  await t.test('the target first', async (t) => {
    const { channel, table, port, target, near, ended } = await join(t);
    target.end('answer');
    await until(() => types(port).includes(MSG.CHANNEL_EOF), 'EOF');
    t.same(port.take(), ['DATA>9 answer', 'EOF>9']);
    const question = collected(target);
    channel.onData(Buffer.from('question'), null);
    channel.onReadEnd();
    channel.onEof();
    t.equal((await question).toString(), 'question');
    t.equal(await ended(), 'COMPLETE');
    t.same(port.take(), ['CLOSE>9']);
    t.equal(table.size, 1);
    channel.onPeerClose();
    t.equal(table.size, 0);
    t.ok(near.destroyed);
  });

  await t.test('the peer first', async (t) => {
    const { channel, port, target, ended } = await join(t);
    channel.onData(Buffer.from('question'), null);
    channel.onReadEnd();
    channel.onEof();
    t.equal((await collected(target)).toString(), 'question');
    t.same(port.take(), [], 'the other direction goes on');
    target.end('answer');
    t.equal(await ended(), 'COMPLETE');
    t.same(port.take(), ['DATA>9 answer', 'EOF>9', 'CLOSE>9']);
  });

  await t.test('both at once', async (t) => {
    const { channel, port, target, ended } = await join(t);
    target.resume().end();
    channel.onEof();
    t.equal(await ended(), 'COMPLETE');
    t.same(port.take(), ['EOF>9', 'CLOSE>9']);
  });
});

t.test('a target that resets ends the channel without EOF: what came is not the whole', async (t) => {
  const { channel, port, target, near, ended, ends } = await join(t);
  await until(() => !near.isPaused(), 'start of reading');
  target.resetAndDestroy();
  t.equal(await ended(), 'TARGET_ERROR');
  t.same(port.take(), ['CLOSE>9']);
  channel.onData(Buffer.from('was under way'), null);
  channel.onReadEnd();
  channel.onPeerClose();
  t.same(ends, ['TARGET_ERROR'], 'told once');
});

t.test('a reset that comes together with the last bytes is no end of the stream either', async (t) => {
  const { port, ended } = await join(t, {
    async prepare({ target, near }) {
      await new Promise((resolve) => target.write('half of the ans', resolve));
      target.resetAndDestroy();
      // Until the kernel has both: a write of ours fails then. It stays unread so far.
      await new Promise((resolve) => setImmediate(resolve));
      t.equal(near.bytesRead, 0);
    },
  });
  t.equal(await ended(), 'TARGET_ERROR');
  t.notOk(types(port).includes(MSG.CHANNEL_EOF));
  t.equal(types(port).at(-1), MSG.CHANNEL_CLOSE);
});

t.test('a target that is gone before the relay begins', async (t) => {
  const { port, ended } = await join(t, {
    async prepare({ near }) {
      near.destroy();
      await once(near, 'close');
    },
  });
  t.equal(await ended(), 'TARGET_ERROR');
  t.same(port.take(), ['CLOSE>9']);
});

t.test('the peer goes', async (t) => {
  await t.test('without EOF: the target is reset', async (t) => {
    const { channel, table, target, ended, ends } = await join(t);
    const reset = within(once(target.resume(), 'error'), 'reset');
    channel.onData(Buffer.from('half a sentence'), null);
    channel.onReadEnd();
    await once(target, 'data'); // libuv takes bytes and a reset that come together for bytes and an end
    channel.onPeerClose();
    t.match(await reset, [{ code: 'ECONNRESET' }]);
    t.equal(await ended(), 'PEER_CLOSED');
    t.equal(table.size, 0);
    channel.onConnectionLost();
    t.same(ends, ['PEER_CLOSED']);
  });

  await t.test('with its connection', async (t) => {
    const { table, target, ended } = await join(t);
    table.loseAll();
    t.equal(await ended(), 'PEER_CLOSED');
    await cut(target);
  });

  await t.test('after EOF: a slow target gets all that was sent, and the number stays taken until then', async (t) => {
    const { channel, table, port, target, near, ended, ends } = await join(t);
    const bytes = keyStream(1)(channel.receiveWindowBytes);
    let credit = 0;
    // More than the kernel takes: credit comes back for that part.
    for (let rounds = 0; near.writableLength === 0 && rounds < 20; rounds++) {
      channel.onData(rounds === 0 ? bytes : Buffer.alloc(Math.min(credit, bytes.length), 1), null);
      channel.onReadEnd();
      await new Promise((resolve) => setImmediate(resolve));
      credit = port.sent.reduce(
        (sum, { type, text }) => sum + (type === MSG.CHANNEL_WINDOW_ADJUST ? Number(text) : 0),
        0,
      );
      port.take();
      if (credit === 0) break;
    }
    t.ok(near.writableLength > 0, `${near.writableLength} bytes wait in our socket`);
    const { bytesIn } = channel;
    channel.onEof();
    channel.onPeerClose();
    t.same([port.take(), table.size, ends], [['CLOSE>9'], 1, []]);
    target.write('an answer that nobody takes');
    const received = await collected(target);
    t.equal(received.length, bytesIn);
    t.ok(received.subarray(0, bytes.length).equals(bytes));
    target.end();
    await ended();
    t.same([port.take(), table.size, ends.length], [[], 0, 1]);
  });

  await t.test('after EOF: a target that goes meanwhile ends the waiting', async (t) => {
    const { channel, table, port, target, near, ended } = await join(t);
    for (let rounds = 0; near.writableLength === 0 && rounds < 20; rounds++) {
      channel.onData(Buffer.alloc(1024 * 1024), null);
      channel.onReadEnd();
      await new Promise((resolve) => setImmediate(resolve));
    }
    channel.onEof();
    channel.onPeerClose();
    port.take();
    t.equal(table.size, 1);
    target.resetAndDestroy();
    t.not(await ended(), 'COMPLETE');
    t.equal(table.size, 0);
  });
});

t.test("RFC 4254 §5.2: credit only for what the target's socket has taken", async (t) => {
  const { channel, port, target, near } = await join(t);
  const granted = (): number =>
    port.sent.reduce((sum, { type, text }) => sum + (type === MSG.CHANNEL_WINDOW_ADJUST ? Number(text) : 0), 0);
  const window = channel.receiveWindowBytes;
  const next = keyStream(2);
  const hash = createHash('sha256');
  let given = 0;
  for (let idle = 0; idle < 50; idle++) {
    const bytes = Math.min(32_768, window + granted() - given);
    if (bytes > 0) {
      idle = 0;
      given += bytes;
      const piece = next(bytes);
      hash.update(piece);
      channel.onData(piece, null);
      channel.onReadEnd();
    }
    await new Promise((resolve) => setImmediate(resolve));
    if (granted() > given - near.writableLength) t.fail('credit for bytes that wait');
    if (given - granted() > window) t.fail('more than the window');
  }
  t.ok(near.writableLength <= window, `${near.writableLength} bytes wait`);
  t.ok(given > window, 'the kernel took some, which opened the window again');
  channel.onEof();
  t.equal(
    createHash('sha256')
      .update(await collected(target))
      .digest('hex'),
    hash.digest('hex'),
  );
});

t.test('a peer that does not take data: the target is left unread, and what was read waits', async (t) => {
  await t.test('since its socket is full', async (t) => {
    const { channel, table, port, target, near } = await join(t, { windowBytes: 0xffff_ffff });
    port.capacityBytes = 300_000;
    const bytes = Buffer.alloc(8 * 1024 * 1024, 'abcdefghijklm');
    target.end(bytes);
    await until(() => !port.writable, 'a full socket');
    const { bytesRead } = near;
    for (let turns = 0; turns < 20; turns++) await new Promise((resolve) => setImmediate(resolve));
    t.equal(near.bytesRead, bytesRead, 'nothing more is read');
    t.ok(table.heldBytes <= 256 * 1024, `${table.heldBytes} bytes are kept`);
    t.equal(sentText(port).length + table.heldBytes, bytesRead, 'and each byte is accounted for');
    while (!types(port).includes(MSG.CHANNEL_EOF)) {
      if (!port.writable) {
        port.capacityBytes = 100_000;
        port.writable = true;
        table.wake();
      }
      await new Promise((resolve) => setImmediate(resolve));
    }
    t.ok(Buffer.from(sentText(port)).equals(bytes));
    t.equal(table.heldBytes, 0);
    t.equal(channel.bytesOut, bytes.length);
  });

  await t.test('since its window is used up: no more than the smallest read is kept', async (t) => {
    const { channel, table, port, target } = await join(t, { windowBytes: 200_001 });
    const bytes = Buffer.alloc(2 * 1024 * 1024, 'abcdefghijklm');
    target.end(bytes);
    await until(() => sentText(port).length === 200_001, 'a window that is used up');
    for (let turns = 0; turns < 20; turns++) await new Promise((resolve) => setImmediate(resolve));
    t.ok(table.heldBytes <= 16 * 1024, `${table.heldBytes} bytes are kept`);
    for (let given = 200_001; given < bytes.length; given += 100_000) {
      channel.onWindowAdjust(100_000);
      await new Promise((resolve) => setImmediate(resolve));
    }
    await until(() => types(port).includes(MSG.CHANNEL_EOF), 'EOF');
    t.ok(Buffer.from(sentText(port)).equals(bytes));
  });

  await t.test('from the beginning: nothing is read at all', async (t) => {
    const { channel, port, target, near } = await join(t, { windowBytes: 0 });
    target.write('hello');
    for (let turns = 0; turns < 20; turns++) await new Promise((resolve) => setImmediate(resolve));
    t.equal(near.bytesRead, 0);
    channel.onWindowAdjust(100);
    await until(() => sentText(port) === 'hello', 'hello');
  });

  await t.test('when all have to pause', async (t) => {
    const { channel, port, target, near } = await join(t);
    await new Promise((resolve) => setImmediate(resolve)); // it reads
    channel.onHold();
    target.write('hello');
    for (let turns = 0; turns < 20; turns++) await new Promise((resolve) => setImmediate(resolve));
    t.equal(near.bytesRead, 0);
    channel.onWritable();
    await until(() => sentText(port) === 'hello', 'hello');
  });
});

t.test('a peer that closes while bytes wait for it: they are forgotten', async (t) => {
  const { channel, table, port, target, ended } = await join(t, { maxPacketBytes: 1000 });
  port.capacityBytes = 1;
  target.write('x'.repeat(40_000));
  await until(() => table.heldBytes > 0, 'bytes that wait');
  channel.onPeerClose();
  await ended();
  t.equal(table.heldBytes, 0);
});

t.test('time', async (t) => {
  await t.test('a channel that rests too long', async (t) => {
    const { port, near, ended } = await join(t, { timeouts: { idleChannelMs: 50 } });
    t.equal(await ended(), 'IDLE_TIMEOUT');
    t.same(port.take(), ['CLOSE>9']);
    t.ok(near.destroyed);
  });
  await t.test('a half-closed one, from either side', async (t) => {
    for (const side of ['peer', 'target']) {
      const { channel, target, ended } = await join(t, { timeouts: { halfCloseMs: 50 } });
      if (side === 'peer') channel.onEof();
      else target.end();
      t.equal(await ended(), 'IDLE_TIMEOUT', side);
    }
  });
  await t.test('0 is for ever: no timer runs', async (t) => {
    const { channel, near } = await join(t);
    channel.onEof();
    t.notOk(near.timeout);
  });
});

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
