/** Host keys are announced to those who can hear it, and proven with signatures that anybody can check, each key once a request. */
import { generateKeyPairSync } from 'node:crypto';
import t, { type Test } from 'tap';
import { newKeyPair } from '../../../src/master/openssh_key.js';
import { concatFields, MSG, WireReader } from '../../../src/shared/protocol.js';
import { parsePublicKey } from '../../../src/worker/auth/public_key.js';
import { checkSignature } from '../../../src/worker/auth/signature.js';
import { announcementFor, HostKeyProofs } from '../../../src/worker/connection/host_key_proofs.js';
import { type HostKey, parseHostKeys, type RsaAlgorithm } from '../../../src/worker/transport/host_key.js';
import { loadSsh2 } from '../../../src/worker/transport/ssh2.js';

const SESSION_ID = Buffer.alloc(32, 7);

const SEC1 = { type: 'sec1', format: 'pem' } as const;
const PKCS1 = { type: 'pkcs1', format: 'pem' } as const;

function ec(namedCurve: string): string {
  return generateKeyPairSync('ec', { namedCurve }).privateKey.export(SEC1).toString();
}

const PEMS = [
  newKeyPair('ed25519', 'a').privateKey,
  newKeyPair('ecdsa', 'b').privateKey,
  newKeyPair('ed25519', 'c').privateKey,
  ec('secp384r1'),
  ec('secp521r1'),
  generateKeyPairSync('rsa', { modulusLength: 2048 }).privateKey.export(PKCS1).toString(),
];
const KEYS = parseHostKeys(
  loadSsh2(),
  PEMS.map((text, index) => ({ path: `/key/${index}`, pem: text })),
).all;

function proofs(rsaAlgorithm: RsaAlgorithm = 'rsa-sha2-512', keys: readonly HostKey[] = KEYS): HostKeyProofs {
  return new HostKeyProofs({ keys, sessionId: SESSION_ID, rsaAlgorithm });
}
function ask(...blobs: readonly Uint8Array[]): Buffer {
  return concatFields(blobs);
}
function blobOf(at: number): Buffer {
  return KEYS[at]?.blob ?? Buffer.alloc(0);
}

/** The scheme that each was signed with, where it is sound. */
function schemes(t: Test, blobs: readonly Buffer[], answer: Buffer | null): readonly string[] {
  const reader = new WireReader(answer ?? Buffer.alloc(0));
  const found = blobs.map((blob) => {
    const signature = reader.bytes();
    const scheme = new WireReader(signature).text();
    const key = parsePublicKey(blob);
    const signed = concatFields(['hostkeys-prove-00@openssh.com', SESSION_ID, blob]);
    t.ok(key.ok && checkSignature(key.key, scheme, signed, signature).ok, scheme);
    return scheme;
  });
  t.ok(reader.atEnd, 'one for each, and nothing behind them');
  return found;
}

t.test('every key is told, and none of them twice', async (t) => {
  t.equal(KEYS.length, PEMS.length);
  const again = [...PEMS, ...PEMS].map((text, index) => ({ path: `/key/${index}`, pem: text }));
  t.same(parseHostKeys(loadSsh2(), again).all.length, PEMS.length);
  const message = announcementFor('SSH-2.0-OpenSSH_9.2p1 Debian-2', KEYS);
  const reader = new WireReader(message ?? Buffer.alloc(0));
  t.equal(reader.byte(), MSG.GLOBAL_REQUEST);
  t.equal(reader.text(), 'hostkeys-00@openssh.com');
  t.equal(reader.boolean(), false);
  for (const { blob } of KEYS) t.same(reader.bytes(), blob);
  t.ok(reader.atEnd);
});

t.test('keys that may not sign are not told of', async (t) => {
  const files = PEMS.map((text, index) => ({ path: `/key/${index}`, pem: text }));
  const { all } = parseHostKeys(loadSsh2(), files, { allowed: ['ssh-ed25519', 'rsa-sha2-256'] });
  t.same(
    all.map(({ type }) => type),
    ['ssh-ed25519', 'ssh-ed25519', 'ssh-rsa'],
  );
});

