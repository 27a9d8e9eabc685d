/** A20: EOF and CLOSE in every order (RFC 4254 §5.3), and channels of which one direction has ended. Half-close goes through both
 *  ways, data behind EOF ends its channel, data behind CLOSE the connection; what nobody finishes is ended by the timer.
 *
 *  The row's hour of half-close is two seconds here, and its 5,000 half-open forwards are 400: each takes four descriptors of
 *  this machine. */
import { once } from 'node:events';
import type { Socket } from 'node:net';
import t from 'tap';
import { DISCONNECT, MSG, message, WireReader } from '../../src/shared/protocol.js';
import { startAccepting } from '../support/accepting.js';
import { within } from '../support/deadline.js';
import { hostile } from '../support/hostile.js';
import { dataMessage, openDirectChannel, type RawClient } from '../support/raw_client.js';
import { connect, cut } from '../support/targets.js';

hostile(t, 'A20', 'EOF and CLOSE in every order', {}, async (t, { server, login, echoPort }) => {
  const { port, accepted } = await startAccepting(t);
  const client = await login();

  const late = await openDirectChannel(client, port, { id: 1 });
  client.send(dataMessage(late, 'before'));
  client.send(message(MSG.CHANNEL_EOF, late.peerId));
  client.send(dataMessage(late, 'after'));
  await closing(client, 1);
  client.send(message(MSG.CHANNEL_CLOSE, late.peerId));
  t.equal(
    await finished(await accepted()),
    'before',
    'data behind EOF ends the channel, and the target has what came before',
  );

  const twice = await openDirectChannel(client, echoPort, { id: 2 });
  client.send(message(MSG.CHANNEL_CLOSE, twice.peerId));
  await closing(client, 2);
  for (const type of [MSG.CHANNEL_CLOSE, MSG.CHANNEL_EOF]) client.send(message(type, twice.peerId));
  client.send(message(MSG.CHANNEL_REQUEST, twice.peerId, 'x', true));
  await client.roundTrip();
  t.same(
    client.untaken.filter((type) => type >= MSG.CHANNEL_EOF),
    [],
    'CLOSE is answered once; EOF, requests and CLOSE behind it are passed over',
  );

  const crossing = await openDirectChannel(client, port, { id: 3 });
  (await accepted()).resetAndDestroy();
  await closing(client, 3);
  client.send(dataMessage(crossing, 'was under way'));
  client.send(message(MSG.CHANNEL_EOF, crossing.peerId));
  client.send(message(MSG.CHANNEL_CLOSE, crossing.peerId));
  await client.roundTrip();
  t.notOk(client.untaken.includes(MSG.CHANNEL_CLOSE), 'a CLOSE that crosses ours, and no second one');

  const cutOff = await openDirectChannel(client, port, { id: 4 });
  const failed = once((await accepted()).resume(), 'error');
  client.send(message(MSG.CHANNEL_CLOSE, cutOff.peerId));
  t.match(await within(failed, 'reset'), [{ code: 'ECONNRESET' }], 'CLOSE without EOF resets the target');
  await closing(client, 4);

  const ended = await openDirectChannel(client, port, { id: 5 });
  client.send(dataMessage(ended, 'all of it'));
  client.send(message(MSG.CHANNEL_EOF, ended.peerId));
  client.send(message(MSG.CHANNEL_CLOSE, ended.peerId));
  t.equal(await finished(await accepted()), 'all of it', 'EOF before CLOSE ends it properly');
  await closing(client, 5);

  const behind = await openDirectChannel(client, echoPort, { id: 6 });
  const from = server.events.mark();
  client.send(message(MSG.CHANNEL_CLOSE, behind.peerId));
  client.send(dataMessage(behind, 'late'));
  t.match(await client.ended, { reason: DISCONNECT.PROTOCOL_ERROR, text: 'data for no channel' });
  await server.events.wait('connection.closed', { reason: 'PROTOCOL_ERROR' }, from);
  t.equal(server.events.list('connection.closed', {}, from).length, 1, 'data behind CLOSE: one line tells it');
});

hostile(
  t,
  'A20',
  'a peer that leaves: with EOF its bytes arrive, without the target is reset',
  {},
  async (t, scene) => {
    const { port, accepted } = await startAccepting(t);
    const client = await scene.login();
    const polite = await openDirectChannel(client, port, { id: 1 });
    const first = await accepted();
    await openDirectChannel(client, port, { id: 2 });
    const second = await accepted();
    client.send(dataMessage(polite, 'farewell'));
    client.send(message(MSG.CHANNEL_EOF, polite.peerId));
    await client.roundTrip();
    client.socket.end();
    t.equal(await finished(first), 'farewell');
    await cut(second);
  },
);

