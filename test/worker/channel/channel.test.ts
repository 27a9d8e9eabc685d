/** One channel, with a fake port and a fake user: RFC 4254 §5.2 and §5.3 in every order. */
import t from 'tap';
import { MSG, UINT32_MAX, WireReader } from '../../../src/shared/protocol.js';
import { Channel, type ChannelHolder, type ChannelParameters } from '../../../src/worker/channel/channel.js';
import { FakePort, FakeUser } from '../../support/fake_port.js';

class FakeHolder implements ChannelHolder {
  readonly heard: string[] = [];
  heldBytes = 0;
  block(): void {
    this.heard.push('block');
  }
  hold(bytes: number): void {
    this.heldBytes += bytes;
  }
  keep(): void {}
  touch(): void {}
  now(): number {
    return 0;
  }
  grow(): number {
    return 0;
  }
  readonly isTight = false;
  partBytes = Number.POSITIVE_INFINITY;
  shrink(): void {}
  /** Given to the user, and neither taken nor dropped since. */
  undeliveredBytes = 0;
  takenBytes = 0;
  received(bytes: number): void {
    this.undeliveredBytes += bytes;
  }
  taken(bytes: number): void {
    this.undeliveredBytes -= bytes;
    this.takenBytes += bytes;
  }
  dropped(bytes: number): void {
    this.undeliveredBytes -= bytes;
  }
  release(): void {
    this.heard.push('release');
  }
  violated(what: string): void {
    this.heard.push(`violated: ${what}`);
  }
}

function make(parameters: Partial<ChannelParameters> = {}) {
  const port = new FakePort();
  const holder = new FakeHolder();
  const channel = new Channel(port, holder, {
    id: 1,
    peerId: 9,
    sendWindowBytes: 100,
    peerMaxPacketBytes: 10,
    receiveWindowBytes: 100,
    announcedMs: 0,
    ...parameters,
  });
  return { port, holder, channel, user: new FakeUser(channel) };
}

const bytes = (text: string): Buffer => Buffer.from(text);

t.test("§5.2: data goes out in packets of the peer's size, up to its window", async (t) => {
  const { port, channel, user, holder } = make({ sendWindowBytes: 25 });
  user.toSend = 'a'.repeat(30);
  user.pump();
  t.same(port.take(), ['DATA>9 aaaaaaaaaa', 'DATA>9 aaaaaaaaaa', 'DATA>9 aaaaa']);
  t.equal(channel.writable, false);
  t.same(holder.heard, [], 'a window that is used up asks by itself: nobody waits for the transport');
  channel.onWindowAdjust(3);
  t.same(port.take(), ['DATA>9 aaa']);
  channel.onWindowAdjust(100);
  t.same(port.take(), ['DATA>9 aa']);
  t.equal(channel.bytesOut, 30);
});

t.test('§5.2: an adjust that comes while the transport takes nothing is not lost', async (t) => {
  const { port, channel, user, holder } = make({ sendWindowBytes: 0 });
  user.toSend = 'hello';
  user.pump();
  port.writable = false;
  channel.onWindowAdjust(10);
  t.same([port.take(), user.take(), holder.heard.splice(0)], [[], [], ['block']]);
  port.writable = true;
  channel.onWritable();
  t.same([port.take(), user.take()], [['DATA>9 hello'], ['writable']]);
});

t.test('a transport that stops in the middle: the rest waits for it', async (t) => {
  const { port, channel, user, holder } = make();
  port.capacityBytes = 12;
  user.toSend = 'a'.repeat(40);
  user.pump();
  t.same(port.take(), ['DATA>9 aaaaaaaaaa', 'DATA>9 aaaaaaaaaa']);
  t.same(holder.heard, ['block']);
  port.capacityBytes = 1000;
  port.writable = true;
  channel.onWritable();
  t.equal(port.take().length, 2);
});

t.test('§5.2: an adjust past 2^32-1 breaks the protocol', async (t) => {
  const { channel, holder } = make({ sendWindowBytes: 1 });
  channel.onWindowAdjust(UINT32_MAX);
  t.same(holder.heard, ['violated: window adjust past 2^32-1']);
});

