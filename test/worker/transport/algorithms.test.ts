/** What is offered: held against a list of what must never be, and against what every client of the last years knows. */
import t from 'tap';
import { SIGNATURE_ALGORITHMS } from '../../../src/worker/auth/signature.js';
import { CIPHERS, isTerrapinExposed, KEX_ALGORITHMS, makeOffer } from '../../../src/worker/transport/algorithms.js';
import { loadSsh2 } from '../../../src/worker/transport/ssh2.js';

/** Every name in the offer, in order, as KEXINIT carries it. */
function offered(): string[][] {
  const offer: unknown = makeOffer(loadSsh2(), ['ssh-ed25519']);
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
  t.same(macIn, macOut);
  t.same([compressIn, compressOut], [['none'], ['none']], 'nothing that could inflate');
});

t.test('nothing weak', async (t) => {
  const weak = /cbc|arcfour|des|blowfish|cast|md5|sha1(?!\d)|-96|group|dss|^none$|zlib|ripemd|umac-64/;
  const names = [...offered().slice(0, 6).flat(), ...SIGNATURE_ALGORITHMS];
  t.same(
    names.filter((name) => weak.test(name) || name === 'ssh-rsa'),
    [],
  );
});

t.test('CVE-2023-48795', async (t) => {
  const chacha = 'chacha20-poly1305@openssh.com';
  t.ok(isTerrapinExposed(chacha, false));
  t.notOk(isTerrapinExposed(chacha, true));
  for (const cipher of CIPHERS.filter((name) => name !== chacha)) t.notOk(isTerrapinExposed(cipher, false), cipher);
});
