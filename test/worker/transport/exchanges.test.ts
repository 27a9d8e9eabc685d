/** The exchanges that stand in ssh2's place, with ssh2's own client at the other end: which one is agreed, what a secret looks like,
 *  and the public keys that end the connection. OpenSSH's client stands in test/flow/post_quantum.test.ts. */
import { createHash, createPublicKey, generateKeyPairSync, verify } from 'node:crypto';
import { createRequire } from 'node:module';
import t, { type Test } from 'tap';
import { newKeyPair } from '../../../src/master/openssh_key.js';
import { KEX_ALGORITHMS } from '../../../src/shared/algorithms.js';
import { concatFields, DISCONNECT, MSG, WireReader } from '../../../src/shared/protocol.js';
import { HYBRID_KEX, makeOffer } from '../../../src/worker/transport/algorithms.js';
import { Exchanges } from '../../../src/worker/transport/exchanges.js';
import { parseHostKeys } from '../../../src/worker/transport/host_key.js';
import { loadMlKem } from '../../../src/worker/transport/ml_kem.js';
import {
  loadSsh2,
  type Ssh2KexInit,
  type Ssh2KeyExchange,
  type Ssh2Protocol,
} from '../../../src/worker/transport/ssh2.js';
import { acceptStandIn, HybridClient, useHybridClient } from '../../support/hybrid_client.js';
import { LOW_ORDER_POINTS } from '../../support/low_order.js';
import { mpintOf } from '../../support/mpint.js';
import { ecdhInit, kexInit, plainPacket } from '../../support/plain_client.js';

interface ClientProtocol {
  readonly start: () => void;
  parse(chunk: Uint8Array, start: number, end: number): void;
  _kex: Ssh2KeyExchange | undefined;
}

const ssh2 = loadSsh2();
const mlKem = await loadMlKem();
const ClientSide: new (options: object) => ClientProtocol = createRequire(import.meta.url)(
  'ssh2/lib/protocol/Protocol.js',
);
const hostKeyPair = newKeyPair('ed25519', 'test');
const hostKeys = parseHostKeys(ssh2, [{ path: 'test', pem: hostKeyPair.privateKey }]);
const SUITE = { cipher: ['aes128-gcm@openssh.com'], mac: [], compress: ['none'], lang: [] };
const SHORT = { serverHostKey: ['ssh-ed25519'], cs: SUITE, sc: SUITE };
const OFFERED = { ciphers: SUITE.cipher, macs: SUITE.mac, hostKeys: hostKeys.algorithms };
const BAD_KEY = DISCONNECT.KEY_EXCHANGE_FAILED;

const hex = (text: string): Buffer => Buffer.from(text, 'hex');

interface Server {
  readonly protocol: Ssh2Protocol;
  readonly exchanges: Exchanges;
  /** What it has written, until somebody takes it. */
  readonly written: Buffer[];
  readonly ends: string[];
}

function startServer(kex: readonly string[] = KEX_ALGORITHMS): Server {
  const written: Buffer[] = [];
  const ends: string[] = [];
  const protocol = new ssh2.Protocol({
    server: true,
    hostKeys: hostKeys.byAlgorithm,
    offer: makeOffer(ssh2, { ...OFFERED, kex }),
    onWrite: (data) => written.push(Buffer.from(data)),
    onError: (error) => ends.push(`server: ${error.message}`),
    messageHandlers: { DISCONNECT: (_protocol, reason) => ends.push(`server: ${reason}`) },
  });
  const exchanges = new Exchanges(protocol, kex, hostKeys, mlKem);
  protocol._onHandshakeComplete = (negotiated) => void ends.push(`server: ${negotiated.kex}`);
  protocol.start?.();
  return { protocol, exchanges, written, ends };
}

/** The server has the client's ident. */
function greet({ protocol, exchanges }: Server, ident: Buffer): void {
  protocol.parse(ident, 0, ident.length);
  exchanges.readFirstOf(protocol);
}

