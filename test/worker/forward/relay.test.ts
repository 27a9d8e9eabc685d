/** A relay between a real socket and a real channel on a fake port: both ends in every order, pressure from both, time. */
import { createHash } from 'node:crypto';
import { once } from 'node:events';
import t from 'tap';
import { wasReset } from '../../../src/shared/handles.js';
import { MSG } from '../../../src/shared/protocol.js';
import { within } from '../../support/deadline.js';
import { collected, type Joined, join, sentText, types, until } from '../../support/joined.js';
import { keyStream } from '../../support/raw_client.js';
import { cut } from '../../support/targets.js';

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

t.test('nor where the peer has ended before', async (t) => {
  const { port, channel, target, near, ended } = await join(t);
  channel.onEof();
  await within(once(target.resume(), 'end'), 'end at the target');
  near.pause();
  await new Promise((resolve) => target.write('half of the ans', resolve));
  target.resetAndDestroy();
  await new Promise((resolve) => setImmediate(resolve));
  near.resume();
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

  /** More than the kernel takes, and the end of it; the channel is closed. */
  async function overfill({ channel, near, port }: Joined): Promise<void> {
    for (let rounds = 0; near.writableLength === 0 && rounds < 20; rounds++) {
      channel.onData(Buffer.alloc(1024 * 1024), null);
      channel.onReadEnd();
      await new Promise((resolve) => setImmediate(resolve));
    }
    channel.onEof();
    channel.onPeerClose();
    port.take();
  }

  await t.test('after EOF: a worker that ends waits for a slow target until its deadline', async (t) => {
    const joined = await join(t);
    const { channel, target, buffers } = joined;
    await overfill(joined);
    const over = within(buffers.lingerers.over(60_000), 'end of the waiting');
    t.equal((await collected(target)).length, channel.bytesIn);
    target.end();
    await over;
    await buffers.lingerers.over(60_000);
  });

  await t.test('after EOF: and resets it then, for what it has is not the whole', async (t) => {
    const joined = await join(t);
    const { target, buffers, ended } = joined;
    await overfill(joined);
    await within(buffers.lingerers.over(0), 'end of the waiting');
    t.equal(await ended(), 'PEER_CLOSED');
    const end = once(target, 'end');
    target.resume();
    await within(end, 'end at the target');
    t.ok(wasReset(target), 'which libuv takes for an end');
  });

  await t.test('after EOF: a target that goes meanwhile ends the waiting', async (t) => {
    const joined = await join(t);
    const { table, target, ended } = joined;
    await overfill(joined);
    t.equal(table.size, 1);
    target.resetAndDestroy();
    t.not(await ended(), 'COMPLETE');
    t.equal(table.size, 0);
  });
});

t.test('rights that are withdrawn in the very turn in which the peer has ended: the target is reset', async (t) => {
  const { relay, channel, port, near, target, ended } = await join(t);
  await until(() => !near.isPaused(), 'start of reading');
  const closed = within(once(near, 'close'), 'close of our side');
  near.on('error', (error) => t.fail(error.message));
  channel.onEof(); // our end of stream is on its way to the kernel now
  relay.cut('RIGHTS_WITHDRAWN');
  t.equal(await ended(), 'RIGHTS_WITHDRAWN');
  t.same(port.take(), ['CLOSE>9']);
  await t.resolves(closed, 'the descriptor is not forgotten');
  const answered = new Promise((resolve) => target.write('an answer', resolve));
  t.match(await answered, { code: /EPIPE|ECONNRESET/ }, 'nobody takes what it answers');
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

t.test('a target that dies while bytes wait for the peer: they are forgotten, and the channel is closed', async (t) => {
  const { channel, table, port, target, ended } = await join(t, { maxPacketBytes: 1000 });
  port.capacityBytes = 1;
  target.write('x'.repeat(40_000));
  await until(() => table.heldBytes > 0, 'bytes that wait');
  target.resetAndDestroy();
  // It is left unread, so that only a write can find out.
  let over = false;
  void ended().then(() => {
    over = true;
  });
  for (let count = 0; !over && count < 1000; count++) {
    channel.onData(Buffer.from('x'), null);
    channel.onReadEnd();
    await new Promise((resolve) => setImmediate(resolve));
  }
  t.equal(await ended(), 'TARGET_ERROR');
  t.equal(table.heldBytes, 0);
  t.equal(types(port).at(-1), MSG.CHANNEL_CLOSE);
  port.writable = true;
  table.wake();
  t.equal(types(port).at(-1), MSG.CHANNEL_CLOSE, 'nothing behind it');
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
  await t.test('a target that was not told an end does not take what it has for the whole', async (t) => {
    for (const rests of ['open', 'half-closed by the target'] as const) {
      const timeouts = rests === 'open' ? { idleChannelMs: 50 } : { halfCloseMs: 50 };
      const { channel, target, ended } = await join(t, { timeouts });
      const reset = within(once(target.resume(), 'error'), 'reset');
      channel.onData(Buffer.from('half a sentence'), null);
      channel.onReadEnd();
      await once(target, 'data'); // libuv takes bytes and a reset that come together for bytes and an end
      if (rests !== 'open') target.end();
      t.equal(await ended(), 'IDLE_TIMEOUT');
      t.match(await reset, [{ code: 'ECONNRESET' }], rests);
    }
  });
  await t.test('nor one that has been told, where it does not take all of it', async (t) => {
    const joined = await join(t, { timeouts: { halfCloseMs: 300 } });
    const { channel, near, target, ended } = joined;
    for (let rounds = 0; near.writableLength === 0 && rounds < 20; rounds++) {
      channel.onData(Buffer.alloc(1024 * 1024), null);
      channel.onReadEnd();
      await new Promise((resolve) => setImmediate(resolve));
    }
    channel.onEof();
    t.equal(await ended(), 'IDLE_TIMEOUT');
    const end = once(target, 'end');
    t.ok((await Promise.all([collected(target), end]))[0].length < channel.bytesIn);
    t.ok(wasReset(target), 'which libuv takes for an end');
  });
  await t.test('twin: one that has been told, and has it all, gets it all', async (t) => {
    const { channel, target, ended } = await join(t, { timeouts: { halfCloseMs: 50 } });
    channel.onData(Buffer.from('a whole sentence'), null);
    channel.onReadEnd();
    channel.onEof();
    t.equal(await ended(), 'IDLE_TIMEOUT');
    let failed = false;
    target.on('error', () => {
      failed = true;
    });
    t.equal(String(await collected(target)), 'a whole sentence');
    t.notOk(failed || wasReset(target), 'it ended');
  });
  await t.test('0 is for ever: no timer runs', async (t) => {
    const { channel, near } = await join(t);
    channel.onEof();
    t.notOk(near.timeout);
  });
});
