/** A18: a peer that does not keep to its window. Up to the last byte all of it is taken and held; the first byte beyond ends
 *  this connection and no other. */
import t from 'tap';
import { DISCONNECT, MSG, message } from '../../src/shared/protocol.js';
import { startAccepting } from '../support/accepting.js';
import { Credit } from '../support/credit.js';
import { hostile, type Scene } from '../support/hostile.js';
import { dataMessage, openDirectChannel, type RawClient } from '../support/raw_client.js';
import { startTarget } from '../support/targets.js';

hostile(t, 'A18', 'data beyond the window', {}, async (t, scene) => {
  const { login, echoPort, server } = scene;
  const neighbour = await login();
  const { port, accepted } = await startAccepting(t);
  const client = await login();
  const channel = await openDirectChannel(client, port);
  const target = (await accepted()).pause(); // never reads
  const credit = new Credit(client, channel);
  await credit.exhaust(() => client.roundTrip());
  t.notOk(client.hasEnded, 'all of it was taken');
  client.send(dataMessage(channel, 'x'));
  await brokeProtocol(scene, client, 'data beyond the window');
  t.notOk(target.readableEnded, 'its target takes what it has for the whole in no case');

  const flooder = await login();
  const flooded = await openDirectChannel(flooder, port);
  (await accepted()).pause();
  const packet = Buffer.alloc(32_768);
  for (let sent = 0; sent < 4 * flooded.windowBytes; sent += packet.length) flooder.send(dataMessage(flooded, packet));
  await brokeProtocol(scene, flooder, 'data beyond the window');

  const stderr = await login();
  const dropped = await openDirectChannel(stderr, echoPort);
  // Data for stderr goes nowhere and its credit comes back; but it is data, and needs a window.
  for (let sent = 0; sent < dropped.windowBytes / 2; sent += 32_000)
    stderr.send(message(MSG.CHANNEL_EXTENDED_DATA, dropped.peerId, 1, Buffer.alloc(32_000)));
  await stderr.take(MSG.CHANNEL_WINDOW_ADJUST);
  t.notOk(stderr.untaken.includes(MSG.CHANNEL_DATA), 'none of it came back from the target');

  t.equal(server.events.list('connection.closed', { reason: 'PROTOCOL_ERROR' }).length, 2, 'one line for each');
  await t.resolves(neighbour.roundTrip());
});

hostile(t, 'A18', 'data for a channel that nobody has', { workers: [1] }, async (_, scene) => {
  const { port } = await startTarget(t, (socket) => void socket.pause());
  for (const make of [() => message(MSG.CHANNEL_DATA, 77, 'x'), () => message(MSG.CHANNEL_EXTENDED_DATA, 77, 1, 'x')]) {
    const client = await scene.login();
    await openDirectChannel(client, port);
    client.send(make());
    await brokeProtocol(scene, client, 'data for no channel');
  }
});

async function brokeProtocol({ server }: Scene, client: RawClient, text: string): Promise<void> {
  const ended = await client.ended;
  if (ended.reason !== DISCONNECT.PROTOCOL_ERROR || ended.text !== text) throw new Error(JSON.stringify(ended));
  await server.events.wait('connection.closed', { reason: 'PROTOCOL_ERROR', detail: text });
}
