/** A27: cancels of forwards that are another's, that nobody has, or that have been cancelled already. Only a connection's own
 *  is cancelled, and what came in by it goes on (RFC 4254 §7.1). */
import t from 'tap';
import { MSG, message, UINT32_MAX, WireReader } from '../../src/shared/protocol.js';
import { hostile } from '../support/hostile.js';
import type { RawClient } from '../support/raw_client.js';
import { asked, bindRequest, bindSocketRequest, cancelRequest, cancelSocketRequest } from '../support/requests.js';
import { canBind, connect } from '../support/targets.js';

/** The server's number of the channel by which it brings a connection to us. */
async function forwardedChannel(client: RawClient): Promise<number> {
  const open = new WireReader(await client.take(MSG.CHANNEL_OPEN), 1);
  open.bytes();
  return open.uint32();
}

hostile(t, 'A27', 'cancels of what is not their own', {}, async (t, { server, login, stranger }) => {
  const alice = await login();
  const aliceAgain = await login();
  const bob = stranger();
  await bob.login('bob', server.bob);
  const port = (await asked(alice, bindRequest('localhost', 0))) ?? 0;
  const path = `${server.dir}/a27.sock`;
  t.equal(await asked(alice, bindSocketRequest(path)), 0);

  for (const [who, client] of [
    ['another tenant', bob],
    ['the same user on another connection', aliceAgain],
  ] as const) {
    t.equal(await asked(client, cancelRequest('localhost', port)), null, who);
    t.equal(await asked(client, cancelSocketRequest(path)), null, who);
  }
  for (const [host, wrong] of [
    ['127.0.0.1', port], // the address is a part of its name
    ['', port],
    ['localhost', port + 1],
    ['localhost', 0],
    ['localhost', UINT32_MAX],
    ['__proto__', port],
  ] as const)
    t.equal(await asked(alice, cancelRequest(host, wrong)), null, `${host}:${wrong} is none of hers`);
  t.equal(await asked(alice, cancelSocketRequest(`${server.dir}/other.sock`)), null);

  const [running, waiting] = [await connect(t, port), await connect(t, port)];
  const [first, second] = [await forwardedChannel(alice), await forwardedChannel(alice)];
  alice.send(message(MSG.CHANNEL_OPEN_CONFIRMATION, first, 1, 100_000, 32_768));

  alice.send(message(MSG.GLOBAL_REQUEST, 'cancel-tcpip-forward', false, 'localhost', port)); // wants no reply
  t.equal(await asked(alice, cancelRequest('localhost', port)), null, 'twice');
  t.ok(await canBind(port), 'the port is free at once');
  await server.events.wait('forward.released', { user: 'alice', reason: 'CANCELLED' });
  t.equal(server.events.list('forward.released', { user: 'alice' }).length, 1, 'told once');

  alice.send(message(MSG.CHANNEL_OPEN_CONFIRMATION, second, 2, 100_000, 32_768));
  for (const [socket, channel] of [
    [running, first],
    [waiting, second],
  ] as const) {
    socket.end('to the client');
    t.match((await alice.take(MSG.CHANNEL_DATA)).toString(), /to the client$/);
    alice.send(message(MSG.CHANNEL_DATA, channel, 'on and on'));
    alice.send(message(MSG.CHANNEL_EOF, channel));
    t.equal(Buffer.concat(await socket.toArray()).toString(), 'on and on', 'what came in before goes on');
  }
  t.equal(await asked(alice, cancelSocketRequest(path)), 0, 'her own');
  t.equal(await asked(alice, cancelSocketRequest(path)), null);
});
