/** REQUESTS: unknown messages (RFC 4253 §11.4). */
import t from 'tap';
import { DISCONNECT, MSG, message } from '../../src/shared/protocol.js';
import { startEndpoint } from '../support/endpoint_under_test.js';

t.test('RFC 4253 §11.4: unknown messages', async (t) => {
  const server = await startEndpoint(t);
  const client = await server.login(t);
  await client.roundTrip();
  for (const type of [101, 127, MSG.PONG, 255]) {
    client.send(message(type, 'whatever'));
    const sequence = client.lastSequence;
    t.equal((await client.take(MSG.UNIMPLEMENTED)).readUInt32BE(1), sequence, `${type} is answered with its number`);
  }
  client.send(message(MSG.USERAUTH_REQUEST, 'root', 'ssh-connection', 'none'));
  await client.roundTrip();
  t.notOk(client.untaken.includes(MSG.UNIMPLEMENTED), 'RFC 4252 §5.1: a request to log in again is passed over');
  for (const type of [MSG.REQUEST_SUCCESS, MSG.CHANNEL_SUCCESS, MSG.CHANNEL_FAILURE]) client.send(message(type, 0));
  await t.resolves(client.roundTrip(), 'answers to no question are passed over');
  for (let count = 0; count <= 32; count++) client.send(message(200));
  t.match(await client.ended, { reason: DISCONNECT.PROTOCOL_ERROR, text: 'unknown messages' });
});

for (const type of [8, 19, MSG.NEWKEYS, 30, 49])
  t.test(`message ${type} outside of a key exchange ends the connection`, async (t) => {
    const server = await startEndpoint(t);
    const client = await server.login(t);
    client.send(message(type));
    t.match(await client.ended, { reason: DISCONNECT.PROTOCOL_ERROR });
  });

t.test('RFC 4253 §11: IGNORE, DEBUG, UNIMPLEMENTED and an empty payload disturb nobody', async (t) => {
  const server = await startEndpoint(t);
  const client = await server.login(t);
  client.send(message(MSG.IGNORE, 'x'.repeat(30_000)));
  client.send(Buffer.of(MSG.IGNORE));
  client.send(message(MSG.DEBUG, true, '\x1b[2J', ''));
  client.send(message(MSG.UNIMPLEMENTED, 0));
  client.send(Buffer.alloc(0));
  await t.resolves(client.roundTrip());
});

t.test('DISCONNECT, also a malformed one, ends the connection and is logged on one line', async (t) => {
  for (const payload of [message(MSG.DISCONNECT, 11, 'bye\nnow', ''), Buffer.of(MSG.DISCONNECT)]) {
    const server = await startEndpoint(t);
    const client = await server.login(t);
    client.send(payload);
    await client.ended;
    const { detail } = await server.primary.wait('connection.closed');
    t.match(detail, /^[^\p{Cc}]*$/u);
  }
});
