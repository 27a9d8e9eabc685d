/** METER: a channel whose user's bytes per second are limited, with purses on a clock of the test's. */
import t, { type Test } from 'tap';
import { Purse, type Purses } from '../../../src/worker/channel/purse.js';
import { ChannelTable } from '../../../src/worker/channel/table.js';
import { plenty } from '../../support/account.js';
import { FakeClock } from '../../support/fake_clock.js';
import { FakePort, FakeUser } from '../../support/fake_port.js';

function room(t: Test, { bytesPerSecond = 1_000_000, windowBytes = 1_000_000 } = {}) {
  const clock = new FakeClock();
  const newPurse = (): Purse => {
    const purse = new Purse({ onShort() {}, now: () => clock.nowMs(), after: clock.after.bind(clock) });
    purse.fullBytes = bytesPerSecond / 5;
    return purse;
  };
  const purses: Purses = { bytesPerSecond, up: newPurse(), down: newPurse() };
  const port = new FakePort();
  const violations: string[] = [];
  const table = new ChannelTable(port, {
    maxChannels: 10,
    memoryBytes: 16 * 1024 * 1024,
    account: plenty(),
    now: () => clock.nowMs(),
    violated: (what) => violations.push(what),
    purses,
  });
  const open = () => {
    const reservation = table.reserve();
    if (reservation === null) throw new Error('no room');
    t.equal(reservation.openBytes, 0, 'the peer is told of no window at first');
    const channel = table.open(reservation, { id: 9, windowBytes, maxPacketBytes: 32_768 }, clock.nowMs());
    return { channel, user: new FakeUser(channel) };
  };
  /** The other direction has what it wants. */
  const openDown = () => {
    purses.up.grant(10_000);
    const opened = open();
    port.take();
    return opened;
  };
  return { clock, purses, port, table, violations, open, openDown };
}

t.test('down: no more goes out than the purse has, and the rest when it gets more', async (t) => {
  const { purses, port, openDown } = room(t);
  const { channel, user } = openDown();
  t.equal(channel.writable, false);
  user.toSend = 'a'.repeat(30);
  user.pump();
  t.same([port.take(), channel.isThrottled], [[], true]);
  purses.down.grant(20);
  t.same(port.take(), [`DATA>9 ${'a'.repeat(20)}`]);
  t.same([channel.writable, channel.isThrottled, channel.sendWindowBytes], [false, true, 0]);
  purses.down.grant(1_000);
  t.same(port.take(), [`DATA>9 ${'a'.repeat(10)}`]);
  t.same([channel.writable, channel.isThrottled, channel.sendWindowBytes], [true, false, 990]);
  t.equal(channel.bytesOut, 30);
});

t.test('down: stderr is paid for as well, EOF and CLOSE are not', async (t) => {
  const { purses, port, openDown } = room(t);
  const { channel } = openDown();
  purses.down.grant(3);
  t.equal(channel.writeStderr(Buffer.from('hello'), 0, 5), 3);
  t.equal(port.take().length, 1);
  channel.eof();
  channel.close();
  t.same(port.take(), ['EOF>9', 'CLOSE>9']);
});

t.test('down: a channel without a window does not wait for the limit', async (t) => {
  const { purses, port, openDown } = room(t, { windowBytes: 5 });
  const { channel, user } = openDown();
  purses.down.grant(100);
  user.toSend = 'hello, world';
  user.pump();
  t.same([port.take(), channel.isThrottled], [['DATA>9 hello'], false]);
  channel.onWindowAdjust(100);
  t.same(port.take(), ['DATA>9 , world']);
});

t.test('down: a transport that takes nothing while there is something to spend, and the other way round', async (t) => {
  const { purses, port, table, openDown } = room(t);
  const { user } = openDown();
  user.toSend = 'hello';
  user.pump();
  port.writable = false;
  purses.down.grant(100);
  t.same(port.take(), []);
  port.writable = true;
  table.wake();
  t.same(port.take(), ['DATA>9 hello']);
});

t.test('up: a window opens as it is paid for, and is given back what the peer leaves', async (t) => {
  const { purses, port, open, violations } = room(t);
  const { channel, user } = open();
  t.same([port.take(), channel.isThrottled], [[], true]);
  purses.up.grant(100_000);
  t.same([port.take(), channel.isThrottled], [['WINDOW_ADJUST>9 4096'], false], 'room for a request');
  t.equal(purses.up.shortBytes, 100_000 + 4_096);
  channel.onData(Buffer.alloc(2_000), null);
  channel.delivered(2_000);
  t.same(port.take(), [], 'more than half of it is left');
  channel.onData(Buffer.alloc(2_096), null);
  channel.delivered(2_096);
  t.same(port.take(), ['WINDOW_ADJUST>9 8192'], 'twice what it has sent');
  channel.onData(Buffer.alloc(1_000), null);
  user.keepsNumber = true;
  channel.onPeerClose();
  t.equal(purses.up.available(purses.up.account(() => {})), 100_000 - 5_096);
  t.same(violations, []);
});

t.test('up: the window of a channel that sends much is a tenth of a second of the limit', async (t) => {
  const { purses, port, open } = room(t);
  const { channel } = open();
  const credits: number[] = [];
  for (let round = 0; round < 10; round++) {
    purses.up.grant(200_000);
    const credit = port.sent.splice(0).reduce((sum, { text }) => sum + Number(text), 0);
    credits.push(credit);
    for (let left = credit; left > 0; left -= 32_768) channel.onData(Buffer.alloc(Math.min(left, 32_768)), null);
    channel.delivered(credit);
  }
  t.same(credits.slice(0, 3), [4_096, 8_192, 24_576]);
  t.same(credits.slice(-2), [100_000, 100_000]);
});

t.test('up: who may not send at present is not given more than there is', async (t) => {
  const { purses, port, open, violations } = room(t, { bytesPerSecond: 1_024 });
  const { channel } = open();
  purses.up.grant(100);
  t.same(port.take(), ['WINDOW_ADJUST>9 100']);
  t.equal(channel.isThrottled, true, 'the rest of its window has to be paid for');
  channel.onData(Buffer.alloc(100), null);
  channel.delivered(100);
  t.same(port.take(), []);
  purses.up.grant(50);
  t.same(port.take(), ['WINDOW_ADJUST>9 50']);
  channel.onData(Buffer.alloc(51), null);
  t.same(violations, ['data beyond the window']);
});

t.test('up: behind EOF nothing is paid for any more', async (t) => {
  const { purses, port, open } = room(t);
  const { channel } = open();
  channel.onEof();
  purses.up.grant(100_000);
  t.same([port.take(), channel.isThrottled], [[], false]);
});

t.test('a lost connection waits for nothing', async (t) => {
  const { purses, table, port, open } = room(t);
  const { channel, user } = open();
  user.toSend = 'hello';
  user.pump();
  table.loseAll();
  t.equal(channel.isThrottled, false);
  purses.up.grant(100_000);
  purses.down.grant(100_000);
  t.same(port.take(), []);
});
