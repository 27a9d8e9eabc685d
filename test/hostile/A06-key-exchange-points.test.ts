/** A06: public keys that would make a shared secret known to anybody: points of low order of Curve25519 (RFC 8731 §3), alone or in a
 *  hybrid key, keys that are none of ML-KEM-768 (FIPS 203 §7.2), points that are not on P-256 (RFC 5656 §4), and what is no point at all. Finite-field Diffie-Hellman, whose e = 0, 1 and p - 1 are the like,
 *  is not offered. */
import t from 'tap';
import { DISCONNECT, MSG } from '../../src/shared/protocol.js';
import { hostile } from '../support/hostile.js';
import { LOW_ORDER_POINTS } from '../support/low_order.js';
import { CURVE25519, ecdhInit, KEX_ECDH_REPLY, kexInit, PlainClient, X25519_POINT } from '../support/plain_client.js';

const hex = (text: string): Buffer => Buffer.from(text, 'hex');

const LOW_ORDER = LOW_ORDER_POINTS.map(hex);

/** SEC 2 §2.4.2: the base point. */
const [X, Y] = [
  '6b17d1f2e12c4247f8bce6e563a440f277037d812deb33a0f4a13945d898c296',
  '4fe342e2fe1a7f9b8ee7eb4a7c0f9e162bce33576b315ececbb6406837bf51f5',
] as const;
const P256 = 'ecdh-sha2-nistp256';
const FIELD = 'ffffffff00000001000000000000000000000000ffffffffffffffffffffffff';

/** A C_INIT: a key of ML-KEM-768 whose numbers are all zero is one, as far as FIPS 203 §7.2 looks. */
const HYBRID = 'mlkem768x25519-sha256';
const hybrid = (point: Buffer, mlKem: Buffer = Buffer.alloc(1184)): Buffer => Buffer.concat([mlKem, point]);

const REFUSED: ReadonlyArray<readonly [name: string, kex: string, point: Buffer]> = [
  ...LOW_ORDER.map((point) => [`low order ${point.toString('hex').slice(0, 8)}…`, CURVE25519, point] as const),
  ...[0, 31, 33, 1_000].map((bytes) => [`${bytes} bytes of 32`, CURVE25519, Buffer.alloc(bytes, 9)] as const),
  ['a point beside P-256', P256, hex(`04${X}${Y.replace(/5$/, '6')}`)],
  ['a point with coordinates beyond the field', P256, hex(`04${FIELD}${Y}`)],
  ['zeros', P256, hex(`04${'0'.repeat(128)}`)],
  ['infinity', P256, hex('00')],
  ['a point cut short', P256, hex(`04${X}${Y.slice(2)}`)],
  ['a point with more behind it', P256, hex(`04${X}${Y}00`)],
  ['a compressed point with no y', P256, hex(`02${'0'.repeat(62)}07`)],
  ['a form that is none', P256, hex(`05${X}${Y}`)],
  ['nothing', P256, Buffer.alloc(0)],
  ...LOW_ORDER.map((point) => [`low order ${point.toString('hex').slice(0, 8)}…`, HYBRID, hybrid(point)] as const),
  ...[0, 32, 1_184, 1_215, 1_217].map((bytes) => [`${bytes} bytes of 1216`, HYBRID, Buffer.alloc(bytes, 9)] as const),
  ['numbers beyond the modulus', HYBRID, hybrid(X25519_POINT, Buffer.alloc(1184, 0xff))],
];

hostile(t, 'A06', 'points that give the secret away', {}, async (t, { server, tcp }) => {
  const from = server.events.mark();
  const offered = async (kex: string, point: Buffer): Promise<PlainClient> => {
    const client = new PlainClient(await tcp());
    client.send(kexInit({ kex: [kex] }));
    client.send(ecdhInit(point));
    return client;
  };
  for (const [name, kex, point] of REFUSED) {
    const client = await offered(kex, point);
    t.match(await client.ended, { reason: DISCONNECT.KEY_EXCHANGE_FAILED }, `${kex}: ${name}`);
    t.notOk(client.untaken.includes(KEX_ECDH_REPLY), 'nothing was signed for it');
  }
  await server.events.waitAll(REFUSED.length, 'connection.closed', { reason: 'KEX_FAILED' }, from);
  const told = server.events.list('connection.closed', { reason: 'KEX_FAILED' }, from);
  t.equal(told.length, REFUSED.length, 'one line tells of each');

  for (const [kex, point] of [
    [CURVE25519, X25519_POINT],
    [P256, hex(`04${X}${Y}`)],
    [HYBRID, hybrid(X25519_POINT)],
  ] as const) {
    const client = await offered(kex, point);
    await client.take(KEX_ECDH_REPLY);
    t.ok(await client.take(MSG.NEWKEYS), `twin: a point of ${kex}`);
  }
  const client = new PlainClient(await tcp());
  client.send(kexInit({ kex: ['diffie-hellman-group14-sha256', 'diffie-hellman-group-exchange-sha256'] }));
  t.match(await client.ended, { reason: DISCONNECT.KEY_EXCHANGE_FAILED }, 'finite fields are not to be had');
});