t.test('more keys than one message holds are refused', async (t) => {
  const files = Array.from({ length: 625 }, (_, index) => ({
    path: `/key/${index}`,
    pem: newKeyPair('ed25519', '').privateKey,
  }));
  t.throws(() => parseHostKeys(loadSsh2(), files), { code: 'HOST_KEY_INVALID', message: /more host keys than fit/ });
});

t.test('clients that would end over it are told nothing', async (t) => {
  for (const software of [
    'Cisco-1.25',
    'TTSSH/1.5.4',
    'TTSSH/2.1',
    'TTSSH/2.69 Win32',
    'TTSSH/2.70',
    'TTSSH/2.72 Win32',
    'TeraTerm SSH',
  ])
    t.equal(announcementFor(`SSH-2.0-${software}`, KEYS), null, software);
  for (const software of [
    'TTSSH/2.73 Win32',
    'TTSSH/3.0',
    'Cisco-2.0',
    'PuTTY_Release_0.78',
    'dropbear_2022.83',
    'x Cisco-1.25',
    '',
  ])
    t.not(announcementFor(`SSH-2.0-${software}`, KEYS), null, software);
  t.equal(announcementFor('SSH-1.99-Cisco-1.25', KEYS), null);
});

t.test('each key signs, in the order in which they were asked for', async (t) => {
  const blobs = KEYS.map(({ blob }) => blob).reverse();
  const expected = ['ecdsa-sha2-nistp521', 'ecdsa-sha2-nistp384', 'ssh-ed25519', 'ecdsa-sha2-nistp256', 'ssh-ed25519'];
  for (const rsa of ['rsa-sha2-512', 'rsa-sha2-256'] as const)
    t.same(schemes(t, blobs, proofs(rsa).prove(ask(...blobs))), [rsa, ...expected]);
  // r and s may begin with a zero byte or a high bit: several, so that each form comes up.
  for (let round = 0; round < 40; round++) schemes(t, [blobOf(1)], proofs().prove(ask(blobOf(1))));
});

t.test('what is not asked for properly is refused whole, and nothing is signed for it', async (t) => {
  let signed = 0;
  const counting = KEYS.map((key) => ({
    ...key,
    signature(data: Buffer, rsa: RsaAlgorithm) {
      signed++;
      return key.signature(data, rsa);
    },
  }));
  const own = blobOf(0);
  const stranger = Buffer.from(own);
  stranger[stranger.length - 1] = (stranger.at(-1) ?? 0) ^ 1;
  const cases: readonly (readonly [string, Buffer])[] = [
    ['nothing', Buffer.alloc(0)],
    ['an unknown key', ask(stranger)],
    ['an unknown key behind all of ours', ask(...KEYS.map(({ blob }) => blob), stranger)],
    ['one twice', ask(own, own)],
    ['a thousand', ask(...Array.from({ length: 1_000 }, () => own))],
    ['a thousand strangers', ask(...Array.from({ length: 1_000 }, () => stranger))],
    ['an empty one', ask(own, Buffer.alloc(0))],
    ['cut short', ask(own).subarray(0, -1)],
    ['a length alone', Buffer.from([0, 0, 0])],
    ['a length beyond the end', Buffer.from([255, 255, 255, 255])],
    ['a byte behind it', Buffer.concat([ask(own), Buffer.from([0])])],
    ['part of a key', ask(own.subarray(0, 20))],
    ['a key with more behind it', ask(Buffer.concat([own, Buffer.alloc(1)]))],
  ];
  const prover = proofs('rsa-sha2-512', counting);
  for (const [what, asked] of cases) t.equal(prover.prove(asked), null, what);
  t.equal(signed, 0);
  t.not(prover.prove(ask(own)), null, 'and none of them counts');
});

t.test('one connection is signed for four times', async (t) => {
  const prover = proofs();
  for (let round = 0; round < 4; round++) t.not(prover.prove(ask(blobOf(0), blobOf(2))), null);
  for (let round = 0; round < 3; round++) t.equal(prover.prove(ask(blobOf(0))), null);
  t.not(proofs().prove(ask(blobOf(0))), null, 'twin: another connection');
});
