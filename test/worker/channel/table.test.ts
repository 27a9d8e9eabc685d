/** The channels of one connection: numbers, turns, and what happens when too much waits for the transport. */
import fc from 'fast-check';
import t from 'tap';
import type { Channel } from '../../../src/worker/channel/channel.js';
import { ChannelTable } from '../../../src/worker/channel/table.js';
import { MIN_WINDOW_BYTES } from '../../../src/worker/channel/window.js';
import { WorkerMemory } from '../../../src/worker/memory.js';
import { FakePort, FakeUser } from '../../support/fake_port.js';

function make(options: { maxChannels?: number; memoryBytes?: number } = {}) {
  const port = new FakePort();
  const violations: string[] = [];
  const memory = new WorkerMemory({ budgetBytes: 1000 });
  const account = memory.open(() => {});
  const table = new ChannelTable(port, {
    maxChannels: 10,
    memoryBytes: 1024 * 1024,
    account,
    now: () => 0,
    violated: (what) => violations.push(what),
    ...options,
  });
  const open = (windowBytes = 1000): { channel: Channel; user: FakeUser } => {
    const reservation = table.reserve();
    if (reservation === null) throw new Error('no room');
    const channel = table.open(reservation, { id: 100 + reservation.id, windowBytes, maxPacketBytes: 1_000_000 }, 0);
    return { channel, user: new FakeUser(channel) };
  };
  return { port, violations, table, open, memory, account };
}

t.test('a number is used again when CLOSE has gone both ways, or its open has failed', async (t) => {
  const { table, open } = make();
  const [first, second] = [open(), open()];
  t.same([first.channel.id, second.channel.id], [0, 1]);
  first.channel.close();
  t.equal(open().channel.id, 2, 'our CLOSE alone frees nothing');
  first.channel.onPeerClose();
  t.equal(table.get(0), undefined);
  t.equal(open().channel.id, 0);

  const reservation = table.reserve();
  t.equal(reservation?.id, 3);
  t.equal(table.get(3), undefined, 'a number set aside has no channel yet');
  if (reservation !== null) {
    table.cancel(reservation);
    table.cancel(reservation);
  }
  t.same([open().channel.id, open().channel.id], [3, 4], 'given back once, however often it is said');
});

t.test('beyond the limit there is nothing to be had; what is set aside counts', async (t) => {
  const { table, open } = make({ maxChannels: 2 });
  const { channel } = open();
  const reservation = table.reserve();
  t.equal(table.size, 2);
  t.equal(table.reserve(), null);
  if (reservation !== null) table.cancel(reservation);
  t.ok(open());
  channel.onPeerClose();
  t.ok(table.reserve());
  t.equal(make({ maxChannels: 0 }).table.reserve(), null);
});

t.test('numbers are never shared, whatever the order', async () => {
  fc.assert(
    fc.property(fc.array(fc.nat(3), { maxLength: 200 }), (steps) => {
      const { table, open } = make({ maxChannels: 8 });
      const alive: Channel[] = [];
      for (const step of steps) {
        const oldest = alive[0];
        if (step === 0 && oldest !== undefined) {
          alive.shift();
          oldest.onPeerClose();
        } else if (step === 1) {
          const reservation = table.reserve();
          if (reservation !== null) table.cancel(reservation);
        } else if (table.size < 8) alive.push(open().channel);
        if (new Set(alive.map(({ id }) => id)).size !== alive.length || table.size !== alive.length) return false;
      }
      return alive.every((channel) => table.get(channel.id) === channel);
    }),
  );
});

t.test('packets to a peer that says it takes more carry 32 KiB', async (t) => {
  const { port, open } = make();
  const { user } = open(100_000);
  user.toSend = 'a'.repeat(70_000);
  user.pump();
  t.same(
    port.sent.map(({ text }) => text.length),
    [32_768, 32_768, 4_464],
  );
});

t.test('those who wait for the transport go on in the order in which they came', async (t) => {
  const { port, table, open } = make();
  const [a, b, c] = [open(), open(), open()];
  port.writable = false;
  for (const { user } of [b, a, c]) {
    user.toSend = 'x'.repeat(20);
    user.pump();
    user.pump();
  }
  port.writable = true;
  port.capacityBytes = 30;
  table.wake();
  t.same(
    port.sent.splice(0).map(({ to }) => to),
    [101, 100],
    'until it takes no more',
  );
  port.writable = true;
  port.capacityBytes = 1000;
  table.wake();
  t.same(
    port.sent.splice(0).map(({ to }) => to),
    [102],
  );
  table.wake();
  t.same(port.sent, []);
});

