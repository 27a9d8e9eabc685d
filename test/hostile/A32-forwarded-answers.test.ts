/** A32: the channels that we open for whoever comes to a forwarded port (RFC 4254 §7.2), and a peer that answers them late,
 *  twice, wrongly or never. Whoever came is let go after 30 s at the latest; a number that is waited for is not given again
 *  before it is answered, so that an answer after ten minutes is one after 31 seconds. */
import { once } from 'node:events';
import type { Socket } from 'node:net';
import t, { type Test } from 'tap';
import { MSG, message, OPEN_FAILURE, WireReader } from '../../src/shared/protocol.js';
import { within } from '../support/deadline.js';
import { hostile } from '../support/hostile.js';
import type { RawClient } from '../support/raw_client.js';
import { connect, cut } from '../support/targets.js';

interface Forward {
  readonly client: RawClient;
  readonly port: number;
}

async function forwarding(client: RawClient): Promise<Forward> {
  client.send(message(MSG.GLOBAL_REQUEST, 'tcpip-forward', true, 'localhost', 0));
  return { client, port: (await client.take(MSG.REQUEST_SUCCESS)).readUInt32BE(1) };
}

/** A connection to the forward, and the number of the open that it brought. */
async function knock(
  t: Test,
  { client, port }: Forward,
): Promise<{ readonly socket: Socket; readonly peerId: number }> {
  const socket = await connect(t, port);
  const open = new WireReader(await client.take(MSG.CHANNEL_OPEN), 1);
  t.equal(open.text(), 'forwarded-tcpip');
  return { socket, peerId: open.uint32() };
}

function confirmation(peerId: number, ours: number, maxPacketBytes = 32_768): Buffer {
  return message(MSG.CHANNEL_OPEN_CONFIRMATION, peerId, ours, 100_000, maxPacketBytes);
}

async function allOf(socket: Socket): Promise<string> {
  const chunks: Buffer[] = [];
  socket.on('data', (chunk: Buffer) => chunks.push(chunk));
  await within(once(socket, 'end'), 'end of the stream');
  return Buffer.concat(chunks).toString();
}

/** The server ends our channel `ours` that it knows as `peerId`. */
async function closes(client: RawClient, ours: number, peerId: number): Promise<void> {
  await client.take(MSG.CHANNEL_CLOSE, (payload) => payload.readUInt32BE(1) === ours);
  client.send(message(MSG.CHANNEL_CLOSE, peerId));
}

hostile(t, 'A32', 'answers to forwarded-tcpip', {}, async (t, { server, login }) => {
  const forward = await forwarding(await login());
  const { client } = forward;

  await t.test('refused: whoever came is let go, the number is free', async (t) => {
    const from = server.events.mark();
    const first = await knock(t, forward);
    const refusal = message(MSG.CHANNEL_OPEN_FAILURE, first.peerId, OPEN_FAILURE.CONNECT_FAILED, 'no', '');
    client.send(refusal);
    await cut(first.socket);
    await server.events.wait('channel.refused', { reason: 'PEER_REFUSED' }, from);
    t.equal(server.events.list('channel.refused', {}, from).length, 1, 'one line tells it');
    client.send(refusal);
    await t.resolves(client.roundTrip(), 'a second refusal is passed over');
    const second = await knock(t, forward);
    t.equal(second.peerId, first.peerId);
    client.send(message(MSG.CHANNEL_OPEN_FAILURE, second.peerId, 1, '', ''));
    await cut(second.socket);
  });

  await t.test('a confirmation with a packet size that no data fits in is taken for a refusal', async (t) => {
    for (const maxPacketBytes of [0, 255]) {
      const { socket, peerId } = await knock(t, forward);
      client.send(confirmation(peerId, 3, maxPacketBytes));
      await cut(socket);
      await closes(client, 3, peerId);
    }
  });

  await t.test('answered twice, or for a number that nobody has: the second is passed over', async (t) => {
    const { socket, peerId } = await knock(t, forward);
    client.send(confirmation(peerId, 3));
    client.send(confirmation(peerId, 4));
    client.send(message(MSG.CHANNEL_OPEN_FAILURE, peerId, 1, '', ''));
    client.send(confirmation(77, 5));
    client.send(message(MSG.CHANNEL_OPEN_FAILURE, 78, 1, '', ''));
    client.send(message(MSG.CHANNEL_DATA, peerId, 'still'));
    client.send(message(MSG.CHANNEL_EOF, peerId));
    t.equal(await allOf(socket), 'still');
    socket.end('there');
    const data = await client.take(MSG.CHANNEL_DATA);
    t.equal(data.readUInt32BE(1), 3, 'towards the number of the first answer');
    await closes(client, 3, peerId);
  });

  await t.test('whoever came leaves before the answer', async (t) => {
    const { socket, peerId } = await knock(t, forward);
    const gone = once(socket, 'close');
    socket.resetAndDestroy();
    await gone;
    client.send(confirmation(peerId, 6));
    await closes(client, 6, peerId);
  });

  await t.test('the peer leaves before its answer: whoever came is let go', async (t) => {
    const from = server.events.mark();
    const leaving = await forwarding(await login());
    const { socket } = await knock(t, leaving);
    leaving.client.socket.destroy();
    await cut(socket);
    await server.events.wait('channel.refused', { reason: 'CONNECTION_LOST' }, from);
  });
  await t.resolves(client.roundTrip(), 'the connection lives');
});

hostile(t, 'A32', 'an answer that comes too late, or never', { workers: [2] }, async (t, { server, login }) => {
  const from = server.events.mark();
  const forward = await forwarding(await login());
  const { client } = forward;
  // Every 15 s of its silence the server asks whether it is there.
  client.intercept = (payload) => {
    if (payload[0] !== MSG.GLOBAL_REQUEST) return false;
    client.send(message(MSG.REQUEST_FAILURE));
    return true;
  };
  const late = await knock(t, forward);
  const never = await knock(t, forward);
  const refused = await server.events.waitAll(2, 'channel.refused', { reason: 'PEER_SILENT' }, from, 60_000);
  t.equal(refused.length, 2, 'one line tells of each');
  await Promise.all([cut(late.socket), cut(never.socket)]);
  client.send(confirmation(late.peerId, 3));
  await closes(client, 3, late.peerId);
  const next = await knock(t, forward);
  t.not(next.peerId, never.peerId, 'the number of an open that is still to be answered stays taken');
  client.send(message(MSG.CHANNEL_OPEN_FAILURE, next.peerId, 1, '', ''));
  await cut(next.socket);
});
