/** A26: what may be bound, on which address, by whom. Ports and addresses that are none, or not permitted, or somebody else's,
 *  on whatever address; and a storm of binds. A hundred thousand are scaled down to two thousand: each is one question to
 *  the ledger, and what matters is that those which were refused leave nothing behind. */
import t from 'tap';
import { DISCONNECT, MSG, message, UINT32_MAX } from '../../src/shared/protocol.js';
import { startEndpoint } from '../support/endpoint_under_test.js';
import { hostile } from '../support/hostile.js';
import { asked, bindRequest, cancelRequest, replied } from '../support/requests.js';
import { canBind, connect, freePort } from '../support/targets.js';

const [LOW, HIGH] = [21_000, 21_999];
const FORWARDS = 16;
/** The bind addresses that a client of OpenSSH may send for this machine, and the neighbours by which a port could be had twice. */
const ADDRESSES = ['', '*', 'localhost', '0.0.0.0', '::', '127.0.0.1', '127.0.0.2', '::1', '::ffff:127.0.0.1'];
const STORM = 2_000;
/** Below what may wait for an answer. */
const ROUND = 50;

hostile(
  t,
  'A26',
  'binds',
  {
    users: {
      alice: { permitListen: [`*:${LOW}-${HIGH}`], limits: { forwards: FORWARDS } },
      bob: { permitListen: ['*:*'] },
    },
  },
  async (t, { server, login, stranger }) => {
    const alice = await login();
    const bob = stranger();
    await bob.login('bob', server.bob);

    await t.test('ports and addresses that are none, or not permitted', async (t) => {
      for (const [host, port, reason] of [
        ['localhost', 65_536, 'BAD_ADDRESS'],
        ['localhost', 70_000, 'BAD_ADDRESS'],
        ['localhost', UINT32_MAX, 'BAD_ADDRESS'],
        ['localhost', 1, 'POLICY_DENIED'],
        ['localhost', 1023, 'POLICY_DENIED'],
        ['localhost', LOW - 1, 'POLICY_DENIED'],
        ['', HIGH + 1, 'POLICY_DENIED'],
        ['192.0.2.1', LOW, 'BIND_FAILED'], // no address of this machine
        ['2001:db8::1', LOW, 'BIND_FAILED'],
        ['224.0.0.1', LOW, 'BAD_ADDRESS'],
        ['255.255.255.255', LOW, 'BAD_ADDRESS'],
        ['fe80::1%lo', LOW, 'BAD_ADDRESS'],
        ['no.such.name.of.ours', LOW, 'BAD_ADDRESS'],
        ['a\0b', LOW, 'BAD_ADDRESS'],
      ] as const) {
        const from = server.events.mark();
        t.equal(await asked(alice, bindRequest(host, port)), null, `${JSON.stringify(host)}:${port}`);
        t.match(await server.events.wait('forward.refused', { user: 'alice' }, from), { reason });
      }
    });

    await t.test('port 0 becomes one of the permitted ones', async (t) => {
      for (const host of ADDRESSES) {
        const port = await asked(alice, bindRequest(host, 0));
        t.ok(port !== null && port >= LOW && port <= HIGH, `"${host}": ${port}`);
        t.equal(await asked(alice, cancelRequest(host, port ?? 0)), 0);
      }
    });

    await t.test("another tenant's port is taken, by whatever address it is asked for", async (t) => {
      const port = (await asked(alice, bindRequest('127.0.0.1', 0))) ?? 0;
      for (const host of ADDRESSES)
        for (const client of [alice, bob]) t.equal(await asked(client, bindRequest(host, port)), null, `"${host}"`);
      await connect(t, port);
      t.ok(await alice.take(MSG.CHANNEL_OPEN), 'whoever comes, comes to its owner');
      t.equal(await asked(bob, cancelRequest('127.0.0.1', port)), null, 'and nobody else may give it up');
      t.equal(await asked(alice, cancelRequest('127.0.0.1', port)), 0);
      t.equal(await asked(bob, bindRequest('::1', port)), 0, 'then it is free for the other');
      t.equal(await asked(alice, bindRequest('127.0.0.1', port)), null);
      t.equal(await asked(bob, cancelRequest('::1', port)), 0);
      await server.events.waitAll(ADDRESSES.length, 'forward.refused', { user: 'bob', reason: 'PORT_TAKEN' });
    });

    await t.test('a storm of binds', async (t) => {
      const bound: number[] = [];
      for (let sent = 0; sent < STORM; sent += ROUND) {
        for (let count = 0; count < ROUND; count++) alice.send(bindRequest('localhost', 0));
        for (let count = 0; count < ROUND; count++) {
          const port = await replied(alice);
          if (port !== null) bound.push(port);
        }
      }
      t.equal(bound.length, FORWARDS, 'as many as the user may have');
      t.equal(new Set(bound).size, FORWARDS);
      for (const port of bound) t.equal(await asked(alice, cancelRequest('localhost', port)), 0);
      for (const port of bound) t.ok(await canBind(port));
      // By now alice may bind ten times a second (FORWARD_RATE).
      for (let again = 0; again < FORWARDS; ) if ((await asked(alice, bindRequest('localhost', 0))) !== null) again++;
      t.equal(await asked(alice, bindRequest('localhost', 0)), null, 'none was lost on the way');
    });

    await t.test("the server's own port", async (t) => {
      const from = server.events.mark();
      for (const host of ['localhost', '::1', '127.0.0.2'])
        t.equal(await asked(bob, bindRequest(host, server.port)), null, host);
      await server.events.waitAll(3, 'forward.refused', { user: 'bob', reason: 'PORT_TAKEN' }, from);
    });
  },
);