/** One key exchange within memory, ssh2 with its own DER at the client's end. */
function negotiate(
  kex: readonly string[],
  options: {
    readonly offered?: readonly string[];
    readonly init?: (sound: Buffer) => Buffer;
    readonly prepare?: (client: ClientProtocol) => void;
  } = {},
) {
  const server = startServer(options.offered);
  const { ends } = server;
  const toServer: Buffer[] = [];
  const offer: Ssh2KexInit = new ssh2.KexInit({ kex, ...SHORT });
  const isHybrid = kex[0] === HYBRID_KEX;
  if (isHybrid) acceptStandIn(offer);
  const client = new ClientSide({
    server: false,
    offer,
    onWrite: (data: Buffer) => toServer.push(Buffer.from(data)),
    onError: (error: Error) => ends.push(`client: ${error.message}`),
    onHandshakeComplete: () => ends.push('client: agreed'),
    messageHandlers: { DISCONNECT: (_protocol: unknown, reason: number) => ends.push(`client: DISCONNECT ${reason}`) },
  });
  options.prepare?.(client);
  if (isHybrid) useHybridClient(client, options.init === undefined ? {} : { init: options.init });
  client.start();
  const [ident = Buffer.alloc(0)] = toServer.splice(0, 1);
  greet(server, ident);
  while (toServer.length > 0 || server.written.length > 0) {
    for (const bytes of toServer.splice(0)) server.protocol.parse(bytes, 0, bytes.length);
    for (const bytes of server.written.splice(0)) client.parse(bytes, 0, bytes.length);
  }
  return { ends: ends.sort(), server: server.protocol, client };
}

for (const kex of ['curve25519-sha256', 'curve25519-sha256@libssh.org', 'ecdh-sha2-nistp256', HYBRID_KEX])
  t.test(`agrees with a client of ssh2's, ${kex}`, async (t) => {
    // A login that fails once in 256 is the fault of an mpint.
    for (let round = 0; round < 20; round++) {
      const { ends, server, client } = negotiate([kex]);
      t.same(ends, ['client: agreed', `server: ${kex}`]);
      t.same(server._kex?.sessionID, client._kex?.sessionID);
      t.equal(server._kex?.sessionID.length, 32);
    }
  });

t.test('RFC 4253 §7.1: the first of the client’s names that we offer', async (t) => {
  const cases: ReadonlyArray<readonly [client: readonly string[], agreed: string]> = [
    [['ecdh-sha2-nistp256', 'curve25519-sha256'], 'ecdh-sha2-nistp256'],
    [['sntrup761x25519-sha512', 'curve25519-sha256@libssh.org', HYBRID_KEX], 'curve25519-sha256@libssh.org'],
    [['diffie-hellman-group14-sha256', HYBRID_KEX, 'curve25519-sha256'], HYBRID_KEX],
  ];
  for (const [names, agreed] of cases) {
    const server = startServer();
    greet(server, Buffer.from('SSH-2.0-Test\r\n'));
    const packet = plainPacket(kexInit({ kex: names }));
    server.protocol.parse(packet, 0, packet.length);
    t.equal(server.protocol._kex?.negotiated?.kex, agreed, names.join());
  }
});

t.test('what the config leaves out is not to be had, the stand-in neither', async (t) => {
  for (const [offered, asked] of [
    [[HYBRID_KEX], ['curve25519-sha256', 'ecdh-sha2-nistp256']],
    [['ecdh-sha2-nistp256'], ['curve25519-sha256', HYBRID_KEX]],
  ] as const) {
    const { ends } = exchangeWith(offered, asked);
    t.match(ends, [/no matching key exchange algorithm/], `${offered} and ${asked}`);
  }
  t.same(exchangeWith([HYBRID_KEX], ['curve25519-sha256', HYBRID_KEX]).ends, [], 'the twin');
});

function exchangeWith(offered: readonly string[], asked: readonly string[]): Server {
  const server = startServer(offered);
  greet(server, Buffer.from('SSH-2.0-Test\r\n'));
  const packet = plainPacket(kexInit({ kex: asked }));
  server.protocol.parse(packet, 0, packet.length);
  return server;
}

