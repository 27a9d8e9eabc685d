/** RFC 8731 with raw keys: the vectors of RFC 7748, node's own arithmetic, ssh2's exchange at the other end and in the same
 *  place, and the public keys that must not become a secret. */
import crypto, { createPrivateKey, createPublicKey, diffieHellman, type KeyObject } from 'node:crypto';
import { createRequire, syncBuiltinESMExports } from 'node:module';
import t, { type Test } from 'tap';
import { newKeyPair } from '../../../src/master/openssh_key.js';
import { parseHostKeys } from '../../../src/worker/transport/host_key.js';
import { loadSsh2, type Ssh2KeyExchange, type Ssh2Protocol } from '../../../src/worker/transport/ssh2.js';
import { useRawX25519 } from '../../../src/worker/transport/x25519.js';
import { LOW_ORDER_POINTS } from '../../support/low_order.js';
import { mpintOf } from '../../support/mpint.js';

interface ClientProtocol {
  readonly start: () => void;
  parse(chunk: Uint8Array, start: number, end: number): void;
  _kex: Ssh2KeyExchange | undefined;
}

const ssh2 = loadSsh2();
const ClientSide: new (options: object) => ClientProtocol = createRequire(import.meta.url)(
  'ssh2/lib/protocol/Protocol.js',
);
const hostKeys = parseHostKeys(ssh2, [{ path: 'test', pem: newKeyPair('ed25519', 'test').privateKey }]);
const SUITE = { cipher: ['aes128-gcm@openssh.com'], mac: [], compress: ['none'], lang: [] };
const KEX = { serverHostKey: ['ssh-ed25519'], cs: SUITE, sc: SUITE };

const hex = (text: string): Buffer => Buffer.from(text, 'hex');

/** RFC 7748 §6.1. */
const ALICE = {
  privateKey: hex('77076d0a7318a57d3c16c17251b26645df4c2f87ebc0992ab177fba51db92c2a'),
  publicKey: hex('8520f0098930a754748b7ddcb43ef75a0dbf3a0d26381af4eba4a98eaa9b4e6a'),
};
const BOB = {
  privateKey: hex('5dab087e624a8a4b79e17f8b83800ee66f3bb1292618b6fd1c2f8b27ff88e0eb'),
  publicKey: hex('de9edb7d7b7dc1b4d35b61c2ece435373f8343c85b78674dadfc7e146f882b4f'),
};
const SHARED = hex('4a5d9d5ba4ce2de1728e3bf480350f25e07e21c947d19e3376f09b3c1e161742');

/** Private keys, as numbers in the bytes 4 to 8, whose secret with Alice begins in each way there is. */
const FORMS = { high: 1, plain: 4, zero: 73, zeroHigh: 1752 };

interface KeyPair {
  readonly privateKey: KeyObject;
  readonly publicKey: KeyObject;
}

function pairOf(privateBytes: Buffer): KeyPair {
  const pkcs8 = Buffer.concat([hex('302e020100300506032b656e04220420'), privateBytes]); // RFC 8410 §7
  const privateKey = createPrivateKey({ key: pkcs8, format: 'der', type: 'pkcs8' });
  return { privateKey, publicKey: createPublicKey(privateKey) };
}

/** The 32 bytes of a public key, by the other way: the end of its DER. */
function rawPublic({ publicKey }: KeyPair): Buffer {
  return publicKey.export({ type: 'spki', format: 'der' }).subarray(-32);
}

function newProtocol(): Ssh2Protocol {
  return new ssh2.Protocol({
    server: true,
    hostKeys: hostKeys.byAlgorithm,
    offer: new ssh2.KexInit({ kex: ['curve25519-sha256'], ...KEX }),
    onWrite() {},
    onError() {},
    messageHandlers: { DISCONNECT() {} },
  });
}