t.test('RFC 4254 §7.1: the replies, in one process', async (t) => {
  const server = await startEndpoint(t, { config: { limits: { forwardsPerConnection: 3 } } });
  const client = await server.login(t);

  for (const host of ['a\nb', '256.1.1.1', 'x'.repeat(30_000)])
    await t.test(`address ${JSON.stringify(host.slice(0, 30))} is refused, and logged on one line`, async (t) => {
      t.equal(await asked(client, bindRequest(host, 0)), null);
      t.match(server.primary.list('forward.refused').at(-1)?.destination, /^[^\p{Cc}]{0,255}$/u);
    });

  await t.test('port 0 is answered with the port, a port of ours without', async (t) => {
    client.send(bindRequest('localhost', 0));
    const success = await client.take(MSG.REQUEST_SUCCESS);
    t.equal(success.length, 5);
    t.notOk(await canBind(success.readUInt32BE(1)));
    const second = await freePort();
    client.send(bindRequest('localhost', second));
    t.equal((await client.take(MSG.REQUEST_SUCCESS)).length, 1);
    t.equal(await asked(client, bindRequest('localhost', second)), null, 'the same one twice');
    t.match(server.primary.list('forward.refused').at(-1), { reason: 'PORT_TAKEN' });
    t.ok(await asked(client, bindRequest('localhost', 0)));
    t.equal(await asked(client, bindRequest('localhost', 0)), null, 'one more than the limit');
    t.match(server.primary.list('forward.refused').at(-1), { reason: 'FORWARD_LIMIT' });
  });

  await t.test('what a connection has bound is free when it ends', async (t) => {
    const leaving = await server.login(t);
    const port = (await asked(leaving, bindRequest('localhost', 0))) ?? 0;
    const closed = server.primary.wait('connection.closed');
    leaving.socket.destroy();
    await closed;
    t.ok(await canBind(port));
    t.match(server.primary.list('forward.released').at(-1), { destination: `localhost:${port}` });
  });

  await t.test('a request that ends in its middle ends the connection', async (t) => {
    client.send(message(MSG.GLOBAL_REQUEST, 'tcpip-forward', true, 'localhost'));
    t.match(await client.ended, { reason: DISCONNECT.PROTOCOL_ERROR, text: 'malformed tcpip-forward' });
  });
});
