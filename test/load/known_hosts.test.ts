/** KNOWN HOSTS: lines as OpenSSH writes them, and the verdict on the key that a server shows. */
import t from 'tap';
import { fingerprint, judge, keyTypeOf, linesFor } from '../../src/load/known_hosts.js';

const ED = 'AAAAC3NzaC1lZDI1NTE5AAAAIGvAZ5Dp8t2pTdFvSMzIPCjF1kZuOj5Trw0VzMmBa4CV';
const OTHER = 'AAAAC3NzaC1lZDI1NTE5AAAAIAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA';
/** HMAC-SHA1 of `example.org` under a salt of the bytes 0 to 19, as `ssh-keygen -H` would write it. */
const HASHED = 'bFDVYqbsfLlUB0fPAZemUYx8Gnc=';
const blob = Buffer.from(ED, 'base64');

function verdict(text: string, host: string, port = 22): string {
  return judge(linesFor(text, host, port), blob).verdict;
}

t.test('names, ports, patterns, hashes, marks', async (t) => {
  const cases: ReadonlyArray<readonly [string, string, number, string]> = [
    [`example.org ssh-ed25519 ${ED}`, 'example.org', 22, 'known'],
    [`example.org,192.0.2.7 ssh-ed25519 ${ED} a comment`, '192.0.2.7', 22, 'known'],
    [`Example.ORG ssh-ed25519 ${ED}`, 'example.org', 22, 'known'],
    [`example.org ssh-ed25519 ${ED}`, 'example.org', 2222, 'unknown'],
    [`[example.org]:2222 ssh-ed25519 ${ED}`, 'example.org', 2222, 'known'],
    [`[example.org]:2222 ssh-ed25519 ${ED}`, 'example.org', 22, 'unknown'],
    [`*.org ssh-ed25519 ${ED}`, 'example.org', 22, 'known'],
    [`exampl?.org ssh-ed25519 ${ED}`, 'example.org', 22, 'known'],
    [`*.org,!example.org ssh-ed25519 ${ED}`, 'example.org', 22, 'unknown'],
    [`exampleXorg ssh-ed25519 ${ED}`, 'example.org', 22, 'unknown'],
    [`|1|AAECAwQFBgcICQoLDA0ODxAREhM=|${HASHED} ssh-ed25519 ${ED}`, 'example.org', 22, 'known'],
    [`|1|AAECAwQFBgcICQoLDA0ODxAREhM=|${HASHED} ssh-ed25519 ${ED}`, 'example.com', 22, 'unknown'],
    [`example.org ssh-ed25519 ${OTHER}`, 'example.org', 22, 'changed'],
    [`example.org ssh-ed25519 ${OTHER}\nexample.org ssh-ed25519 ${ED}`, 'example.org', 22, 'known'],
    [`@revoked * ssh-ed25519 ${ED}\nexample.org ssh-ed25519 ${ED}`, 'example.org', 22, 'revoked'],
    [`@revoked * ssh-ed25519 ${OTHER}`, 'example.org', 22, 'unknown'],
    [`@cert-authority * ssh-ed25519 ${ED}`, 'example.org', 22, 'unknown'],
    [`# example.org ssh-ed25519 ${ED}`, 'example.org', 22, 'unknown'],
    ['', 'example.org', 22, 'unknown'],
    ['rubbish\n\nexample.org\n', 'example.org', 22, 'unknown'],
  ];
  for (const [text, host, port, wanted] of cases)
    t.equal(verdict(text, host, port), wanted, `${host}:${port} in ${text}`);
});

t.test('a changed key names its line', async (t) => {
  const lines = linesFor(`# one\n\nexample.org ssh-ed25519 ${OTHER}\n`, 'example.org', 22);
  t.same(judge(lines, blob), { verdict: 'changed', line: 3 });
});

t.test('fingerprint and type', async (t) => {
  t.match(fingerprint(blob), /^SHA256:[A-Za-z0-9+/]{43}$/);
  t.equal(keyTypeOf(blob), 'ssh-ed25519');
  t.equal(keyTypeOf(Buffer.alloc(2)), '');
});
