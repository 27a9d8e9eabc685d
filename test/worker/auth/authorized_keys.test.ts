import t from 'tap';
import type { AuthorizedKeyLine } from '../../../src/shared/config_keys.js';
import { parseAuthorizedKeys } from '../../../src/worker/auth/authorized_keys.js';
import { NO_OPTIONS } from '../../../src/worker/auth/key_options.js';
import { ecdsa, KNOWN, RSA_1024 } from './keys.js';

const KEY = KNOWN[0]?.line ?? '';
const [TYPE = '', BASE64 = ''] = KEY.split(' ');

function lines(...texts: string[]): AuthorizedKeyLine[] {
  return texts.map((text, index) => ({ text, file: 'alice.pub', line: index + 1 }));
}

t.test('plain keys, with and without a comment', async (t) => {
  const texts = KNOWN.map(({ line }, index) => (index % 2 === 0 ? `${line} alice@laptop, the "old" one` : line));
  const { keys, problems } = parseAuthorizedKeys(lines(...texts));
  t.strictSame(problems, []);
  t.strictSame(
    keys.map(({ fingerprint, line, comment }) => ({ fingerprint, line, comment })),
    KNOWN.map(({ fingerprint }, index) => ({
      fingerprint,
      line: index + 1,
      comment: index % 2 === 0 ? 'alice@laptop, the "old" one' : '',
    })),
  );
  t.equal(keys[0]?.file, 'alice.pub');
});

t.test('blanks, tabs, CRLF and comments', async (t) => {
  const { keys, problems } = parseAuthorizedKeys(lines('', '  ', '# ssh-ed25519 AAAA', ` \t${TYPE}\t ${BASE64}\t c\r`));
  t.strictSame(problems, []);
  t.match(keys, [{ type: 'ssh-ed25519', line: 4, comment: 'c' }]);
});

t.test('a bad line opens nothing, is told by its number and hides no other', async (t) => {
  const p256 = ecdsa(256).blob;
  const bad: ReadonlyArray<readonly [string, RegExp]> = [
    [`from="10.0.0.0/8 ${KEY}`, /^from: no quote at the end of its value: the key is not accepted$/],
    [`restrict,no-such-thing ${KEY}`, /^no-such-thing: unknown option: the key is not accepted$/],
    [`permitopen="a:http" ${KEY}`, /^permitopen: "a:http": bad port/],
    [`restrict,\tpty ${KEY}`, /no known key type/], // a blank ends the options
    [`restrict , ${KEY}`, /no known key type/],
    [`restrict ${KEY.replace(' ', '')}`, /no known key type/],
    [`"restrict" ${KEY}`, /^an option without a name: " where a comma or a blank is expected/],
    [`${'"\\"'.repeat(5000)} ${KEY}`, /option/],
    [`${'x'.repeat(100_000)} ${KEY}`, /unknown option/],
    [`command="${'x'.repeat(100_000)} ${KEY}`, /no quote at the end/],
    [`restrict\0 ${KEY}`, /NUL/],
    [`${KEY}\0`, /NUL/],
    [`\u00a0${KEY}`, /no known key type/],
    [`\ufeff${KEY}`, /no known key type/],
    [`\u2003# ${KEY}`, /unknown option/],
    [`restrict\u00a0${KEY}`, /no known key type/],
    [`\u201crestrict\u201d ${KEY}`, /unknown option/],
    [`ssh-ed25519 ${KEY}`, /base64/],
    [BASE64, /no known key type/],
    ['restrict', /no known key type/],
    ['./alice.pub', /^a path, where a key is expected; one path may stand in place of the list/],
    ['~/.ssh/id_ed25519.pub', /^a path/],
    ['alice.pub', /^a path/],
    ['restrict,', /no known key type/],
    ['-----BEGIN OPENSSH PRIVATE KEY-----', /no known key type/],
    ['__proto__ AAAA', /no known key type/],
    ['__proto__ ssh-ed25519 AAAA', /^__proto__: unknown option/],
    [TYPE, /no key, expected TYPE BASE64/],
    [`restrict ${TYPE}`, /no key, expected TYPE BASE64/],
    [`${TYPE} ${BASE64.slice(0, -2)}`, /base64/],
    [`${TYPE} ${BASE64.slice(0, 20)}!${BASE64.slice(20)}`, /base64/],
    [`${TYPE} ${BASE64.slice(0, -4)}`, /not accepted/],
    [`ssh-rsa ${BASE64}`, /the key inside is not of type ssh-rsa/],
    [`restrict ssh-rsa ${BASE64}`, /the key inside is not of type ssh-rsa/],
    [`ecdsa-sha2-nistp384 ${p256.toString('base64')}`, /not of type ecdsa-sha2-nistp384/],
    [RSA_1024, /1024 bits is too weak/],
    ['ssh-dss AAAAB3NzaC1kc3MAAAAA', /key type not supported/],
    ['sk-ssh-ed25519@openssh.com AAAAGnNrLXNzaC1lZDI1NTE5QG9wZW5zc2guY29t', /not accepted/],
  ];
  const { keys, problems } = parseAuthorizedKeys(lines(...bad.map(([text]) => text), KEY));
  t.match(keys, [{ line: bad.length + 1 }], 'the good one at the end counts');
  t.equal(keys.length, 1);
  t.strictSame(
    problems.map(({ line, file }) => [file, line]),
    bad.map((_, index) => ['alice.pub', index + 1]),
  );
  for (const [index, [text, why]] of bad.entries()) {
    t.match(problems[index]?.why, why, text.slice(0, 50));
    t.ok((problems[index]?.why.length ?? 0) < 400, 'short enough for a log');
  }
});

t.test('options before a key', async (t) => {
  for (const [text, expected] of [
    [KEY, NO_OPTIONS],
    [`restrict ${KEY}`, { portForwarding: false }],
    [`restrict,port-forwarding\t \t${KEY} a "comment", restrict`, { portForwarding: true }],
    [`command="echo \\"hi there\\" ${KEY}",no-pty ${KEY}`, { command: `echo "hi there" ${KEY}` }],
    [`cert-authority,principals="alice,bob" ${KEY} c`, { certAuthority: true, principals: ['alice', 'bob'] }],
    [
      `permitopen="a:1",permitopen="b:2"\t${KEY}\r`,
      {
        permitOpen: [
          { host: 'a', port: 1 },
          { host: 'b', port: 2 },
        ],
      },
    ],
    [`restrict, ${KEY}`, { portForwarding: false }],
  ] as const) {
    const { keys, problems } = parseAuthorizedKeys(lines(text));
    t.same(problems, [], text.slice(0, 40));
    t.same(keys[0]?.options, { ...NO_OPTIONS, ...expected }, text.slice(0, 40));
    t.equal(keys[0]?.blob.toString('base64'), BASE64);
  }
  t.equal(parseAuthorizedKeys(lines(`restrict ${KEY} the rest`)).keys[0]?.comment, 'the rest');
});
