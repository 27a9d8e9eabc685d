/** A09: logins that fail, a hundred thousand of them: six tries for each connection (auth.maxTries), a few connections for each
 *  source until it is refused for a growing time (penalties), and none of it for who is exempt. Penalties grow, up to
 *  `max`, in master/penalties.test; what counts as a try in worker/auth/userauth.test. */
import t, { type Test } from 'tap';
import { DISCONNECT, MSG, message, type WireField, WireReader } from '../../src/shared/protocol.js';
import { hostile, type Scene } from '../support/hostile.js';
import { passwordRequest, type RawClient } from '../support/raw_client.js';
import { firstLine } from '../support/targets.js';

const CONFIG = { penalties: { exempt: ['127.0.0.1'] } };
const METHODS = 'publickey,password,keyboard-interactive';
const EXHAUSTED = { reason: DISCONNECT.PROTOCOL_ERROR, text: 'Too many authentication failures' };

hostile(t, 'A09', 'failed logins', { config: CONFIG }, async (t, scene) => {
  await onOneConnection(t, scene);
  await fromOneSource(t, scene);
});

async function onOneConnection(t: Test, { server, stranger }: Scene): Promise<void> {
  const client = async (): Promise<RawClient> => await asked(stranger());

  for (const method of ['gssapi-with-mic', 'gssapi-keyex', 'hostbased', 'none', 'x'.repeat(30_000)]) {
    const one = await client();
    one.send(request('alice', 'none')); // asks for the methods, and is no try
    t.equal(await failure(one), METHODS);
    one.send(request('alice', method));
    t.equal(await failure(one), METHODS, `FAILURE for ${method.slice(0, 20)}, and the connection lives`);
  }

  const sixth = await client();
  for (let tries = 1; tries < 6; tries++) {
    sixth.send(request('alice', 'hostbased'));
    t.equal(await failure(sixth), METHODS, `try ${tries}`);
  }
  sixth.send(request('alice', 'hostbased'));
  t.same(await sixth.ended, EXHAUSTED, 'the sixth is the last');

  const pipelined = await client();
  for (let tries = 0; tries < 6; tries++) pipelined.send(passwordRequest('alice', `guess ${tries}`));
  for (let tries = 1; tries < 6; tries++) t.equal(await failure(pipelined), METHODS, 'each is answered, in its turn');
  t.same(await pipelined.ended, EXHAUSTED, 'and six are six, however they come');

  const flooding = await client();
  for (let tries = 0; tries < 40; tries++) flooding.send(passwordRequest('alice', `guess ${tries}`));
  t.match(await flooding.ended, { reason: DISCONNECT.PROTOCOL_ERROR }, 'no queue of guesses');

  const changing = await client();
  changing.send(passwordRequest('alice', 'guess'));
  t.equal(await failure(changing), METHODS);
  changing.send(passwordRequest('bob', 'guess'));
  t.same(
    await changing.ended,
    { reason: DISCONNECT.PROTOCOL_ERROR, text: 'Change of username or service not allowed' },
    'RFC 4252 §5: one connection, one user',
  );

  const from = server.events.mark();
  const long = 'x'.repeat(30_000);
  const longName = await client();
  longName.send(passwordRequest(long, 'guess'));
  t.equal(await failure(longName), METHODS, 'a name of 30 KB is one that nobody has');
  const longPassword = await client();
  longPassword.send(passwordRequest('alice', long));
  t.equal(await failure(longPassword), METHODS, 'and a password of 30 KB is wrong');
  const failed = await server.events.waitAll(2, 'auth.failed', {}, from);
  for (const { user } of failed) t.ok(String(user).length <= 255, 'the log keeps it short');

  for (let count = 0; count < 20; count++) {
    const exempt = await client();
    exempt.send(passwordRequest('alice', ''));
    t.equal(await failure(exempt), METHODS);
    exempt.socket.destroy();
  }
  t.equal(server.events.list('source.penalised').length, 0, 'who is exempt earns no penalty');
}

async function fromOneSource(t: Test, { server, stranger, tcp, login }: Scene): Promise<void> {
  const from = '127.0.0.2';
  let served = 0;
  for (; served < 100; served++) {
    const client = stranger({ from });
    if (!(await isTaken(client))) break;
    await asked(client);
    const peer = `${from}:${client.socket.localPort}`;
    for (let tries = 0; tries < 6; tries++) client.send(passwordRequest('alice', ''));
    t.same(await client.ended, EXHAUSTED);
    // Its penalty counts before the log tells of its end.
    await server.events.wait('connection.closed', { peer, reason: 'AUTH_EXHAUSTED' });
  }
  t.ok(served >= 3 && served < 100, `refused after ${served} connections, two are forgiven`);
  t.match(await server.events.wait('source.penalised'), { source: from, reason: 'AUTH_FAIL' });
  t.equal(await firstLine(await tcp(from)), 'Not allowed at this time', 'in words, before any ident');
  t.match(await server.events.wait('connection.refused'), { reason: 'PENALTY', peer: /^127\.0\.0\.2:/ });
  const guesses = server.events.list('auth.failed').filter(({ peer }) => String(peer).startsWith(`${from}:`));
  t.equal(guesses.length, 6 * served, 'so many guesses, and no more');
  const neighbour = stranger({ from: '127.0.0.3' });
  await t.resolves(neighbour.login('alice', server.alice), 'its neighbour is served');
  const friend = await login();
  await t.resolves(friend.roundTrip());
}

/** Were keys agreed with it? */
async function isTaken(client: RawClient): Promise<boolean> {
  return await client.ready.then(
    () => true,
    () => false,
  );
}

async function asked(client: RawClient): Promise<RawClient> {
  await client.ready;
  client.send(message(MSG.SERVICE_REQUEST, 'ssh-userauth'));
  await client.take(MSG.SERVICE_ACCEPT);
  return client;
}

function request(user: string, method: string, ...fields: WireField[]): Buffer {
  return message(MSG.USERAUTH_REQUEST, user, 'ssh-connection', method, ...fields);
}

/** The methods that a USERAUTH_FAILURE offers. */
async function failure(client: RawClient): Promise<string> {
  return new WireReader(await client.take(MSG.USERAUTH_FAILURE), 1).text();
}