t.test('§5.2: credit follows delivery, and not the end of the stream', async (t) => {
  const { port, channel, user } = make();
  channel.onData(bytes('x'.repeat(60)), null);
  t.same([port.take(), user.take().length], [[], 1]);
  channel.delivered(60);
  t.same(port.take(), ['WINDOW_ADJUST>9 60']);
  channel.onData(bytes('x'.repeat(60)), null);
  channel.onEof();
  channel.delivered(60);
  t.same(port.take(), [], 'after EOF nobody needs credit');
});

t.test('§5.2: data beyond the window breaks the protocol, stderr data counts too', async (t) => {
  const { port, channel, user, holder } = make();
  channel.onExtendedData(bytes('x'.repeat(50)));
  t.same(port.take(), ['WINDOW_ADJUST>9 50'], 'dropped, and its credit given back');
  channel.onData(bytes('x'.repeat(100)), null);
  t.same(user.take().length, 1);
  channel.onExtendedData(bytes('x'));
  channel.onData(bytes('x'), null);
  t.same(holder.heard, ['violated: data beyond the window', 'violated: data beyond the window']);
  t.same(user.take(), []);
});

t.test('§5.3: EOF ends one direction only', async (t) => {
  const { port, channel, user } = make();
  channel.onEof();
  channel.onEof();
  t.same(user.take(), ['eof']);
  user.toSend = 'answer';
  user.pump();
  channel.eof();
  channel.eof();
  t.equal(channel.writable, false);
  user.toSend = 'more';
  user.pump();
  t.same(port.take(), ['DATA>9 answer', 'EOF>9']);
});

t.test('§5.3: data after EOF closes the channel', async (t) => {
  const { port, channel, user, holder } = make();
  channel.onEof();
  user.take();
  channel.onData(bytes('late'), null);
  channel.onData(bytes('later'), null);
  t.same([port.take(), user.take(), holder.heard.splice(0)], [['CLOSE>9'], [], []]);
  channel.onPeerClose();
  t.same([user.take(), holder.heard], [['close'], ['release']]);
});

t.test('§5.3: CLOSE is answered at once, and each side sends one', async (t) => {
  await t.test('the peer first', async (t) => {
    const { port, channel, user, holder } = make();
    channel.onPeerClose();
    channel.onPeerClose();
    channel.close();
    channel.eof();
    t.same([port.take(), user.take(), holder.heard], [['CLOSE>9'], ['close'], ['release']]);
  });
  await t.test('we first', async (t) => {
    const { port, channel, user, holder } = make();
    channel.close();
    channel.close();
    t.same([port.take(), user.take(), holder.heard], [['CLOSE>9'], [], []], 'the number stays taken');
    channel.onPeerClose();
    t.same([port.take(), user.take(), holder.heard], [[], ['close'], ['release']]);
  });
  await t.test('with data, EOF, adjusts and requests that crossed ours', async (t) => {
    const { port, channel, user, holder } = make();
    channel.close();
    port.take();
    channel.onData(bytes('was under way'), null);
    channel.onWindowAdjust(5);
    channel.onRequest('x', true, Buffer.alloc(0));
    channel.onEof();
    t.same([port.take(), user.take(), holder.heard], [[], [], []]);
  });
  await t.test("data behind the peer's CLOSE breaks the protocol", async (t) => {
    const { channel, user, holder } = make();
    user.keepsNumber = true;
    channel.onPeerClose();
    channel.onData(bytes('late'), null);
    t.same(holder.heard, ['violated: data after CLOSE']);
  });
  await t.test('the number is free when its user lets go, and not before', async (t) => {
    const { channel, user, holder } = make();
    user.keepsNumber = true;
    channel.onPeerClose();
    t.same([user.take(), holder.heard], [['close'], []]);
    user.released?.();
    t.same(holder.heard, ['release']);
  });
  await t.test('a channel without a user', async (t) => {
    const port = new FakePort();
    const holder = new FakeHolder();
    const channel = new Channel(port, holder, {
      id: 1,
      peerId: 9,
      sendWindowBytes: 1,
      peerMaxPacketBytes: 1,
      receiveWindowBytes: 10,
      announcedMs: 0,
    });
    channel.onData(bytes('early'), null);
    channel.onHold();
    channel.onWritable();
    channel.onEof();
    channel.onPeerClose();
    channel.onConnectionLost();
    t.same([port.take(), holder.heard], [['CLOSE>9'], ['release']]);
  });
});