/** An exchange as ssh2 makes it, before and after `useRawX25519` has seen it. */
function exchangeOf(type = '25519') {
  const protocol = newProtocol();
  useRawX25519(protocol);
  const ssh2GetPublicKey = (): Buffer => Buffer.from('of ssh2');
  const ssh2ComputeSecret = (): Error => new Error('of ssh2');
  const kex: Ssh2KeyExchange = {
    type,
    sessionID: Buffer.alloc(0),
    remoteExtInfoEnabled: false,
    finish: undefined,
    getPublicKey: ssh2GetPublicKey,
    computeSecret: ssh2ComputeSecret,
  };
  protocol._kex = kex;
  return {
    protocol,
    kex,
    ssh2GetPublicKey,
    ssh2ComputeSecret,
    publicKey: () => kex.getPublicKey?.() ?? Buffer.alloc(0),
    secret: (theirs: Buffer) => kex.computeSecret?.(theirs) ?? new Error('no computeSecret'),
  };
}

/** The next exchange reckons with the private key given. */
function withPrivateKey<Value>(privateBytes: Buffer, run: () => Value): Value {
  const made = crypto.generateKeyPairSync;
  const { privateKey, publicKey } = pairOf(privateBytes);
  const answer = { privateKey, publicKey: publicKey.export({ format: 'jwk' }) };
  Reflect.set(crypto, 'generateKeyPairSync', () => answer);
  syncBuiltinESMExports();
  try {
    return run();
  } finally {
    Reflect.set(crypto, 'generateKeyPairSync', made);
    syncBuiltinESMExports();
  }
}

t.test('RFC 7748 §6.1: Alice and Bob', async (t) => {
  for (const [name, ours, theirs] of [
    ['as Alice', ALICE, BOB],
    ['as Bob', BOB, ALICE],
  ] as const)
    withPrivateKey(ours.privateKey, () => {
      const { publicKey, secret } = exchangeOf();
      t.same(publicKey(), ours.publicKey, name);
      t.same(secret(theirs.publicKey), SHARED, name);
    });
});

t.test('RFC 7748 §5: the highest bit of a public key does not count', async (t) => {
  withPrivateKey(ALICE.privateKey, () => {
    const masked = Buffer.from(BOB.publicKey);
    masked[31] = (masked[31] ?? 0) | 0x80;
    t.notSame(masked, BOB.publicKey);
    t.same(exchangeOf().secret(masked), SHARED);
  });
});

t.test('a secret is an mpint: no leading zeros, and one before a high bit', async (t) => {
  for (const [theirs, secret, sent] of [
    [FORMS.plain, 'plain', 32],
    [FORMS.high, 'high', 33],
    [FORMS.zero, 'zero', 31],
    [FORMS.zeroHigh, 'zero, then high', 32],
  ] as const)
    withPrivateKey(ALICE.privateKey, () => {
      const privateBytes = Buffer.alloc(32);
      privateBytes.writeUInt32BE(theirs, 4);
      const peer = pairOf(privateBytes);
      const raw = diffieHellman({ privateKey: pairOf(ALICE.privateKey).privateKey, publicKey: peer.publicKey });
      const made = exchangeOf().secret(rawPublic(peer));
      t.same(made, mpintOf(raw), secret);
      t.equal(made instanceof Error ? made.message : made.length, sent, secret);
    });
});

t.test('keys of its own: two exchanges agree with each other and with node', async (t) => {
  const keys = new Set<string>();
  for (let round = 0; round < 50; round++) {
    const [a, b] = [exchangeOf(), exchangeOf()];
    const secret = a.secret(b.publicKey());
    t.ok(Buffer.isBuffer(secret));
    t.same(secret, b.secret(a.publicKey()));
    const pair = crypto.generateKeyPairSync('x25519');
    const jwk = { kty: 'OKP', crv: 'X25519', x: a.publicKey().toString('base64url') };
    const publicKey = createPublicKey({ key: jwk, format: 'jwk' });
    t.same(a.secret(rawPublic(pair)), mpintOf(diffieHellman({ privateKey: pair.privateKey, publicKey })));
    for (const { publicKey } of [a, b]) keys.add(publicKey().toString('hex'));
  }
  t.equal(keys.size, 100, 'each exchange has a key pair of its own, and keeps to it');
});

t.test('a public key of another length is an Error, not a throw', async (t) => {
  for (const length of [0, 1, 31, 33, 64]) {
    const answer = exchangeOf().secret(Buffer.alloc(length, 9));
    t.ok(answer instanceof Error && answer.message.includes(`${length} bytes`), `${length}`);
  }
  t.ok(exchangeOf().secret(Buffer.concat([Buffer.alloc(1), BOB.publicKey])) instanceof Error, 'no mpint of a key');
});

