/** REQUESTS: global requests and the order of their answers (RFC 4254 §4), unknown messages. */
import t from 'tap';
import { DISCONNECT, MSG, message } from '../../src/shared/protocol.js';
import { deferred } from '../support/deadline.js';
import { startEndpoint } from '../support/endpoint_under_test.js';
import { openRefusal } from '../support/raw_client.js';
import { freePort } from '../support/targets.js';

function forward(host: string, port: number, wantReply = true): Buffer {
  return message(MSG.GLOBAL_REQUEST, 'tcpip-forward', wantReply, host, port);
}

t.test('RFC 4254 §4: unknown requests are refused, and one that wants no reply gets none', async (t) => {
  const server = await startEndpoint(t);
  const client = await server.login(t);
  for (const wantReply of [true, false, true, false])
    client.send(message(MSG.GLOBAL_REQUEST, 'hostkeys-prove-00@openssh.com', wantReply));
  client.send(message(MSG.GLOBAL_REQUEST, '__proto__', true));
  await client.roundTrip();
  t.same(client.untaken, [MSG.EXT_INFO, MSG.REQUEST_FAILURE, MSG.REQUEST_FAILURE, MSG.REQUEST_FAILURE]);
});

t.test('RFC 4254 §4: replies come in the order of the requests, however long each takes', async (t) => {
  const server = await startEndpoint(t);
  const client = await server.login(t);
  const [slow, fast] = [await freePort(), await freePort()];
  const answer = deferred<{ ok: true; port: number }>();
  server.primary.leaseAnswer = (target) => {
    const port = target.kind === 'tcp' ? target.port : 0;
    return port === slow ? answer.promise : { ok: true, port };
  };
  client.send(forward('localhost', slow));
  client.send(forward('localhost', fast));
  client.send(message(MSG.GLOBAL_REQUEST, 'keepalive@openssh.com', true));
  await server.primary.wait('forward.bound'); // the second one
  t.same(client.untaken, [MSG.EXT_INFO]);
  answer.resolve({ ok: true, port: slow });
  await client.take(MSG.REQUEST_FAILURE);
  t.same(client.untaken, [MSG.EXT_INFO, MSG.REQUEST_SUCCESS, MSG.REQUEST_SUCCESS]);
});

t.test('more than 64 requests that wait for their answer end the connection', async (t) => {
  const server = await startEndpoint(t, { config: { limits: { forwardsPerConnection: 1000 } } });
  const client = await server.login(t);
  server.primary.leaseAnswer = () => new Promise(() => {});
  for (let at = 0; at < 64; at++) client.send(forward('localhost', 20_000 + at));
  client.send(message(MSG.CHANNEL_OPEN, 'unknown', 1, 1000, 1000));
  t.ok(await openRefusal(client, 1), '64 are fine');
  client.send(forward('localhost', 30_000));
  t.match(await client.ended, { reason: DISCONNECT.PROTOCOL_ERROR, text: 'too many requests at once' });
});

t.test('RFC 4253 §11.4: unknown messages', async (t) => {
  const server = await startEndpoint(t);
  const client = await server.login(t);
  await client.roundTrip();
  for (const type of [101, 127, 192, 255]) {
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
