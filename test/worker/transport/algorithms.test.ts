/** What is offered: held against a list of what must never be, and against what every client of the last years knows. */
import t from 'tap';
import { CIPHERS, DEFAULT_MACS, HOST_KEY_ALGORITHMS, KEX_ALGORITHMS } from '../../../src/shared/algorithms.js';
import { SIGNATURE_ALGORITHMS } from '../../../src/worker/auth/signature.js';
import { isTerrapinExposed, makeOffer } from '../../../src/worker/transport/algorithms.js';
import { loadSsh2 } from '../../../src/worker/transport/ssh2.js';
import { testConfig } from '../../support/test_config.js';

/** Every name in the offer of a server whose config says nothing of it, in order, as KEXINIT carries it. */
function offered(narrowed: Readonly<Record<string, unknown>> = {}): string[][] {
  const { algorithms } = testConfig({ algorithms: narrowed });
  const offer: unknown = makeOffer(loadSsh2(), { ...algorithms, hostKeys: ['ssh-ed25519'] });
  if (typeof offer !== 'object' || offer === null || !('copyAllTo' in offer) || !('totalSize' in offer)) return [];
  const bytes = Buffer.alloc(Number(offer.totalSize));
  if (typeof offer.copyAllTo === 'function') offer.copyAllTo(bytes, 0);
  const lists: string[][] = [];
  for (let at = 0; at < bytes.length; ) {
    const length = bytes.readUInt32BE(at);
    lists.push(bytes.toString('latin1', at + 4, at + 4 + length).split(','));
    at += 4 + length;
  }
  return lists;
}

t.test('RFC 4253 §7.1: ten lists, both directions alike', async (t) => {
  const lists = offered();
  t.equal(lists.length, 10);
  const [kex = [], hostKey, cipherIn, cipherOut, macIn, macOut, compressIn, compressOut] = lists;
  t.ok(kex.includes('kex-strict-s-v00@openssh.com'));
  t.same(
    kex.filter((name) => !name.startsWith('kex-strict')),
    KEX_ALGORITHMS,
  );
  t.same(hostKey, ['ssh-ed25519']);
  t.same([cipherIn, cipherOut], [CIPHERS, CIPHERS]);
  t.same([macIn, macOut], [DEFAULT_MACS, DEFAULT_MACS], 'encrypt-then-MAC alone');
  t.same([compressIn, compressOut], [['none'], ['none']], 'nothing that could inflate');
});

t.test('nothing weak', async (t) => {
  const weak = /cbc|arcfour|des|blowfish|cast|md5|sha1(?!\d)|-96|group|dss|^none$|zlib|ripemd|umac-64/;
  const names = [...offered().slice(0, 6).flat(), ...HOST_KEY_ALGORITHMS, ...SIGNATURE_ALGORITHMS];
  t.same(
    names.filter((name) => weak.test(name) || name === 'ssh-rsa'),
    [],
  );
});

t.test('the config narrows each list, in its own order', async (t) => {
  const lists = offered({
    kex: ['curve25519-sha256', 'mlkem768x25519-sha256'],
    ciphers: ['aes256-ctr'],
    macs: ['hmac-sha2-512'],
  });
  const both = [['aes256-ctr'], ['aes256-ctr'], ['hmac-sha2-512'], ['hmac-sha2-512']];
  t.same(lists.slice(2, 6), both);
  t.same(lists[0], ['kex-strict-s-v00@openssh.com', 'curve25519-sha256', 'mlkem768x25519-sha256']);
});

t.test('CVE-2023-48795', async (t) => {
  const chacha = 'chacha20-poly1305@openssh.com';
  t.ok(isTerrapinExposed(chacha, false));
  t.notOk(isTerrapinExposed(chacha, true));
  for (const cipher of CIPHERS.filter((name) => name !== chacha)) t.notOk(isTerrapinExposed(cipher, false), cipher);
});
