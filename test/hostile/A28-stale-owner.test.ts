/** A28: the owner of a forwarded port has died without a FIN, and comes back. The same identity gets its port at its first try;
 *  another one never does, not even while nobody answers for it. (An identity is the user: DECISIONS 6.) */
import t, { type Test } from 'tap';
import { MSG, message } from '../../src/shared/protocol.js';
import { deferred, within } from '../support/deadline.js';
import { hostile } from '../support/hostile.js';
import { type RawClient, rawClient } from '../support/raw_client.js';
import { startRelay } from '../support/relay.js';
import { canBind, connect, cut, freePort } from '../support/targets.js';

async function asksFor(client: RawClient, port: number): Promise<'granted' | 'refused'> {
  const { promise, resolve } = deferred<'granted' | 'refused'>();
  const before = client.intercept;
  client.intercept = (payload) => {
    const isAnswer = payload[0] === MSG.REQUEST_SUCCESS || payload[0] === MSG.REQUEST_FAILURE;
    if (!isAnswer) return before(payload);
    resolve(payload[0] === MSG.REQUEST_SUCCESS ? 'granted' : 'refused');
    return true;
  };
  client.send(message(MSG.GLOBAL_REQUEST, 'tcpip-forward', true, 'localhost', port));
  const answer = await within(promise, 'answer to tcpip-forward');
  client.intercept = before;
  return answer;
}

/** Whoever comes to the port reaches this client. */
async function reaches(t: Test, port: number, client: RawClient): Promise<void> {
  const visitor = await connect(t, port);
  const open = await client.take(MSG.CHANNEL_OPEN);
  client.send(message(MSG.CHANNEL_OPEN_FAILURE, open.readUInt32BE(1 + 4 + 'forwarded-tcpip'.length), 2, '', ''));
  await cut(visitor);
}

hostile(t, 'A28', 'a stale owner of a port', {}, async (t, scene) => {
  const { server, mine } = scene;
  const port = await freePort();
  const network = await startRelay(t, server);
  const stale = mine(rawClient(t, network));
  await stale.login('alice', server.alice);
  t.equal(await asksFor(stale, port), 'granted');
  stale.intercept = (payload) => {
    if (payload[0] !== MSG.GLOBAL_REQUEST) return false;
    stale.send(message(MSG.REQUEST_FAILURE)); // any answer to a keepalive shows that it lives
    return true;
  };

  const early = await scene.login();
  t.equal(await asksFor(early, port), 'refused', 'an owner that lives keeps its port, also before its own user');
  await reaches(t, port, stale);

  network.silence('both');
  const other = mine(rawClient(t, server));
  await other.login('bob', server.bob);
  t.equal(await asksFor(other, port), 'refused', 'another identity');

  const from = server.events.mark();
  const back = await scene.login();
  t.equal(await asksFor(back, port), 'granted', 'at the first try');
  const closed = await server.events.wait('connection.closed', { reason: 'REPLACED' }, from);
  t.equal(server.events.list('connection.closed', { reason: 'REPLACED' }, from).length, 1, 'one line tells it');
  await server.events.wait('forward.released', { conn: Number(closed.conn) }, from);
  await reaches(t, port, back);

  back.socket.destroy();
  await server.events.waitAll(2, 'forward.released', { user: 'alice' });
  const heir = mine(rawClient(t, server));
  await heir.login('bob', server.bob);
  t.equal(await asksFor(heir, port), 'granted', 'what nobody holds is free for others');
  heir.socket.destroy();
  await server.events.wait('forward.released', { user: 'bob' });
  t.ok(await canBind(port), 'and in the end nobody has it');
});