t.test(
  'what ssh2 reads of a KEXINIT: the agreed exchange, the announcements, and all the rest as it came',
  async (t) => {
    const { exchanges } = startServer();
    const read = (kex: readonly string[]): string[] => {
      const payload = kexInit({ kex, cipher: ['aes256-ctr', 'x'], firstKexFollows: true });
      const shown = exchanges.read(payload);
      t.same(shown.subarray(0, 17), payload.subarray(0, 17));
      const rest = (bytes: Buffer): Buffer => {
        const reader = new WireReader(bytes, 17);
        reader.bytes();
        return reader.rest();
      };
      t.same(rest(shown), rest(payload));
      return new WireReader(shown, 17).text().split(',');
    };
    t.same(read([HYBRID_KEX, 'curve25519-sha256', 'ext-info-c']), ['curve25519-sha256', 'ext-info-c']);
    t.same(read(['ecdh-sha2-nistp256', HYBRID_KEX, 'kex-strict-c-v00@openssh.com']), [
      'ecdh-sha2-nistp256',
      'kex-strict-c-v00@openssh.com',
    ]);
    t.same(read(['kex-strict-s-v00@openssh.com', 'none']), [''], 'our own announcement is no exchange');
    for (const end of [0, 1, 17, 20, 30]) {
      const short = kexInit().subarray(0, end);
      t.same(exchanges.read(short), short, 'what cannot be read stays as it is');
    }
  },
);

t.test('RFC 8731 §3.1: a secret is an mpint: no leading zeros, and one before a high bit', async (t) => {
  const seen = new Set<number>();
  for (let round = 0; round < 600 && seen.size < 3; round++) {
    const { protocol } = exchangeWith(KEX_ALGORITHMS, ['curve25519-sha256']);
    const pair = generateKeyPairSync('x25519');
    const theirs = pair.publicKey.export({ type: 'spki', format: 'der' }).subarray(-32);
    const secret = protocol._kex?.computeSecret?.(theirs);
    if (!Buffer.isBuffer(secret)) throw new Error('no secret');
    t.same(secret, mpintOf(secret), 'as short as it may be');
    seen.add(secret.length);
  }
  t.ok(seen.has(33) && seen.has(32), [...seen].join());
});

t.test('the hybrid secret is a string of 32 bytes, whatever it begins with', async (t) => {
  // The hash and the signature by RFC 4253 §8 and the draft's §2.4, and not by ssh2.
  const ident = 'SSH-2.0-Test';
  const firstBytes = new Set<number>();
  for (let round = 0; round < 40; round++) {
    const server = startServer();
    greet(server, Buffer.from(`${ident}\r\n`));
    const client = new HybridClient();
    const clientKexInit = kexInit({ kex: [HYBRID_KEX] });
    for (const payload of [clientKexInit, ecdhInit(client.init)]) {
      const packet = plainPacket(payload);
      server.protocol.parse(packet, 0, packet.length);
    }
    const [line = Buffer.alloc(0), ...packets] = server.written;
    const [serverKexInit = Buffer.alloc(0), reply = Buffer.alloc(0)] = packets.map(payloadOf);
    const reader = new WireReader(reply, 1);
    const [hostKey, serverReply, signature] = [reader.bytes(), reader.bytes(), reader.bytes()];
    t.equal(serverReply.length, 1088 + 32);
    const secret = client.secretFrom(serverReply);
    const serverIdent = line.toString('latin1').trimEnd();
    const hashed = [ident, serverIdent, clientKexInit, serverKexInit, hostKey, client.init, serverReply, secret];
    const exchangeHash = createHash('sha256').update(concatFields(hashed)).digest();
    const signed = new WireReader(signature);
    signed.text();
    const jwk = { kty: 'OKP', crv: 'Ed25519', x: hostKey.subarray(-32).toString('base64url') };
    t.ok(verify(null, exchangeHash, createPublicKey({ key: jwk, format: 'jwk' }), signed.bytes()));
    firstBytes.add((secret[0] ?? 0) >> 7);
  }
  t.equal(firstBytes.size, 2, 'with the high bit and without');
});