t.test('one that is not through waits behind the others', async (t) => {
  const { port, table, open } = make();
  const [a, b] = [open(), open()];
  port.writable = false;
  for (const { user } of [a, b]) {
    user.toSend = 'x'.repeat(40_000).slice(0, 900);
    user.pump();
  }
  const order: number[] = [];
  for (let turn = 0; turn < 6; turn++) {
    port.writable = true;
    port.capacityBytes = 1;
    a.user.toSend ||= 'y';
    b.user.toSend ||= 'y';
    table.wake();
    order.push(...port.sent.splice(0).map(({ to }) => to));
    port.writable = false;
    a.channel.awaitWritable();
    b.channel.awaitWritable();
  }
  t.same(order, [100, 101, 100, 101, 100, 101]);
});

t.test('past a quarter of the memory everybody pauses, and everybody goes on', async (t) => {
  const { port, table, open } = make({ memoryBytes: 4000 });
  const channels = [open(), open(), open()];
  port.writable = false;
  channels[0]?.channel.hold(1000);
  t.same(
    channels.flatMap(({ user }) => user.take()),
    [],
    'not at a quarter',
  );
  channels[1]?.channel.hold(1);
  t.same(
    channels.map(({ user }) => user.take()),
    [['hold'], ['hold'], ['hold']],
  );
  t.equal(table.heldBytes, 1001);
  port.writable = true;
  table.wake();
  t.same(
    channels.map(({ user }) => user.take()),
    [['writable'], ['writable'], ['writable']],
  );
  channels[0]?.channel.hold(-1000);
  channels[1]?.channel.hold(-1);
  t.equal(table.heldBytes, 0);
});

t.test('while the transport takes data nobody is paused: nothing would wake him', async (t) => {
  const { port, open } = make({ memoryBytes: 4000 });
  const [a, b] = [open(), open()];
  a.channel.hold(2000);
  t.same(b.user.take(), []);
  port.writable = false;
  a.channel.hold(1);
  t.same(b.user.take(), ['hold'], 'but as soon as it takes none');
});

t.test('the end of a read is told to those who got data, and not to those who have gone', async (t) => {
  const { table, open } = make();
  const [a, b, c] = [open(), open(), open()];
  a.channel.onData(Buffer.from('x'), null);
  a.channel.onData(Buffer.from('y'), null);
  c.channel.onData(Buffer.from('z'), null);
  c.channel.onPeerClose();
  table.readEnd();
  table.readEnd();
  t.same([a.user.take(), b.user.take(), c.user.take()], [['data x', 'data y', 'read end'], [], ['data z', 'close']]);
});

t.test('a lost connection ends all of them, once', async (t) => {
  const { port, table, open } = make();
  const channels = [open(), open()];
  table.loseAll();
  table.loseAll();
  t.same(
    channels.map(({ user }) => user.take()),
    [['close'], ['close']],
  );
  t.same([port.take(), table.size], [[], 0]);
});

t.test('what is held is told: from sources, from the peer, and no more when a channel has gone', async (t) => {
  const { table, open, account } = make();
  const [a, b] = [open(), open()];
  a.channel.hold(100);
  a.channel.onData(Buffer.alloc(50), null);
  b.channel.onData(Buffer.alloc(7), null);
  t.equal(account.bytes, 157);
  a.channel.delivered(20);
  a.channel.hold(-100);
  t.equal(account.bytes, 37);
  a.channel.onExtendedData(Buffer.alloc(9));
  t.equal(account.bytes, 37, 'what goes nowhere is not held');
  b.channel.close();
  b.channel.onData(Buffer.alloc(3), null);
  t.equal(account.bytes, 37, 'nor what comes too late');
  b.channel.detach();
  t.equal(account.bytes, 30);
  b.channel.delivered(7);
  t.equal(account.bytes, 30, 'once');
  a.user.keepsNumber = true;
  a.channel.onPeerClose();
  t.equal(account.bytes, 0, 'what lingers is counted elsewhere');
  open().channel.onData(Buffer.alloc(11), null);
  table.loseAll();
  t.equal(account.bytes, 0);
});

t.test('where memory is scarce windows begin small, and where it is full none begins', async (t) => {
  const { memory, table, open, account } = make();
  const other = memory.open(() => {});
  const ample = open().channel.receiveWindowBytes;
  t.equal(table.grow(1), 1);
  other.add(600);
  t.equal(open().channel.receiveWindowBytes, MIN_WINDOW_BYTES);
  t.ok(ample > MIN_WINDOW_BYTES);
  t.equal(table.grow(1), 0);
  account.add(201);
  t.same([table.isTight, table.reserve(), table.shortage], [true, null, 'RESOURCE_SHORTAGE']);
  account.add(-201);
  other.took(600);
  t.ok(table.reserve());
  t.equal(make({ maxChannels: 0 }).table.shortage, 'CHANNEL_LIMIT');
});
