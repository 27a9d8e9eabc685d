/** The channels that we open, with a fake port and fake time: silence above all. The rest stands in
 *  hostile_basics/forwarded, with real sockets. */
import { mock } from 'node:test';
import t, { type Test } from 'tap';
import { MSG } from '../../../src/shared/protocol.js';
import type { Channel } from '../../../src/worker/channel/channel.js';
import { ChannelTable, type PeerSide } from '../../../src/worker/channel/table.js';
import { InboundOpens } from '../../../src/worker/connection/opens.js';
import { plenty } from '../../support/account.js';
import { FakePort, FakeUser } from '../../support/fake_port.js';

function make(t: Test, { maxChannels = 2, memoryBytes = 1024 * 1024, now = (): number => 0 } = {}) {
  mock.timers.enable({ apis: ['setTimeout'] });
  t.teardown(() => mock.timers.reset());
  const port = new FakePort();
  const table = new ChannelTable(port, { maxChannels, memoryBytes, account: plenty(), now, violated: t.fail });
  const opens = new InboundOpens(table, port);
  const outcomes: string[] = [];
  const open = (): void =>
    opens.open('forwarded-tcpip', ['localhost', 1, '127.0.0.1', 2], (channel: Channel | null, why?: string) => {
      outcomes.push(channel === null ? (why ?? '') : `channel ${channel.id}`);
    });
  return { port, table, opens, outcomes, open };
}

const peer: PeerSide = { id: 9, windowBytes: 1000, maxPacketBytes: 1000 };

t.test('no answer within 30 seconds: given up once; the number stays taken until the peer answers', async (t) => {
  for (const [name, answer] of [
    ['yes', (opens: InboundOpens) => opens.onConfirmation(0, peer)],
    ['no', (opens: InboundOpens) => opens.onFailure(0)],
  ] as const)
    await t.test(`late ${name}`, async (t) => {
      const { port, table, opens, outcomes, open } = make(t);
      open();
      mock.timers.tick(29_999);
      t.same(outcomes, []);
      mock.timers.tick(1);
      t.same(outcomes, ['PEER_SILENT']);
      t.equal(table.size, 1, 'else the answer would meet another channel');
      port.take();
      answer(opens);
      t.same(outcomes, ['PEER_SILENT'], 'nobody is told twice');
      if (name === 'no') t.equal(table.size, 0);
      else {
        t.same(port.take(), ['CLOSE>9']);
        t.equal(table.size, 1);
        table.get(0)?.onData(Buffer.from('what it had to say'), null);
        table.get(0)?.onPeerClose();
        t.same([port.take(), table.size], [[], 0]);
      }
    });
});

t.test('an answer in time stops the clock', async (t) => {
  const { outcomes, opens, open } = make(t);
  open();
  opens.onConfirmation(0, peer);
  open();
  opens.onFailure(1);
  mock.timers.tick(100_000);
  t.same(outcomes, ['channel 0', 'PEER_REFUSED']);
});

t.test('no room', async (t) => {
  const { outcomes, port, open } = make(t, { maxChannels: 0 });
  open();
  t.same([outcomes, port.take()], [['CHANNEL_LIMIT'], []]);
});

t.test('a lost connection ends what waits, and what was given up is not told again', async (t) => {
  const { outcomes, opens, open } = make(t);
  open();
  mock.timers.tick(30_000);
  open();
  opens.close();
  opens.close();
  mock.timers.tick(100_000);
  t.same(outcomes, ['PEER_SILENT', 'CONNECTION_LOST']);
});

t.test(
  'a window that went out with our open grows with the path, though data stand right behind the answer',
  async (t) => {
    let nowMs = 0;
    const { port, table, opens, open } = make(t, { memoryBytes: 16 * 1024 * 1024, now: () => nowMs });
    open();
    nowMs = 100;
    opens.onConfirmation(0, peer);
    const channel = table.get(0);
    if (channel === undefined) throw new Error('no channel');
    const firstBytes = channel.receiveWindowBytes;
    const user = new FakeUser(channel);
    user.onData = (bytes: Buffer): void => channel.delivered(bytes.length);
    port.take();
    let credit = firstBytes;
    for (let trip = 0; trip < 3; trip++) {
      for (; credit >= 32 * 1024; credit -= 32 * 1024) channel.onData(Buffer.alloc(32 * 1024), null);
      for (const { type, text } of port.sent.splice(0)) if (type === MSG.CHANNEL_WINDOW_ADJUST) credit += Number(text);
      nowMs += 100;
    }
    t.ok(channel.receiveWindowBytes > firstBytes);
  },
);
