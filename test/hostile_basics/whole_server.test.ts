/** WHOLE SERVER: the same against the program as users start it, where several workers, the ledger and signals take part. */
import t from 'tap';
import { DISCONNECT, MSG, message } from '../../src/shared/protocol.js';
import { flow } from '../support/flow.js';
import { dataMessage, directOpen, openDirectChannel, openRefusal, rawClient } from '../support/raw_client.js';
import { startSallyport } from '../support/server.js';
import { startEcho } from '../support/targets.js';

const NEEDS = ['ssh-keygen'] as const;
const SHUTDOWN = { reason: DISCONNECT.BY_APPLICATION, text: 'server is shutting down' };

flow(t, 'messages that have brought servers down', { needs: NEEDS }, async (t, workers) => {
  const server = await startSallyport(t, { workers });
  const echo = await startEcho(t);
  const bystander = rawClient(t, server);
  await bystander.login('alice', server.alice);
  const payloads = [
    message(60, 'ssh-ed25519', Buffer.alloc(51)), // ssh2's server half throws on it
    message(61, 1, 'x'),
    message(MSG.USERAUTH_SUCCESS),
    message(MSG.CHANNEL_REQUEST, 0, 'exec', true, 'id'), // CVE-2025-32433
    message(MSG.CHANNEL_OPEN_CONFIRMATION, 0xffff_ffff, 0, 0, 0),
    message(MSG.GLOBAL_REQUEST, 'cancel-tcpip-forward', false, '', 0xffff_ffff),
  ];
  for (const payload of payloads)
    for (const askFirst of [false, true]) {
      const client = rawClient(t, server);
      await client.ready;
      if (askFirst) {
        client.send(message(MSG.SERVICE_REQUEST, 'ssh-userauth'));
        await client.take(MSG.SERVICE_ACCEPT);
      }
      client.send(payload);
      t.match(await client.ended, { reason: DISCONNECT.PROTOCOL_ERROR }, `message ${payload[0]}`);
    }
  for (const payload of [directOpen(70_000), directOpen(0xffff_ffff), directOpen(echo.port, { maxPacketBytes: 0 })]) {
    bystander.send(payload);
    t.ok(await openRefusal(bystander, 0));
  }
  await t.resolves(bystander.roundTrip());
  t.equal(server.events.list('worker.exited').length, 0);
});

flow(t, 'limits.connections of a user', { needs: NEEDS, workers: [1, 2] }, async (t, workers) => {
  const server = await startSallyport(t, { workers, users: { alice: { limits: { connections: 1 } } } });
  const first = rawClient(t, server);
  await first.login('alice', server.alice);
  await first.roundTrip();
  for (let count = 0; count < 4; count++) {
    const second = rawClient(t, server);
    await second.login('alice', server.alice);
    t.same(await second.ended, { reason: DISCONNECT.BY_APPLICATION, text: 'too many connections of this user' });
  }
  await t.resolves(first.roundTrip(), 'the first one stays');
  const other = rawClient(t, server);
  await other.login('bob', server.bob);
  await t.resolves(other.roundTrip(), 'and so do those of others');

  const from = server.events.mark();
  first.socket.destroy();
  await server.events.wait('connection.closed', { user: 'alice', reason: 'PEER_CLOSED' }, from);
  const next = rawClient(t, server);
  await next.login('alice', server.alice);
  await next.roundTrip();
  t.notOk(next.hasEnded, 'then there is room again');
});

flow(t, 'SIGTERM', { needs: NEEDS }, async (t, workers) => {
  const server = await startSallyport(t, { workers, config: { timeouts: { drain: '60s' } } });
  const echo = await startEcho(t);
  const idle = rawClient(t, server);
  await idle.login('bob', server.bob);
  const busy = rawClient(t, server);
  await busy.login('alice', server.alice);
  const channel = await openDirectChannel(busy, echo.port);
  const stranger = rawClient(t, server);
  await stranger.ready;

  const stopping = server.stop();
  t.same(await idle.ended, SHUTDOWN, 'the idle are sent home');
  t.same(await stranger.ended, SHUTDOWN, 'and those who are not logged in');
  for (const text of ['still', 'here']) {
    busy.send(dataMessage(channel, text));
    t.equal((await busy.take(MSG.CHANNEL_DATA)).subarray(9).toString(), text);
  }
  busy.send(directOpen(echo.port, { id: 1 }));
  t.match(await openRefusal(busy, 1), { text: 'server is shutting down' });
  busy.send(message(MSG.CHANNEL_EOF, channel.peerId));
  await busy.take(MSG.CHANNEL_CLOSE);
  busy.send(message(MSG.CHANNEL_CLOSE, channel.peerId));
  t.same(await busy.ended, SHUTDOWN, 'the tunnel ended by itself');
  t.same(await stopping, { code: 0, signal: null });
});
