/** A08: messages that only a server says, or that are an answer to no question, before and during a login. Two of them made ssh2's
 *  own server throw; libssh let in whoever said USERAUTH_SUCCESS (CVE-2018-10933). */
import t from 'tap';
import { DISCONNECT, MSG, message } from '../../src/shared/protocol.js';
import { endsBeforeLogin, hostile } from '../support/hostile.js';
import { passwordRequest } from '../support/raw_client.js';

const MESSAGES: ReadonlyArray<readonly [name: string, payload: Buffer]> = [
  ['SERVICE_ACCEPT', message(MSG.SERVICE_ACCEPT, 'ssh-userauth')],
  ['USERAUTH_FAILURE', message(MSG.USERAUTH_FAILURE, 'password', false)],
  ['USERAUTH_SUCCESS (CVE-2018-10933)', message(MSG.USERAUTH_SUCCESS)],
  ['USERAUTH_BANNER', message(MSG.USERAUTH_BANNER, 'x', '')],
  ['message 60', message(60, 'ssh-ed25519', Buffer.alloc(51))],
  ['message 60, empty', message(60)],
  ['message 60, cut short', Buffer.from([60, 0, 0, 0, 9, 1])],
  ['INFO_RESPONSE to no question', message(61, 1, 'password')],
  ['INFO_RESPONSE, cut short', Buffer.from([61, 0])],
  ['INFO_RESPONSE with 2^32-1 answers', message(61, 0xffff_ffff)],
  ['message 63', message(63, 'token')],
  ['message 79', message(79)],
  ['a second NEWKEYS', message(MSG.NEWKEYS)],
  ['a KEXDH_INIT', message(30, Buffer.alloc(32, 9))],
];

const options = { withPassword: true };

hostile(t, 'A08', "a server's messages from a client", options, async (t, { server, stranger }) => {
  const from = server.events.mark();
  for (const [name, payload] of MESSAGES) {
    await endsBeforeLogin(t, stranger, name, payload);

    const during = stranger();
    await during.ready;
    during.send(message(MSG.SERVICE_REQUEST, 'ssh-userauth'));
    during.send(passwordRequest('bob', 'wrong')); // its hash is being computed when the next message comes
    during.send(payload);
    const end = await during.ended;
    t.match(end, { reason: DISCONNECT.PROTOCOL_ERROR }, `${name}, while a password is checked`);
    t.notOk(during.untaken.includes(MSG.USERAUTH_SUCCESS), 'nobody was let in');
  }
  for (const [name, payload] of [
    ['SERVICE_REQUEST, cut short', Buffer.from([5, 0, 0, 0, 9, 1])],
    ['USERAUTH_REQUEST, cut short', Buffer.from([50, 0, 0, 0, 9, 1])],
  ] as const) {
    const client = stranger();
    await client.ready;
    client.send(message(MSG.SERVICE_REQUEST, 'ssh-userauth'));
    await client.take(MSG.SERVICE_ACCEPT);
    client.send(payload);
    t.match(await client.ended, { reason: DISCONNECT.PROTOCOL_ERROR }, name);
  }
  const connection = stranger();
  await connection.ready;
  connection.send(message(MSG.SERVICE_REQUEST, 'ssh-connection'));
  t.match(await connection.ended, { reason: DISCONNECT.SERVICE_NOT_AVAILABLE }, 'a service that is not there yet');

  const count = 3 * MESSAGES.length + 3;
  await server.events.waitAll(count, 'connection.closed', { reason: 'PROTOCOL_ERROR' }, from);
  const told = server.events.list('connection.closed', { reason: 'PROTOCOL_ERROR' }, from);
  t.equal(told.length, count, 'one line tells of each');
});