t.test('a lost connection is told once, and nothing is sent any more', async (t) => {
  const { port, channel, user } = make();
  channel.onConnectionLost();
  channel.onConnectionLost();
  channel.onPeerClose();
  channel.close();
  channel.delivered(100);
  t.same([port.take(), user.take()], [[], ['close']]);
});

t.test('§5.4: a request is answered where an answer is wanted', async (t) => {
  const { port, channel, user } = make();
  user.grants = 'yes';
  channel.onRequest('yes', true, Buffer.alloc(0));
  channel.onRequest('no', true, Buffer.alloc(0));
  channel.onRequest('yes', false, Buffer.alloc(0));
  t.same(port.take(), ['SUCCESS>9', 'FAILURE>9']);
  t.same(user.take(), ['request yes', 'request no', 'request yes']);
});

t.test('§5.4: a user that closes the channel in a request gets nothing sent behind CLOSE', async (t) => {
  const { port, channel, user } = make();
  user.onRequest = () => {
    channel.close();
    return true;
  };
  channel.onRequest('subsystem', true, Buffer.alloc(0));
  t.same(port.take(), ['CLOSE>9']);
});

t.test("§5.2: stderr goes out in packets of the peer's size, up to the window that it shares", async (t) => {
  const text = bytes('--a long text--');
  for (const [sendWindowBytes, expected] of [
    [100, ['a long te', 'xt']],
    [11, ['a long te', 'xt']],
    [3, ['a l']],
    [0, []],
  ] as const) {
    const { port, channel, holder } = make({ sendWindowBytes, peerMaxPacketBytes: 9 });
    const taken = expected.join('').length;
    t.equal(channel.writeStderr(text, 2, 13), 2 + taken, 'the offset behind the last byte taken');
    t.same(
      port.sent.map(({ type }) => type),
      expected.map(() => MSG.CHANNEL_EXTENDED_DATA),
    );
    t.same(
      port.sent.map(({ to, text }) => [to, text.slice(0, 4), text.slice(8)]),
      expected.map((part) => [9, '\0\0\0\x01', part]),
    );
    t.equal(channel.sendWindowBytes, sendWindowBytes - taken, 'and it counts');
    t.equal(channel.bytesOut, taken);
    t.equal(channel.write(text, 0, 15), Math.min(15, sendWindowBytes - taken), 'stdout has what is left');
    t.same(holder.heard, [], 'a window that is used up asks by itself');
  }
});

t.test('§5.2: stderr waits for the transport, and is over with EOF and CLOSE', async (t) => {
  const { port, channel, holder } = make();
  port.writable = false;
  t.equal(channel.writeStderr(bytes('text'), 0, 4), 0);
  t.same([port.take(), holder.heard.splice(0)], [[], ['block']]);
  port.writable = true;
  channel.eof();
  t.same([channel.writeStderr(bytes('text'), 0, 4), port.take()], [0, ['EOF>9']]);
  const closed = make();
  closed.channel.close();
  t.same([closed.channel.writeStderr(bytes('text'), 0, 4), closed.port.take()], [0, ['CLOSE>9']]);
});

t.test('§6.10: a request of ours wants no reply', async (t) => {
  const { port, channel } = make();
  const sent: Buffer[] = [];
  port.send = (payload) => sent.push(Buffer.from(payload));
  channel.request('exit-status', 1);
  const reader = new WireReader(sent[0] ?? Buffer.alloc(0), 1);
  t.same([reader.uint32(), reader.text(), reader.boolean(), reader.uint32()], [9, 'exit-status', false, 1]);
  channel.close();
  sent.length = 0;
  channel.request('exit-status', 1);
  t.same(sent, [], 'nor is there one behind CLOSE');
});
