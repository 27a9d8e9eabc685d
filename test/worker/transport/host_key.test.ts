/** Host keys as ssh-keygen writes them: what is taken, what is refused with which words, and that signatures verify. */
import { createPublicKey, generateKeyPairSync, verify } from 'node:crypto';
import { readFileSync } from 'node:fs';
import t from 'tap';
import { newKeyPair } from '../../../src/master/openssh_key.js';
import { parseHostKeys } from '../../../src/worker/transport/host_key.js';
import { loadSsh2 } from '../../../src/worker/transport/ssh2.js';
import { mustRun } from '../../support/process.js';
import { need } from '../../support/programs.js';
import { tempDir } from '../../support/temp.js';

const ssh2 = loadSsh2();

function pkcs1(bits: number): string {
  return generateKeyPairSync('rsa', { modulusLength: bits })
    .privateKey.export({ type: 'pkcs1', format: 'pem' })
    .toString();
}

t.test('keys of our own making, one per algorithm, the first of a type counts', async (t) => {
  const [a, b, c] = [newKeyPair('ed25519', 'a'), newKeyPair('ecdsa', 'b'), newKeyPair('ed25519', 'c')];
  const files = [a, b, c].map(({ privateKey }, index) => ({ path: `/key/${index}`, pem: privateKey }));
  const keys = parseHostKeys(ssh2, files);
  t.same(keys.algorithms, ['ssh-ed25519', 'ecdsa-sha2-nistp256']);
  const blob = keys.byAlgorithm['ssh-ed25519']?.getPublicSSH().toString('base64');
  t.equal(blob, a.publicKey.split(' ')[1]);
});

t.test('RFC 8332: an RSA key signs with SHA-2 and nothing else', async (t) => {
  const pem = pkcs1(2048);
  const keys = parseHostKeys(ssh2, [{ path: 'rsa', pem }]);
  t.same(keys.algorithms, ['rsa-sha2-512', 'rsa-sha2-256']);
  const data = Buffer.from('exchange hash');
  for (const [algorithm, hash] of [
    ['rsa-sha2-512', 'sha512'],
    ['rsa-sha2-256', 'sha256'],
  ] as const) {
    const signature = keys.byAlgorithm[algorithm]?.sign(data, hash);
    t.ok(Buffer.isBuffer(signature) && verify(hash, data, createPublicKey(pem), signature), algorithm);
  }
});

for (const [type, bits] of [
  ['ed25519', null],
  ['ecdsa', '256'],
  ['ecdsa', '384'],
  ['ecdsa', '521'],
  ['rsa', '2048'],
] as const)
  t.test(`ssh-keygen -t ${type} ${bits ?? ''}`, async (t) => {
    if (!need(t, ['ssh-keygen'])) return;
    const file = `${tempDir(t)}/key`;
    await mustRun(t, 'ssh-keygen', ['-q', '-t', type, ...(bits === null ? [] : ['-b', bits]), '-N', '', '-f', file]);
    const keys = parseHostKeys(ssh2, [{ path: file, pem: readFileSync(file, 'utf8') }]);
    const [algorithm = ''] = keys.algorithms;
    const key = keys.byAlgorithm[algorithm];
    t.equal(key?.getPublicSSH().toString('base64'), readFileSync(`${file}.pub`, 'utf8').split(' ')[1]);
    t.ok(Buffer.isBuffer(key?.sign(Buffer.from('x'), type === 'rsa' ? 'sha512' : undefined)));
  });

t.test('an encrypted key is refused with that reason', async (t) => {
  if (!need(t, ['ssh-keygen'])) return;
  const file = `${tempDir(t)}/key`;
  await mustRun(t, 'ssh-keygen', ['-q', '-t', 'ed25519', '-N', 'secret', '-f', file]);
  const pem = readFileSync(file, 'utf8');
  t.throws(() => parseHostKeys(ssh2, [{ path: file, pem }]), { code: 'HOST_KEY_INVALID', message: /encrypted/ });
});

t.test('what is no private key is refused, and the message names the file', async (t) => {
  for (const [pem, message] of [
    ['', /^host key \/key\/bad is no private key/],
    ['nonsense', /^host key \/key\/bad is no private key/],
    [newKeyPair('ed25519', 'x').publicKey, /^host key \/key\/bad is a public key/],
    [newKeyPair('ed25519', 'x').privateKey.slice(0, 200), /^host key \/key\/bad /],
    [pkcs1(1024), /^host key \/key\/bad is RSA with 1024 bits; at least 2048/],
  ] as const)
    t.throws(() => parseHostKeys(ssh2, [{ path: '/key/bad', pem }]), { code: 'HOST_KEY_INVALID', message });
  t.throws(() => parseHostKeys(ssh2, []), { code: 'HOST_KEY_INVALID', message: 'there is no host key to serve with' });
});
