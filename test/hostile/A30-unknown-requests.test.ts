/** A30: global requests that nobody knows, with and without a wanted reply, and the order of the replies (RFC 4254 §4). A
 *  million of them is scaled down to twenty times what is borne. */
import t from 'tap';
import { DISCONNECT, MSG, message } from '../../src/shared/protocol.js';
import { deferred } from '../support/deadline.js';
import { startEndpoint } from '../support/endpoint_under_test.js';
import { hostile } from '../support/hostile.js';
import { openRefusal } from '../support/raw_client.js';
import { canBind, freePort } from '../support/targets.js';

const BORNE = 1_000;

function unknown(wantReply: boolean): Buffer {
  return message(MSG.GLOBAL_REQUEST, 'nobody-knows-this@test', wantReply);
}
function forward(host: string, port: number): Buffer {
  return message(MSG.GLOBAL_REQUEST, 'tcpip-forward', true, host, port);
}

hostile(t, 'A30', 'a flood of unknown requests, with and without a reply wanted', {}, async (t, { server, login }) => {
  for (const wantReply of [true, false]) {
    const from = server.events.mark();
    const client = await login();
    client.send(forward('localhost', 0));
    const port = (await client.take(MSG.REQUEST_SUCCESS)).readUInt32BE(1);
    for (let sent = 0; sent < BORNE / 2; sent++) client.send(unknown(wantReply));
    await client.roundTrip();
    const failures = client.untaken.filter((type) => type === MSG.REQUEST_FAILURE).length;
    t.equal(failures, wantReply ? BORNE / 2 : 0, 'each that wants a reply has it');
    for (let sent = 0; sent < 20 * BORNE; sent++) client.send(unknown(wantReply));
    t.match(await client.ended, { reason: DISCONNECT.PROTOCOL_ERROR, text: 'too many unknown requests' });
    const closed = await server.events.wait('connection.closed', { user: 'alice' }, from);
    t.match(closed, { reason: 'PROTOCOL_ERROR', detail: 'too many unknown requests' });
    t.equal(server.events.list('connection.closed', { user: 'alice' }, from).length, 1, 'one line tells it');
    t.ok(await canBind(port), 'and what it had bound is free');
  }
});

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

t.test('more than 256 requests, and one for each forward, that wait for their answer end the connection', async (t) => {
  const server = await startEndpoint(t, { config: { limits: { forwardsPerConnection: 10 } } });
  const client = await server.login(t);
  server.primary.leaseAnswer = () => new Promise(() => {});
  for (let at = 0; at < 266; at++) client.send(forward('localhost', 20_000 + at));
  client.send(message(MSG.CHANNEL_OPEN, 'unknown', 1, 1000, 1000));
  t.ok(await openRefusal(client, 1), '266 are fine');
  client.send(forward('localhost', 30_000));
  t.match(await client.ended, { reason: DISCONNECT.PROTOCOL_ERROR, text: 'too many requests at once' });
});
