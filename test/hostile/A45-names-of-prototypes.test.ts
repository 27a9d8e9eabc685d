/** A45: names that every JavaScript object knows (`__proto__`, `constructor`, …) as users, hosts, addresses, paths, methods,
 *  requests and variables: they are names like any other, and users may be called so.
 *  Floods of keys that collide: V8 seeds the hash of strings at each start, and what a stranger may name leaves no entry behind (the ledger
 *  has users from their login on). What a peer chooses and we keep is bounded: look-ups by the resolver's queue, ports by the
 *  forwards of a user, and channels have numbers of ours. The flood below is of names that nobody has. */
import t from 'tap';
import { MSG, message, OPEN_FAILURE, WireReader } from '../../src/shared/protocol.js';
import { hostile } from '../support/hostile.js';
import { directOpen, openDirectChannel, openRefusal } from '../support/raw_client.js';
import { asked, bindRequest, cancelRequest, socketOpen } from '../support/requests.js';

const NAMES = ['__proto__', 'constructor', 'prototype', 'toString', 'valueOf', 'hasOwnProperty', '__defineGetter__'];
/** Two of them have an account. */
const USERS = ['__proto__', 'constructor'];
const FLOOD = 3_000;

hostile(
  t,
  'A45',
  'names of prototypes, and floods of names',
  { moreUsers: USERS, users: { alice: { permitOpen: ['*:443'], limits: { forwards: 1 } } } },
  async (t, { server, echoPort, login, stranger }) => {
    await t.test('as users whom nobody knows', async (t) => {
      const answers = new Set<string>();
      for (const user of [...NAMES.filter((name) => !USERS.includes(name)), 'nobody']) {
        const client = stranger();
        await client.ready;
        client.send(message(MSG.SERVICE_REQUEST, 'ssh-userauth'));
        await client.take(MSG.SERVICE_ACCEPT);
        for (const method of ['password', '__proto__', 'constructor', user]) {
          client.send(message(MSG.USERAUTH_REQUEST, user, 'ssh-connection', method, false, 'x'));
          answers.add((await client.take(MSG.USERAUTH_FAILURE)).toString('latin1'));
        }
        client.socket.destroy();
      }
      t.equal(answers.size, 1, 'all get one answer');
    });

    await t.test('as users whom the config names', async (t) => {
      for (const user of USERS) {
        const client = stranger();
        await client.login(user, server.alice);
        const port = await asked(client, bindRequest('localhost', 0));
        t.ok(port, `${user} may bind`);
        t.ok(await openDirectChannel(client, echoPort), 'and open');
        const alice = await login();
        t.equal(await asked(alice, bindRequest('localhost', port ?? 0)), null, 'holds what it has bound');
        t.ok(await asked(alice, bindRequest('localhost', 0)), 'and counts for itself alone');
        t.equal(await asked(client, cancelRequest('localhost', port ?? 0)), 0);
        await server.events.wait('forward.bound', { user });
        const from = server.events.mark();
        alice.socket.destroy();
        await server.events.wait('forward.released', { user: 'alice' }, from);
      }
    });

    await t.test('as everything else', async (t) => {
      const alice = await login();
      for (const [id, name] of NAMES.entries()) {
        alice.send(directOpen(80, { host: name, id }));
        t.match(await openRefusal(alice, id), { text: 'not permitted' }, `host ${name}`);
        alice.send(socketOpen(`/${name}`, id));
        t.match(await openRefusal(alice, id), { text: 'not permitted' }, `path /${name}`);
        alice.send(message(MSG.CHANNEL_OPEN, name, id, 1000, 1000));
        t.match(await openRefusal(alice, id), { reason: OPEN_FAILURE.UNKNOWN_CHANNEL_TYPE }, `channel type ${name}`);
        t.equal(await asked(alice, bindRequest(name, 0)), null, `bind address ${name}`);
        t.equal(await asked(alice, message(MSG.GLOBAL_REQUEST, name, true)), null, `request ${name}`);
      }
      alice.send(message(MSG.CHANNEL_OPEN, 'session', 50, 1000, 32_768));
      const session = (await alice.take(MSG.CHANNEL_OPEN_CONFIRMATION)).readUInt32BE(5);
      for (const name of NAMES) {
        alice.send(message(MSG.CHANNEL_REQUEST, session, 'env', true, name, name));
        t.ok(await alice.take(MSG.CHANNEL_SUCCESS), `variable ${name}`);
        alice.send(message(MSG.CHANNEL_REQUEST, session, name, true));
        t.ok(await alice.take(MSG.CHANNEL_FAILURE), `channel request ${name}`);
      }
      alice.send(message(MSG.CHANNEL_REQUEST, session, 'exec', true, '__proto__'));
      await alice.take(MSG.CHANNEL_SUCCESS);
      t.match(new WireReader(await alice.take(MSG.CHANNEL_EXTENDED_DATA), 9).text(), /only carries tunnels/);
    });

    await t.test('a flood of names', async (t) => {
      const alice = await login();
      for (let id = 1000; id < 1000 + FLOOD; id++) {
        alice.send(directOpen(80, { host: `${id}.${'x'.repeat(200 + (id % 40))}`, id })); // no pattern has its port
        alice.send(bindRequest(`${id}.example`, 20_000 + id));
        if (id % 20 === 0) await openRefusal(alice, id);
      }
      await t.resolves(alice.roundTrip(), 'each was answered');
    });
  },
);
