/** A07: the connection protocol before there is a login (RFC 4252 §6; CVE-2025-32433 of Erlang's server ran commands that way). */
import t from 'tap';
import { DISCONNECT, MSG, message } from '../../src/shared/protocol.js';
import { endsBeforeLogin, hostile } from '../support/hostile.js';
import { directOpen, passwordRequest } from '../support/raw_client.js';

const MESSAGES: ReadonlyArray<readonly [name: string, payload: Buffer]> = [
  ['a global request', message(MSG.GLOBAL_REQUEST, 'tcpip-forward', true, 'localhost', 0)],
  ['a request that wants no reply', message(MSG.GLOBAL_REQUEST, 'keepalive@openssh.com', false)],
  ['REQUEST_SUCCESS', message(MSG.REQUEST_SUCCESS)],
  ['a session', message(MSG.CHANNEL_OPEN, 'session', 0, 1000, 1000)],
  ['a direct-tcpip', directOpen(22)],
  ['an open confirmation', message(MSG.CHANNEL_OPEN_CONFIRMATION, 0, 0, 1000, 1000)],
  ['a window adjust', message(MSG.CHANNEL_WINDOW_ADJUST, 0, 1)],
  ['channel data', message(MSG.CHANNEL_DATA, 0, 'exec')],
  ['EOF', message(MSG.CHANNEL_EOF, 0)],
  ['CLOSE', message(MSG.CHANNEL_CLOSE, 0)],
  ['exec (CVE-2025-32433)', message(MSG.CHANNEL_REQUEST, 0, 'exec', true, 'id')],
  ['message 80, empty', message(80)],
  ['message 128', message(128)],
  ['message 192, ping@openssh.com', message(MSG.PING, 'x')],
  ['message 255', message(255)],
];

hostile(t, 'A07', 'messages of the connection protocol before the login', {}, async (t, { server, stranger }) => {
  const from = server.events.mark();
  for (const [name, payload] of MESSAGES) {
    await endsBeforeLogin(t, stranger, name, payload);
  }
  const ahead = stranger();
  await ahead.ready;
  ahead.send(message(MSG.SERVICE_REQUEST, 'ssh-userauth'));
  ahead.send(passwordRequest('alice', 'wrong'));
  ahead.send(directOpen(22));
  t.match(await ahead.ended, { reason: DISCONNECT.PROTOCOL_ERROR }, 'sent ahead of the answer to a login');

  const count = 2 * MESSAGES.length + 1;
  await server.events.waitAll(count, 'connection.closed', { reason: 'PROTOCOL_ERROR' }, from);
  const told = server.events.list('connection.closed', { reason: 'PROTOCOL_ERROR' }, from);
  t.equal(told.length, count, 'one line tells of each');
  t.same(server.events.list('channel.refused', {}, from), [], 'nothing was asked of anybody');
});
