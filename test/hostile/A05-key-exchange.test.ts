/** A05: games with the key exchange (RFC 4253 §7): silence in the middle of it, thousands of names, a guess that is wrong, a
 *  second KEXINIT, and messages that strict key exchange forbids (CVE-2023-48795). */
import t from 'tap';
import { DISCONNECT, MSG, message } from '../../src/shared/protocol.js';
import { hostile, type Scene } from '../support/hostile.js';
import {
  CURVE25519,
  ecdhInit,
  KEX_ECDH_INIT,
  KEX_ECDH_REPLY,
  kexInit,
  PlainClient,
  plainPacket,
  STRICT_KEX,
  X25519_POINT,
} from '../support/plain_client.js';

const GRACE_SECONDS = 8;
const options = { config: { auth: { loginGraceTime: `${GRACE_SECONDS}s` } } };

async function plain({ tcp }: Scene): Promise<PlainClient> {
  return new PlainClient(await tcp());
}

/** Resolves when the server has taken the exchange to its end. */
async function exchanged(client: PlainClient): Promise<void> {
  client.send(ecdhInit(X25519_POINT));
  await client.take(KEX_ECDH_REPLY);
  await client.take(MSG.NEWKEYS);
  client.socket.destroy();
}

hostile(t, 'A05', 'games with the key exchange', options, async (t, scene) => {
  const { server, stranger, login } = scene;
  const from = server.events.mark();
  const silent = await plain(scene);
  silent.send(kexInit());
  const silentSince = performance.now();
  const peer = `127.0.0.1:${silent.socket.localPort}`;
  // As one whose person looks at our host key all that time.
  const undecided = await plain(scene);
  undecided.send(kexInit());
  undecided.send(ecdhInit(X25519_POINT));
  await undecided.take(MSG.NEWKEYS);
  const undecidedBytes = undecided.socket.bytesRead;

  await t.test('ten thousand names are read, and none of them is in the way of the last', async () => {
    const client = await plain(scene);
    client.send(kexInit({ kex: [...Array.from({ length: 10_000 }, () => 'xy'), CURVE25519] }));
    await exchanged(client);
  });
  await t.test('a KEXINIT beyond the largest packet ends the connection before it has come', async (t) => {
    const client = await plain(scene);
    client.socket.write(plainPacket(Buffer.of(MSG.KEXINIT), { length: 35_004 }));
    t.match(await client.ended, { reason: DISCONNECT.PROTOCOL_ERROR });
  });

  await t.test('§7: a guess that is wrong is passed over, and the exchange goes on', async () => {
    const client = await plain(scene);
    client.send(kexInit({ kex: ['diffie-hellman-group14-sha256', CURVE25519], firstKexFollows: true }));
    client.send(message(KEX_ECDH_INIT, Buffer.alloc(256, 0x55)));
    await exchanged(client);
  });
  await t.test('§7: it may be any packet, but only one', async (t) => {
    const client = await plain(scene);
    client.send(kexInit({ kex: ['diffie-hellman-group14-sha256', CURVE25519], firstKexFollows: true }));
    client.send(message(KEX_ECDH_INIT, Buffer.alloc(256, 0x55)));
    client.send(message(MSG.SERVICE_REQUEST, 'ssh-userauth'));
    t.match(await client.ended, { reason: DISCONNECT.KEY_EXCHANGE_FAILED });
  });

  await t.test('a second KEXINIT ends the connection', async (t) => {
    const client = await plain(scene);
    client.send(kexInit());
    client.send(kexInit());
    t.match(await client.ended, { reason: DISCONNECT.KEY_EXCHANGE_FAILED });
  });
  await t.test('so does one between the keys and the login', async (t) => {
    const client = stranger();
    await client.ready;
    client.rekey().catch(() => {});
    t.match(await client.ended, { reason: DISCONNECT.PROTOCOL_ERROR, text: 'too early to re-key' });
  });

  const messages: ReadonlyArray<readonly [name: string, payload: Buffer]> = [
    ['IGNORE', message(MSG.IGNORE, 'x')],
    ['DEBUG', message(MSG.DEBUG, true, 'x', '')],
    ['UNIMPLEMENTED', message(MSG.UNIMPLEMENTED, 0)],
  ];
  for (const [name, payload] of messages) {
    await t.test(`${name} within a strict key exchange ends the connection`, async (t) => {
      const within = await plain(scene);
      within.send(kexInit({ kex: [CURVE25519, STRICT_KEX] }));
      within.send(payload);
      t.match(await within.ended, { reason: DISCONNECT.KEY_EXCHANGE_FAILED });
      const before = await plain(scene);
      before.send(payload);
      before.send(kexInit({ kex: [CURVE25519, STRICT_KEX] }));
      t.match(await before.ended, { reason: DISCONNECT.KEY_EXCHANGE_FAILED });
    });
    await t.test(`${name} within another one is passed over`, async () => {
      const client = await plain(scene);
      client.send(payload);
      client.send(kexInit());
      client.send(payload);
      await exchanged(client);
    });
  }
  for (const [name, payload] of [
    ['a service request', message(MSG.SERVICE_REQUEST, 'ssh-userauth')],
    ['a login', message(MSG.USERAUTH_REQUEST, 'alice', 'ssh-connection', 'none')],
    ['NEWKEYS ahead of the exchange', message(MSG.NEWKEYS)],
  ] as const)
    await t.test(`${name} within a key exchange ends the connection`, async (t) => {
      const client = await plain(scene);
      client.send(kexInit());
      client.send(payload);
      t.match(await client.ended, { reason: DISCONNECT.KEY_EXCHANGE_FAILED });
    });
  await t.test('passed over without end: a peer has 128 KiB to come to its keys', async (t) => {
    const client = await plain(scene);
    const ignored = message(MSG.IGNORE, Buffer.alloc(16 * 1024));
    for (let count = 0; count < 9; count++) client.send(ignored);
    t.match(await client.ended, { reason: DISCONNECT.PROTOCOL_ERROR });
  });

  await t.test('CVE-2023-48795: chacha20-poly1305 is served to strict peers only, AES-GCM to all', async (t) => {
    const exposed = stranger({ cipher: 'chacha20-poly1305@openssh.com', strict: false });
    t.match(await exposed.ended, { reason: DISCONNECT.KEY_EXCHANGE_FAILED });
    const safe = await login({ cipher: 'aes128-gcm@openssh.com', strict: false });
    await t.resolves(safe.roundTrip());
  });
  for (const cipher of ['none', '3des-cbc', 'aes128-cbc', 'arcfour'])
    await t.test(`${cipher} is not to be had`, async (t) => {
      const client = await plain(scene);
      client.send(kexInit({ cipher: [cipher] }));
      t.match(await client.ended, { reason: DISCONNECT.KEY_EXCHANGE_FAILED });
    });

  t.match(await silent.ended, { reason: DISCONNECT.BY_APPLICATION, text: 'login took too long' });
  t.same(await undecided.ended, { reason: null, text: '' }, '§7.3: behind our NEWKEYS the clear is no way to say it');
  t.equal(undecided.socket.bytesRead, undecidedBytes, 'so nothing is said');
  t.ok(performance.now() - silentSince >= (GRACE_SECONDS - 1) * 1000, 'silence has until the deadline');
  await server.events.wait('connection.closed', { reason: 'LOGIN_TIMEOUT', peer }, from);
  t.equal(server.events.list('connection.closed', { peer }, from).length, 1, 'one line tells it');
});
