/** The session that only says why there is none: with a fake port. Its way over the wire stands in hostile_basics/requests. */
import t from 'tap';
import type { AuditEvent } from '../../../src/shared/log.js';
import { message } from '../../../src/shared/protocol.js';
import { ChannelTable } from '../../../src/worker/channel/table.js';
import { NoShellSession } from '../../../src/worker/connection/session.js';
import { FakePort } from '../../support/fake_port.js';

function make(text = 'no shell') {
  const port = new FakePort();
  const table = new ChannelTable(port, { maxChannels: 1, memoryBytes: 1024 * 1024, violated() {} });
  const reservation = table.reserve();
  if (reservation === null) throw new Error('no room');
  const channel = table.open(reservation, { id: 9, windowBytes: 1000, maxPacketBytes: 1000 });
  const events: AuditEvent[] = [];
  const refused: string[] = [];
  new NoShellSession(channel, text, { onEvent: (event) => events.push(event), now: () => 0 }, (what) =>
    refused.push(what),
  );
  const ask = (name: string): void => channel.onRequest(name, true, Buffer.alloc(0));
  return { port, table, channel, ask, refused, closed: () => events.filter(({ event }) => event === 'channel.closed') };
}

t.test('the answer to the request goes before all that follows from it', async (t) => {
  const { port, ask } = make();
  ask('shell');
  await Promise.resolve();
  t.match(port.take(), [
    'SUCCESS>9',
    /^EXTENDED_DATA>9 .*no shell\n$/s,
    /^REQUEST>9 .*exit-status/s,
    'EOF>9',
    'CLOSE>9',
  ]);
});

t.test('what was refused is told by its name', async (t) => {
  const { channel, ask, refused } = make();
  channel.onRequest('subsystem', true, message(0, 'sf\ntp').subarray(1));
  ask('env');
  ask('exec');
  t.same(refused, ['subsystem sf\\x0atp', 'exec']);
});

t.test('it is said once', async (t) => {
  const { port, ask } = make();
  ask('exec');
  ask('shell');
  t.same(port.take(), ['SUCCESS>9', 'FAILURE>9']);
});

t.test('a terminal wants both line ends, in every line, once', async (t) => {
  const { port, ask } = make('one\ntwo\r\nthree');
  ask('pty-req');
  ask('shell');
  await Promise.resolve();
  t.match(port.take()[2], /one\r\ntwo\r\nthree\r\n$/);
});

t.test('what the peer types is thrown away, and its credit given back', async (t) => {
  const { port, channel } = make();
  channel.onData(Buffer.alloc(channel.receiveWindowBytes), null);
  t.same(port.take(), [`WINDOW_ADJUST>9 ${channel.receiveWindowBytes}`]);
});

t.test('its end is told once, with the number free', async (t) => {
  const { table, channel, ask, closed } = make();
  ask('shell');
  await Promise.resolve();
  t.same([closed().length, table.size], [0, 1]);
  channel.onPeerClose();
  channel.onConnectionLost();
  t.match(closed(), [{ destination: 'session', reason: 'COMPLETE' }]);
  t.equal(table.size, 0);
});

t.test('a peer that leaves before it was told', async (t) => {
  const { port, channel, ask } = make();
  ask('shell');
  channel.onPeerClose(); // in the same read
  port.take();
  await Promise.resolve();
  t.same(port.take(), []);
});
