/** RFC 8731 with raw keys: the vectors of RFC 7748, node's own arithmetic, and the public keys that must not become a secret. */
import crypto, { createPrivateKey, createPublicKey, diffieHellman, type KeyObject } from 'node:crypto';
import { syncBuiltinESMExports } from 'node:module';
import t from 'tap';
import { X25519 } from '../../../src/worker/transport/x25519.js';
import { LOW_ORDER_POINTS } from '../../support/low_order.js';

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
      const own = new X25519();
      t.same(own.publicKey, ours.publicKey, name);
      t.same(own.secretWith(theirs.publicKey), SHARED, name);
    });
});

t.test('RFC 7748 §5: the highest bit of a public key does not count', async (t) => {
  withPrivateKey(ALICE.privateKey, () => {
    const masked = Buffer.from(BOB.publicKey);
    masked[31] = (masked[31] ?? 0) | 0x80;
    t.notSame(masked, BOB.publicKey);
    t.same(new X25519().secretWith(masked), SHARED);
  });
});

t.test('keys of its own: two exchanges agree with each other and with node', async (t) => {
  const keys = new Set<string>();
  for (let round = 0; round < 50; round++) {
    const [a, b] = [new X25519(), new X25519()];
    t.same(a.secretWith(b.publicKey), b.secretWith(a.publicKey));
    const pair = crypto.generateKeyPairSync('x25519');
    const jwk = { kty: 'OKP', crv: 'X25519', x: a.publicKey.toString('base64url') };
    const publicKey = createPublicKey({ key: jwk, format: 'jwk' });
    t.same(a.secretWith(rawPublic(pair)), diffieHellman({ privateKey: pair.privateKey, publicKey }));
    for (const { publicKey } of [a, b]) keys.add(publicKey.toString('hex'));
  }
  t.equal(keys.size, 100, 'each exchange has a key pair of its own, and keeps to it');
});

t.test('a public key of another length makes no secret', async (t) => {
  for (const length of [0, 1, 31, 33, 64])
    t.throws(() => new X25519().secretWith(Buffer.alloc(length, 9)), { message: `a public key of ${length} bytes` });
  t.throws(() => new X25519().secretWith(Buffer.concat([Buffer.alloc(1), BOB.publicKey])), 'no mpint of a key');
});

t.test('RFC 8731 §3: points of low order make no secret', async (t) => {
  for (const point of LOW_ORDER_POINTS) t.throws(() => new X25519().secretWith(hex(point)), point);
});
