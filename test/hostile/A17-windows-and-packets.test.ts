/** A17: windows and packet sizes at their edges. A size that carries nothing is refused, a window of nothing holds the data, an
 *  overflow ends the connection, credit for a channel that has gone is passed over; and a peer that sends byte by byte to a
 *  target that does not read costs its bytes, not an object for each. */
import t from 'tap';
import { DISCONNECT, MSG, message, OPEN_FAILURE, UINT32_MAX } from '../../src/shared/protocol.js';
import { startAccepting } from '../support/accepting.js';
import { Credit } from '../support/credit.js';
import { hostile } from '../support/hostile.js';
import { dataMessage, directOpen, openDirectChannel, openRefusal, type RawClient } from '../support/raw_client.js';
import { residentBytes } from '../support/resident.js';
import { startTarget } from '../support/targets.js';

const MIB = 1024 * 1024;

hostile(t, 'A17', 'packet sizes', {}, async (t, { login, echoPort }) => {
  const client = await login();
  for (const maxPacketBytes of [0, 1, 255]) {
    client.send(directOpen(echoPort, { id: 9, maxPacketBytes }));
    t.match(await openRefusal(client, 9), { reason: OPEN_FAILURE.RESOURCE_SHORTAGE }, `${maxPacketBytes} is refused`);
  }
  for (const maxPacketBytes of [256, 32_768, UINT32_MAX]) {
    const channel = await openDirectChannel(client, echoPort, { id: 9, maxPacketBytes });
    for (const byte of [1, 2]) client.send(dataMessage(channel, Buffer.alloc(32_768, byte)));
    t.ok(
      (await largestOf(client, 9, 65_536)) <= Math.min(maxPacketBytes, 32_768),
      `${maxPacketBytes}: none larger than it, or than 32 KiB`,
    );
    client.send(message(MSG.CHANNEL_CLOSE, channel.peerId));
    await client.take(MSG.CHANNEL_CLOSE);
  }
  const channel = await openDirectChannel(client, echoPort);
  client.send(dataMessage(channel, Buffer.alloc(32_768)));
  await largestOf(client, 0, 32_768);
  client.send(dataMessage(channel, Buffer.alloc(32_769)));
  t.match(await client.ended, { reason: DISCONNECT.PROTOCOL_ERROR, text: 'packet too large' });

  const stderr = async (bytes: number): Promise<RawClient> => {
    const other = await login();
    const { peerId } = await openDirectChannel(other, echoPort);
    other.send(message(MSG.CHANNEL_EXTENDED_DATA, peerId, 1, Buffer.alloc(bytes)));
    return other;
  };
  await t.resolves((await stderr(32_768)).roundTrip(), 'nor may data for stderr be larger');
  const { ended } = await stderr(32_769);
  t.match(await ended, { reason: DISCONNECT.PROTOCOL_ERROR, text: 'packet too large' });
});

hostile(t, 'A17', 'windows of 0, 1 and 2^32-1, and credit for nobody', {}, async (t, { server, login, echoPort }) => {
  const { port } = await startTarget(t, (socket) => void socket.write('hello'));
  const client = await login();
  const channel = await openDirectChannel(client, port, { windowBytes: 0 });
  await client.roundTrip();
  t.notOk(client.untaken.includes(MSG.CHANNEL_DATA), 'a window of 0 holds the data');
  for (const [credit, text] of [
    [1, 'h'],
    [3, 'ell'],
    [UINT32_MAX, 'o'],
  ] as const) {
    client.send(message(MSG.CHANNEL_WINDOW_ADJUST, channel.peerId, credit));
    t.equal((await client.take(MSG.CHANNEL_DATA)).subarray(9).toString(), text);
  }
  client.send(message(MSG.CHANNEL_WINDOW_ADJUST, 77, 1));
  client.send(message(MSG.CHANNEL_CLOSE, channel.peerId));
  client.send(message(MSG.CHANNEL_WINDOW_ADJUST, channel.peerId, UINT32_MAX));
  await client.take(MSG.CHANNEL_CLOSE);
  await t.resolves(client.roundTrip(), 'credit for channels that are not, or not any more, is passed over');
  const from = server.events.mark();
  const full = await openDirectChannel(client, echoPort, { id: 1, windowBytes: UINT32_MAX });
  client.send(message(MSG.CHANNEL_WINDOW_ADJUST, full.peerId, 1));
  t.match(await client.ended, { reason: DISCONNECT.PROTOCOL_ERROR, text: 'window adjust past 2^32-1' });
  await server.events.wait('connection.closed', { reason: 'PROTOCOL_ERROR' }, from);
  t.equal(server.events.list('connection.closed', {}, from).length, 1, 'one line tells it');
});

hostile(
  t,
  'A17',
  'byte by byte to a target that does not read: bytes are held, not packets',
  { workers: [1] },
  async (t, scene) => {
    const { port, accepted } = await startAccepting(t);
    const client = await scene.login();
    const channel = await openDirectChannel(client, port);
    const target = (await accepted()).pause();
    const credit = new Credit(client, channel);
    const least = channel.windowBytes / 8;
    const before = await credit.exhaust(() => client.roundTrip(), { least });
    const [pid = 0] = scene.server.workerPids;
    const resident = residentBytes(pid);
    const small = credit.bytes;
    t.ok(small >= least);
    for (let sent = 0; sent < small; ) {
      for (let count = 0; count < 5_000 && sent < small; count++, sent++) client.send(dataMessage(channel, 'x'));
      await client.roundTrip();
    }
    const grown = residentBytes(pid) - resident;
    t.ok(grown < 40 * MIB, `${small} packets of a byte cost ${Math.round(grown / MIB)} MiB`);
    client.send(message(MSG.CHANNEL_EOF, channel.peerId));
    let received = 0;
    let wrong = 0;
    target.on('data', (chunk: Buffer) => {
      const ofOurs = chunk.subarray(Math.max(0, before - received));
      received += chunk.length;
      for (const byte of ofOurs) if (byte !== 0x78) wrong++;
    });
    await new Promise((resolve) => target.once('end', resolve).resume());
    t.same([received, wrong], [before + small, 0], 'all of it arrives, in order, and then the end');
  },
);

/** Takes so many bytes of a channel. @returns the size of the largest packet */
async function largestOf(client: RawClient, id: number, bytes: number): Promise<number> {
  let received = 0;
  let largest = 0;
  while (received < bytes) {
    const { length } = (await client.take(MSG.CHANNEL_DATA, (payload) => payload.readUInt32BE(1) === id)).subarray(9);
    received += length;
    largest = Math.max(largest, length);
  }
  return largest;
}