t.test('RFC 8731 §3: points of low order are an Error, not a throw', async (t) => {
  for (const point of LOW_ORDER_POINTS) {
    const { publicKey, secret } = exchangeOf();
    t.ok(secret(hex(point)) instanceof Error, point);
    t.equal(publicKey().length, 32, 'and the exchange still knows its key');
  }
});

t.test('exchanges of another kind stay as they are, later ones and none are taken too', async (t) => {
  const other = exchangeOf('ecdh');
  t.equal(other.kex.getPublicKey, other.ssh2GetPublicKey);
  t.equal(other.kex.computeSecret, other.ssh2ComputeSecret);

  const { protocol, kex, publicKey } = exchangeOf();
  t.equal(protocol._kex, kex);
  const first = publicKey();
  const next = exchangeOf().kex;
  protocol._kex = { ...next, getPublicKey: undefined, computeSecret: undefined };
  t.equal(typeof protocol._kex.computeSecret, 'function', 'the exchange of a re-key');
  t.notSame(protocol._kex.getPublicKey?.(), first);
  protocol._kex = undefined;
  t.equal(protocol._kex, undefined);
});

/** One login's key exchange within memory, ssh2 with its own DER at the client's end. */
function negotiate(t: Test, kex: string, options: { readonly clientKey?: Buffer } = {}) {
  const ends: string[] = [];
  const toServer: Buffer[] = [];
  const toClient: Buffer[] = [];
  const server = new ssh2.Protocol({
    server: true,
    hostKeys: hostKeys.byAlgorithm,
    offer: new ssh2.KexInit({ kex: [kex], ...KEX }),
    onWrite: (data) => toClient.push(Buffer.from(data)),
    onError: (error) => ends.push(`server: ${error.message}`),
    messageHandlers: { DISCONNECT: (_protocol, reason) => ends.push(`server: ${reason}`) },
  });
  const client = new ClientSide({
    server: false,
    offer: new ssh2.KexInit({ kex: [kex], ...KEX }),
    onWrite: (data: Buffer) => toServer.push(Buffer.from(data)),
    onError: (error: Error) => ends.push(`client: ${error.message}`),
    onHandshakeComplete: () => ends.push('client: agreed'),
    messageHandlers: { DISCONNECT: (_protocol: unknown, reason: number) => ends.push(`client: DISCONNECT ${reason}`) },
  });
  const { clientKey } = options;
  if (clientKey !== undefined) {
    let current: Ssh2KeyExchange | undefined;
    Object.defineProperty(client, '_kex', {
      get: () => current,
      set(made: Ssh2KeyExchange) {
        current = made;
        current.getPublicKey = () => clientKey;
      },
    });
  }
  server._onHandshakeComplete = () => void ends.push('server: agreed');
  useRawX25519(server);
  server.start?.();
  client.start();
  while (toServer.length > 0 || toClient.length > 0) {
    for (const bytes of toServer.splice(0)) server.parse(bytes, 0, bytes.length);
    for (const bytes of toClient.splice(0)) client.parse(bytes, 0, bytes.length);
  }
  t.equal(server._kex?.type, '25519');
  return { ends: ends.sort(), server, client };
}

for (const kex of ['curve25519-sha256', 'curve25519-sha256@libssh.org'])
  t.test(`agrees with ssh2's own exchange, ${kex}`, async (t) => {
    // A login that fails once in 256 is the fault of an mpint.
    for (let round = 0; round < 20; round++) {
      const { ends, server, client } = negotiate(t, kex);
      t.same(ends, ['client: agreed', 'server: agreed']);
      t.same(server._kex?.sessionID, client._kex?.sessionID);
    }
  });

t.test('RFC 8731 §3: a client whose key is refused is told KEY_EXCHANGE_FAILED', async (t) => {
  for (const clientKey of [Buffer.alloc(32), Buffer.alloc(31, 9), Buffer.alloc(33, 9)]) {
    const { ends } = negotiate(t, 'curve25519-sha256', { clientKey });
    t.ok(ends.includes('client: DISCONNECT 3'), ends.join(', '));
    t.notMatch(ends.join(), /agreed/);
  }
});