hostile(
  t,
  'A20',
  'half-close works both ways, and is ended by its timer where nothing moves',
  { config: { timeouts: { halfClose: '2s', drain: '2s' } } },
  async (t, { server, login }) => {
    const { port, accepted } = await startAccepting(t);
    const client = await login();

    const up = await openDirectChannel(client, port, { id: 1 });
    const source = await accepted();
    source.end();
    await client.take(MSG.CHANNEL_EOF, (payload) => payload.readUInt32BE(1) === 1);
    client.send(dataMessage(up, 'after the target has ended'));
    client.send(message(MSG.CHANNEL_EOF, up.peerId));
    t.equal(await allOf(source), 'after the target has ended');
    await closing(client, 1);
    client.send(message(MSG.CHANNEL_CLOSE, up.peerId));

    const down = await openDirectChannel(client, port, { id: 2 });
    const sink = await accepted();
    client.send(message(MSG.CHANNEL_EOF, down.peerId));
    t.equal(await allOf(sink), '');
    sink.end('after the peer has ended');
    const data = await client.take(MSG.CHANNEL_DATA, (payload) => payload.readUInt32BE(1) === 2);
    t.equal(data.subarray(9).toString(), 'after the peer has ended');
    await closing(client, 2);
    client.send(message(MSG.CHANNEL_CLOSE, down.peerId));

    const from = server.events.mark();
    await openDirectChannel(client, port, { id: 3 });
    (await accepted()).end();
    const held = await openDirectChannel(client, port, { id: 4 });
    const waiting = await accepted();
    client.send(message(MSG.CHANNEL_EOF, held.peerId));
    await Promise.all([closing(client, 3), closing(client, 4)]);
    waiting.destroy(); // it has nothing to say, and hears nothing more
    await server.events.waitAll(2, 'channel.closed', { reason: 'IDLE_TIMEOUT' }, from);
    await t.resolves(client.roundTrip(), 'the connection lives');
  },
);

const FORWARDS = 400;

hostile(
  t,
  'A20',
  'half-open forwards without number: each ends by itself, and leaves nothing',
  { config: { timeouts: { halfClose: '2s', drain: '2s' } } },
  async (t, { server, login, mine }) => {
    const client = await login();
    client.send(message(MSG.GLOBAL_REQUEST, 'tcpip-forward', true, 'localhost', 0));
    const port = (await client.take(MSG.REQUEST_SUCCESS)).readUInt32BE(1);
    const ours = new Map<number, number>();
    const outside: Socket[] = [];
    for (let count = 0; count < FORWARDS; count++) {
      const socket = mine(await connect(t, port));
      socket.end(); // the outside has ended, and waits for an answer that nobody gives
      outside.push(socket);
      const open = new WireReader(await client.take(MSG.CHANNEL_OPEN), 1);
      open.text();
      const peerId = open.uint32();
      ours.set(count, peerId);
      client.send(message(MSG.CHANNEL_OPEN_CONFIRMATION, peerId, count, 100_000, 32_768));
    }
    await Promise.all(outside.map(cut));
    for (const [id, peerId] of ours) {
      await closing(client, id);
      client.send(message(MSG.CHANNEL_CLOSE, peerId));
    }
    await server.events.waitAll(FORWARDS, 'channel.closed', { reason: 'IDLE_TIMEOUT' });
    const last = mine(await connect(t, port));
    const open = new WireReader(await client.take(MSG.CHANNEL_OPEN), 1);
    open.text();
    t.ok(open.uint32() < FORWARDS, 'the forward goes on, with numbers that were given back');
    last.destroy();
  },
);

/** The server's CLOSE of our channel. */
async function closing(client: RawClient, id: number): Promise<void> {
  await client.take(MSG.CHANNEL_CLOSE, (payload) => payload.readUInt32BE(1) === id);
}

/** All that comes, and our own end behind it. */
async function finished(socket: Socket): Promise<string> {
  const text = await allOf(socket);
  socket.end();
  return text;
}

async function allOf(socket: Socket): Promise<string> {
  const chunks: Buffer[] = [];
  socket.on('data', (chunk: Buffer) => chunks.push(chunk));
  await within(once(socket, 'end'), 'end of the stream');
  return Buffer.concat(chunks).toString();
}