function payloadOf(packet: Buffer): Buffer {
  return packet.subarray(5, packet.length - packet.readUInt8(4));
}

t.test('RFC 8731 §3: a client whose key is refused is told KEY_EXCHANGE_FAILED', async (t) => {
  for (const clientKey of [Buffer.alloc(32), Buffer.alloc(31, 9), Buffer.alloc(33, 9)]) {
    const { ends } = negotiate(['curve25519-sha256'], { prepare: (client) => sayInstead(client, clientKey) });
    refused(t, ends, `${clientKey.length} bytes`);
  }
});

t.test('so is one with a hybrid key that is none', async (t) => {
  const cases: ReadonlyArray<readonly [name: string, init: (sound: Buffer) => Buffer]> = [
    ['nothing', () => Buffer.alloc(0)],
    ['X25519 alone', (sound) => sound.subarray(1184)],
    ['ML-KEM alone', (sound) => sound.subarray(0, 1184)],
    ['a byte short', (sound) => sound.subarray(0, -1)],
    ['a byte long', (sound) => Buffer.concat([sound, Buffer.of(0)])],
    ['the other order', (sound) => Buffer.concat([sound.subarray(1184), sound.subarray(0, 1184)])],
    ['FIPS 203 §7.2: a number that is the modulus', (sound) => withNumber(sound, 0, 3329)],
    ['FIPS 203 §7.2: the largest number, as the last', (sound) => withNumber(sound, 767, 4095)],
    ...LOW_ORDER_POINTS.map((point) => {
      const init = (sound: Buffer): Buffer => Buffer.concat([sound.subarray(0, 1184), hex(point)]);
      return [`a point of low order, ${point.slice(0, 8)}`, init] as const;
    }),
  ];
  for (const [name, init] of cases) {
    const { ends } = negotiate([HYBRID_KEX], { init });
    refused(t, ends, name);
  }
  const twin = exchangeWith(KEX_ALGORITHMS, [HYBRID_KEX]);
  const packet = plainPacket(ecdhInit(withNumber(new HybridClient().init, 5, 3328)));
  twin.protocol.parse(packet, 0, packet.length);
  t.same(twin.ends, [], 'a number below the modulus is one');
  t.equal(twin.written.map((bytes) => bytes[5]).at(-1), MSG.NEWKEYS);
});

/** Sets one of the 768 numbers of 12 bits (FIPS 203, ByteEncode). */
function withNumber(init: Buffer, index: number, value: number): Buffer {
  const spoilt = Buffer.from(init);
  const at = Math.floor(index / 2) * 3;
  const pair = spoilt.readUIntLE(at, 3);
  spoilt.writeUIntLE(index % 2 === 0 ? (pair & 0xfff000) | value : (pair & 0xfff) | (value << 12), at, 3);
  return spoilt;
}

function refused(t: Test, ends: readonly string[], name: string): void {
  t.ok(ends.includes(`client: DISCONNECT ${BAD_KEY}`), `${name}: ${ends.join(', ')}`);
  t.notOk(ends.includes('client: agreed'), name);
}

function sayInstead(client: ClientProtocol, key: Buffer): void {
  let current: Ssh2KeyExchange | undefined;
  Object.defineProperty(client, '_kex', {
    get: () => current,
    set(made: Ssh2KeyExchange) {
      current = made;
      current.getPublicKey = () => key;
    },
  });
}

t.test('an exchange that nobody has agreed on is an error, and none is taken', async (t) => {
  const { protocol } = exchangeWith(KEX_ALGORITHMS, ['curve25519-sha256']);
  const made = protocol._kex;
  protocol._kex = undefined;
  t.equal(protocol._kex, undefined);
  t.throws(() => {
    protocol._kex = made;
  }, /not agreed/);
});

t.test('each exchange has keys of its own', async (t) => {
  const keys = [1, 2].map(() => exchangeWith(KEX_ALGORITHMS, ['curve25519-sha256']).protocol._kex?.getPublicKey?.());
  t.equal(keys[0]?.length, 32);
  t.notSame(keys[0], keys[1]);
});
