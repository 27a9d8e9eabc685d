/** A48: what a denial tells beside the no. Every kind of it, for whatever reason, is the same bytes; the log alone knows which
 *  it was.
 *  Its time is argued and not measured. A denial is a pure pass over the user's own patterns and one packet in the write that
 *  ends the turn; nothing that belongs to another tenant is read for it. A name that no pattern could allow is not looked up.
 *  One that a pattern of addresses could is, and takes that time before the yes and before the no; that it does not exist
 *  is said then. Binds that are not permitted stay in the worker; the others ask the ledger, and the answer takes one round
 *  trip whoever holds the port. Only a port of the same user's takes longer (up to a second), while its holder is asked
 *  whether it lives. */
import { symlinkSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import { MSG, message, OPEN_FAILURE } from '../../src/shared/protocol.js';
import { hostile } from '../support/hostile.js';
import { directOpen, type RawClient } from '../support/raw_client.js';
import { asked, bindRequest, bindSocketRequest, replied, socketOpen } from '../support/requests.js';
import { tempDir } from '../support/temp.js';

const folder = tempDir(t);
symlinkSync('/etc/passwd', join(folder, 'there.sock'));
symlinkSync('/etc/none', join(folder, 'nowhere.sock'));

const ID = 7;
const EXPECTED = message(MSG.CHANNEL_OPEN_FAILURE, ID, OPEN_FAILURE.ADMINISTRATIVELY_PROHIBITED, 'not permitted', '');

hostile(
  t,
  'A48',
  'denials that read alike',
  {
    users: {
      alice: { permitOpen: [`${folder}/*.sock`, '*.example:443'] },
      bob: { permitOpen: ['localhost:*', '*:80'], permitListen: ['localhost:20000-29999', '127.0.0.1:*'] },
    },
  },
  async (t, { server, stranger, login }) => {
    const bob = stranger();
    await bob.login('bob', server.bob);
    const alice = await login();

    const opens: readonly (readonly [string, RawClient, Buffer, string])[] = [
      ['an address', bob, directOpen(81, { id: ID, host: '10.0.0.1' }), 'POLICY_DENIED'],
      ['a name', alice, directOpen(443, { id: ID, host: 'db.internal' }), 'POLICY_DENIED'],
      ["a name's port", alice, directOpen(80, { id: ID, host: 'www.example' }), 'POLICY_DENIED'],
      ['a protected address', bob, directOpen(80, { id: ID, host: '169.254.169.254' }), 'PROTECTED_DESTINATION'],
      ['the server itself', bob, directOpen(server.port, { id: ID }), 'OWN_LISTENER'],
      ['a path', bob, socketOpen('/run/docker.sock', ID), 'POLICY_DENIED'],
      ['a link to something', alice, socketOpen(join(folder, 'there.sock'), ID), 'POLICY_DENIED'],
      ['a link to nothing', alice, socketOpen(join(folder, 'nowhere.sock'), ID), 'POLICY_DENIED'],
    ];
    for (const [name, client, open, reason] of opens) {
      const from = server.events.mark();
      client.send(open);
      t.same(await client.take(MSG.CHANNEL_OPEN_FAILURE), EXPECTED, name);
      await server.events.wait('channel.refused', { reason }, from);
    }
    alice.send(message(MSG.GLOBAL_REQUEST, 'no-more-sessions@openssh.com', true));
    await replied(alice);
    alice.send(message(MSG.CHANNEL_OPEN, 'session', ID, 1000, 32_768));
    t.same(await alice.take(MSG.CHANNEL_OPEN_FAILURE), EXPECTED, 'a session');

    const held = (await asked(alice, bindRequest('localhost', 0))) ?? 0;
    for (const [name, bind, reason] of [
      ['a port that is not permitted', bindRequest('localhost', 80), 'POLICY_DENIED'],
      ['an address that is not permitted', bindRequest('0.0.0.0', 20_000), 'POLICY_DENIED'],
      ["another's port", bindRequest('127.0.0.1', held), 'PORT_TAKEN'],
      ["the server's port", bindRequest('127.0.0.1', server.port), 'PORT_TAKEN'],
      ['no address', bindRequest('a b', 20_000), 'BAD_ADDRESS'],
      ['a path', bindSocketRequest('/run/docker.sock'), 'POLICY_DENIED'],
    ] as const) {
      const from = server.events.mark();
      bob.send(bind);
      t.same(await bob.take(MSG.REQUEST_FAILURE), message(MSG.REQUEST_FAILURE), name);
      await server.events.wait('forward.refused', { user: 'bob', reason }, from);
    }
  },
);
