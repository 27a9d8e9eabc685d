/** What waits for a target: few writes in its socket's queue, one piece behind them, and everything in order. */
import t from 'tap';
import { collected, type Joined, join, until } from '../../support/joined.js';

/** Writes until the kernel takes no more. @returns how much that was */
async function fill({ channel, near }: Joined): Promise<number> {
  let bytes = 0;
  for (; near.writableLength === 0 && bytes < 64 * 1024 * 1024; bytes += 32_768) {
    channel.onData(Buffer.alloc(32_768), null);
    channel.onReadEnd();
    await new Promise((resolve) => setImmediate(resolve));
    if (channel.receiveWindowBytes < 32_768) break;
  }
  return bytes;
}

t.test('byte by byte to a target that does not read: the socket queues no more than a few of them', async (t) => {
  const joined = await join(t);
  const { channel, near, target, ended } = joined;
  const filled = await fill(joined);
  const queued = near.writableLength;
  t.ok(queued > 0);
  const text = 'abcdefghij'.repeat(1_000);
  for (const byte of text) channel.onData(Buffer.from(byte), null);
  channel.onReadEnd();
  t.ok(near.writableLength - queued <= 64, `${near.writableLength - queued} bytes in its queue`);
  channel.onEof();
  t.notOk(near.writableEnded, 'the end waits behind them');
  const all = await collected(target);
  t.equal(all.subarray(filled).toString(), text);
  target.end();
  t.equal(await ended(), 'COMPLETE');
});

t.test('what waits is counted until the target has it, and also beyond the end of its channel', async (t) => {
  const joined = await join(t);
  const { channel, account, near, target, ended } = joined;
  await fill(joined);
  const before = account.bytes;
  const queued = near.writableLength;
  for (let count = 0; count < 1_000; count++) channel.onData(Buffer.from('x'), null);
  channel.onReadEnd();
  t.equal(account.bytes - before, 1_000);
  channel.onEof();
  let lingering = 0;
  const { linger } = account;
  account.linger = (bytes) => {
    lingering += bytes;
    return linger.call(account, bytes);
  };
  channel.onPeerClose();
  t.equal(account.bytes, 0, 'no longer the connection’s');
  t.equal(lingering, queued + 1_000, 'but that of the worker');
  target.resume().end();
  await ended();
});

t.test('a target that goes away: nothing is counted any more', async (t) => {
  const joined = await join(t);
  const { channel, account, target, ended } = joined;
  await fill(joined);
  for (let count = 0; count < 1_000; count++) channel.onData(Buffer.from('x'), null);
  channel.onReadEnd();
  target.resetAndDestroy();
  t.equal(await ended(), 'TARGET_ERROR');
  t.equal(account.bytes, 0);
  channel.onData(Buffer.from('late'), null);
  await until(() => account.bytes === 0, 'nothing held');
});
