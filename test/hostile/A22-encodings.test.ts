/** A22: one address in every spelling that some resolver would take, and texts that are no host. What is checked is the
 *  address that would be dialled; what cannot be read is refused before any resolver sees it.
 *  A table of inputs: one server, one connection of each user. */
import t from 'tap';
import { MSG, message, OPEN_FAILURE } from '../../src/shared/protocol.js';
import { hostile } from '../support/hostile.js';
import { confirmed, LARGE_WINDOW_BYTES, openRefusal } from '../support/raw_client.js';

/** 127.0.0.1, by whichever road. */
const LOOPBACK = [
  '127.1',
  '127.0.1',
  '0x7f.1',
  '0x7F.0.0.1',
  '0x7f000001',
  '0177.0.0.1',
  '017700000001',
  '2130706433',
  '127.0.0.1.',
  '::ffff:127.0.0.1',
  '::FFFF:7f00:1',
  '0:0:0:0:0:ffff:127.0.0.1',
  '[::ffff:7f00:1]',
  '１２７.0.0.1',
  '127。0。0。1',
  'localhost',
  'LOCALHOST',
  'LocalHost.',
  'ｌｏｃａｌｈｏｓｔ',
  'any.localhost',
];
/** What holds a loopback address in itself and would be dialled as it stands: no pattern but one that names it opens it. */
const EMBEDDED = [
  '::127.0.0.1',
  '64:ff9b::127.0.0.1',
  '64:ff9b::7f00:1',
  '64:ff9b:1::7f00:1',
  '2002:7f00:1::',
  '2002:a9fe:a9fe::1',
  '::ffff:169.254.169.254',
  '64:ff9b::a9fe:a9fe',
];
const JUNK: readonly (string | Buffer)[] = [
  '',
  '.',
  'a..b',
  ' 127.0.0.1',
  '127.0.0.1 ',
  '127.0.0.1\n',
  '127.0.0.1\0',
  'good.example\0.evil.example',
  'good.example\r\nHost: evil.example',
  '127.0.0.1/8',
  '127.0.0.1:80',
  'user@127.0.0.1',
  '127.0.0.1#',
  '256.0.0.1',
  '1.2.3.4.5',
  '127.0.0.08',
  '4294967296',
  '0x100000000',
  'name.0x7f',
  '[127.0.0.1]',
  'fe80::1%lo',
  '::1%1',
  ':::',
  '1::2::3',
  '::ffff:127.0.0.256',
  `${'a'.repeat(64)}.example`,
  `${'a.'.repeat(255)}a`, // 256 labels
  'x'.repeat(30_000),
  'evil\u202egnp.example',
  Buffer.from([0xff, 0xfe, 0x2e, 0xc0]),
];

hostile(
  t,
  'A22',
  'spellings of addresses',
  { workers: [1], users: { alice: { permitOpen: ['*:*'] } } },
  async (t, { server, echoPort, login, stranger }) => {
    const alice = await login();
    const bob = stranger();
    await bob.login('bob', server.bob);
    let id = 0;
    const open = (host: string | Uint8Array): Buffer =>
      message(MSG.CHANNEL_OPEN, 'direct-tcpip', ++id, LARGE_WINDOW_BYTES, 32_768, host, echoPort, '127.0.0.1', 1);
    /** One line for each, and no other. */
    const told = async (user: string, reason: string, count: number): Promise<void> => {
      await server.events.waitAll(count, 'channel.refused', { user, reason });
      t.equal(server.events.list('channel.refused', { user, reason }).length, count, `${reason} of ${user} in the log`);
    };

    await t.test("'*:*' does not open the loopback", async (t) => {
      for (const host of [...LOOPBACK, ...EMBEDDED]) {
        alice.send(open(host));
        t.match(await openRefusal(alice, id), { reason: OPEN_FAILURE.ADMINISTRATIVELY_PROHIBITED }, host);
      }
      await told('alice', 'PROTECTED_DESTINATION', LOOPBACK.length + EMBEDDED.length);
    });

    await t.test("'localhost:*' opens it, and nothing that only holds its address", async (t) => {
      for (const host of LOOPBACK) {
        bob.send(open(host));
        const channel = await confirmed(bob, id);
        bob.send(message(MSG.CHANNEL_CLOSE, channel.peerId));
        await bob.take(MSG.CHANNEL_CLOSE);
      }
      for (const host of EMBEDDED) {
        bob.send(open(host));
        t.match(await openRefusal(bob, id), { reason: OPEN_FAILURE.ADMINISTRATIVELY_PROHIBITED }, host);
      }
    });

    await t.test('what is no host is refused as that, whatever is permitted', async (t) => {
      for (const host of JUNK)
        for (const client of [alice, bob]) {
          client.send(open(host));
          t.same(
            await openRefusal(client, id),
            { reason: OPEN_FAILURE.ADMINISTRATIVELY_PROHIBITED, text: 'invalid address or port' },
            JSON.stringify(host.toString().slice(0, 40)),
          );
        }
      for (const user of ['alice', 'bob']) await told(user, 'BAD_ADDRESS', JUNK.length);
    });
  },
);
