/** A15: a compressed packet of some KiB may hold gigabytes, so no compression is offered, before the login or after it; who wants
 *  nothing else gets no keys, and who would like it goes on without. */
import t from 'tap';
import { DISCONNECT, MSG, WireReader } from '../../src/shared/protocol.js';
import { exchange, MIB } from '../support/bytes.js';
import { hostile } from '../support/hostile.js';
import { ecdhInit, KEX_ECDH_REPLY, kexInit, PlainClient, X25519_POINT } from '../support/plain_client.js';
import { tunnel } from '../support/ssh.js';
import { connect, freePort } from '../support/targets.js';

const ZLIB = ['zlib', 'zlib@openssh.com'];
/** Lists of KEXINIT before those of compression, behind message number and cookie. */
const LISTS_BEFORE = 6;

hostile(t, 'A15', 'compression is not to be had', {}, async (t, { server, tcp, echoPort }) => {
  const from = server.events.mark();
  const client = new PlainClient(await tcp());
  const reader = new WireReader(await client.take(MSG.KEXINIT), 17);
  for (let list = 0; list < LISTS_BEFORE; list++) reader.text();
  t.same([reader.text(), reader.text()], ['none', 'none'], 'it is not offered, either way');
  client.send(kexInit({ compression: [...ZLIB, 'none'] }));
  client.send(ecdhInit(X25519_POINT));
  t.ok(await client.take(KEX_ECDH_REPLY), 'twin: who can do without goes on');

  for (const name of ZLIB) {
    const bomber = new PlainClient(await tcp());
    bomber.send(kexInit({ compression: [name] }));
    t.match(await bomber.ended, { reason: DISCONNECT.KEY_EXCHANGE_FAILED }, name);
  }
  await server.events.waitAll(ZLIB.length, 'connection.closed', { reason: 'KEX_FAILED' }, from);
  t.equal(server.events.list('connection.closed', { reason: 'KEX_FAILED' }, from).length, ZLIB.length, 'a line each');

  const near = await freePort();
  const { client: ssh } = await tunnel(t, server, server.alice, ['-C', '-L', `${near}:127.0.0.1:${echoPort}`]);
  const { sent, received } = await exchange(await connect(t, near), 'ssh -C', MIB);
  t.same(received, sent, 'ssh -C moves its bytes as they are');
  t.match(ssh.stderr, 'compression: none');
  await ssh.stop();
});
