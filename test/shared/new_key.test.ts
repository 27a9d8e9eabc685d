import { createPrivateKey, createPublicKey, diffieHellman, generateKeyPairSync, sign, verify } from 'node:crypto';
import t from 'tap';
import { newSignatureKey, newX25519 } from '../../src/shared/new_key.js';

const base64url = (bytes: Buffer): string => bytes.toString('base64url');

t.test('an X25519 key agrees with others by its public half', async (t) => {
  const ours = newX25519();
  const theirs = generateKeyPairSync('x25519');
  t.equal(ours.publicKey.length, 32);
  const jwk = { kty: 'OKP', crv: 'X25519', x: base64url(ours.publicKey) };
  const publicKey = createPublicKey({ key: jwk, format: 'jwk' });
  const secret = diffieHellman({ privateKey: ours.privateKey, publicKey: theirs.publicKey });
  t.same(secret, diffieHellman({ privateKey: theirs.privateKey, publicKey }));
  t.notSame(newX25519().publicKey, ours.publicKey);
});

t.test('the numbers of a signature key sign, and verify', async (t) => {
  const ed = newSignatureKey('ed25519');
  const ec = newSignatureKey('P-256');
  const ecPublic = { kty: 'EC', crv: 'P-256', x: base64url(ec.x), y: base64url(ec.y) };
  const edPublic = { kty: 'OKP', crv: 'Ed25519', x: base64url(ed.x) };
  for (const [digest, publicJwk, d] of [
    [null, edPublic, ed.d],
    ['sha256', ecPublic, ec.d],
  ] as const) {
    const privateKey = createPrivateKey({ key: { ...publicJwk, d: base64url(d) }, format: 'jwk' });
    const text = Buffer.from('signed');
    t.ok(verify(digest, text, createPublicKey({ key: publicJwk, format: 'jwk' }), sign(digest, text, privateKey)));
  }
});

/** The export of a key that was just generated may hang (new_key.ts). That takes a garbage collection at the wrong moment,
 *  which no test can order; that there is no export, one can see. */
t.test('no new key is exported', async (t) => {
  let exports = 0;
  for (const key of Object.values(generateKeyPairSync('ed25519'))) {
    const prototype: { export: unknown } = Object.getPrototypeOf(key);
    t.intercept(prototype, 'export', { value: () => exports++ });
  }
  newX25519();
  newSignatureKey('ed25519');
  newSignatureKey('P-256');
  t.equal(exports, 0);
});
