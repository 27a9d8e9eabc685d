/** What stands in the files of hostCertificates: what clients would refuse for good is a mistake, the time is for them to judge. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import t, { type Test } from 'tap';
import { certificateRemarks, readHostCertificates } from '../../../src/worker/auth/host_certificates.js';
import { mustRun } from '../../support/process.js';
import { need } from '../../support/programs.js';
import { tempDir } from '../../support/temp.js';

/** A CA and a key in a folder; `sign` makes a certificate of the key. */
async function authority(t: Test, caType: readonly string[] = ['ed25519']) {
  const dir = tempDir(t);
  const keygen = async (...args: readonly string[]): Promise<string> => await mustRun(t, 'ssh-keygen', ['-q', ...args]);
  await keygen('-t', ...caType, '-N', '', '-f', join(dir, 'ca'));
  await keygen('-t', 'ed25519', '-N', '', '-f', join(dir, 'key'));
  return async (...options: readonly string[]): Promise<string> => {
    await keygen('-s', join(dir, 'ca'), '-I', 'test', ...options, join(dir, 'key.pub'));
    return readFileSync(join(dir, 'key-cert.pub'), 'utf8');
  };
}

function problem(text: string): string | undefined {
  const { certificates, problems } = readHostCertificates([{ text, file: '/c', line: 1 }]);
  return certificates.length === 0 ? problems[0]?.why : undefined;
}

/** Its second time is the first second of all; ssh-keygen makes no such. */
function neverValid(text: string): string {
  const [type, base64 = ''] = text.split(' ');
  const bytes = Buffer.from(base64, 'base64');
  const end = Buffer.alloc(8);
  end.writeBigUInt64BE(BigInt(Date.UTC(2027, 0, 1) / 1000));
  bytes.fill(0, bytes.indexOf(end), bytes.indexOf(end) + end.length);
  return `${type} ${bytes.toString('base64')}`;
}

t.test('a sound one is taken, of whatever CA', async (t) => {
  if (!need(t, ['ssh-keygen'])) return;
  for (const type of [['ed25519'], ['ecdsa'], ['ecdsa', '-b', '521'], ['rsa', '-b', '2048']]) {
    const sign = await authority(t, type);
    t.equal(problem(await sign('-h', '-n', 'a.example,b.example')), undefined, type.join(' '));
    t.equal(problem(await sign('-h')), undefined, 'for no host by name');
  }
});

t.test('what clients would refuse for good is a mistake', async (t) => {
  if (!need(t, ['ssh-keygen'])) return;
  const sign = await authority(t);
  const sound = await sign('-h', '-n', 'a');
  const [type = '', base64 = ''] = sound.split(' ');
  const bytes = Buffer.from(base64, 'base64');
  const damaged = (at: number): string => {
    const copy = Buffer.from(bytes);
    copy[at] = (copy[at] ?? 0) ^ 1;
    return `${type} ${copy.toString('base64')}`;
  };
  const table: readonly (readonly [string, string, RegExp])[] = [
    ['of a user', await sign('-n', 'a'), /for users and not for hosts/],
    ['with a critical option', await sign('-h', '-n', 'a', '-O', 'critical:x=y'), /critical options/],
    ['never valid', neverValid(await sign('-h', '-n', 'a', '-V', '20260101Z:20270101Z')), /never valid/],
    ['a plain key', `ssh-ed25519 ${bytes.toString('base64')}`, /not of type ssh-ed25519/],
    ['nonsense', 'nonsense', /no key, expected/],
    ['not base64', `${type} AAAA!`, /not valid base64/],
    ['cut short', `${type} ${bytes.subarray(0, 90).toString('base64')}`, /cut short/],
    ['another key in it', damaged(80), /damaged/],
    ['another signature', damaged(bytes.length - 1), /damaged/],
  ];
  for (const [what, text, why] of table) t.match(problem(text), why, what);
  const rsa = await authority(t, ['rsa', '-b', '2048']);
  t.match(problem(await rsa('-h', '-t', 'ssh-rsa')), /SHA-1/, 'signed with SHA-1');
});

t.test('a plain public key is no certificate', async (t) => {
  const blob = Buffer.concat([
    Buffer.from([0, 0, 0, 11]),
    Buffer.from('ssh-ed25519'),
    Buffer.from([0, 0, 0, 32]),
    Buffer.alloc(32),
  ]);
  t.match(problem(`ssh-ed25519 ${blob.toString('base64')}`), /no certificate that is taken/);
});

t.test('the time is remarked on, and that no host is named', async (t) => {
  if (!need(t, ['ssh-keygen'])) return;
  const sign = await authority(t);
  const remarks = async (...options: readonly string[]): Promise<readonly string[] | undefined> => {
    const text = await sign('-h', ...options);
    const [certificate] = readHostCertificates([{ text, file: '/c', line: 1 }]).certificates;
    return certificate && certificateRemarks(certificate, Date.UTC(2026, 5, 1));
  };
  t.same(await remarks('-n', 'a'), [], 'for ever');
  t.same(await remarks('-n', 'a', '-V', '20260101Z:20270101Z'), []);
  const expired = /expired at 2026-01-01T00:00:00/;
  t.match(await remarks('-n', 'a', '-V', '20250101Z:20260101Z'), [expired]);
  t.match(await remarks('-n', 'a', '-V', '20270101Z:20280101Z'), [/not valid before 2027-01-01T00:00:00/]);
  t.match(await remarks(), [/names no host/]);
  t.match(await remarks('-V', '20250101Z:20260101Z'), [/names no host/, expired], 'and so is each of two');
  const odd = {
    file: '',
    blob: Buffer.alloc(0),
    keyBlob: Buffer.alloc(0),
    principals: ['a'],
    validAfterS: 2n ** 64n - 1n,
    validBeforeS: 2n ** 64n - 1n,
  };
  t.match(certificateRemarks(odd, 0), [/not valid before second 18446744073709551615/]);
});
