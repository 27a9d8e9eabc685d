/** TOTP: the vectors of RFC 6238, Appendix B, and which steps count at a moment. */
import t from 'tap';
import type { TotpKey } from '../../../src/shared/otpauth.js';
import { codeAt, keyName, stepOf } from '../../../src/worker/auth/totp.js';

function key(algorithm: TotpKey['algorithm'], bytes: number, more: Partial<TotpKey> = {}): TotpKey {
  const secret = Buffer.from('1234567890'.repeat(7).slice(0, bytes)).toString('base64');
  return { algorithm, digits: 8, periodSeconds: 30, secret, ...more };
}
const KEYS = [key('SHA1', 20), key('SHA256', 32), key('SHA512', 64)] as const;
const SHA1 = KEYS[0];

t.test('RFC 6238, Appendix B', async (t) => {
  const rows: readonly (readonly [seconds: number, ...codes: string[]])[] = [
    [59, '94287082', '46119246', '90693936'],
    [1_111_111_109, '07081804', '68084774', '25091201'],
    [1_111_111_111, '14050471', '67062674', '99943326'],
    [1_234_567_890, '89005924', '91819424', '93441116'],
    [2_000_000_000, '69279037', '90698825', '38618901'],
    [20_000_000_000, '65353130', '77737706', '47863826'],
  ];
  for (const [seconds, ...codes] of rows)
    for (const [index, code] of codes.entries()) {
      const one = KEYS[index] ?? SHA1;
      const step = Math.floor(seconds / 30);
      t.equal(codeAt(one, step), code, `${one.algorithm} at ${seconds}`);
      t.equal(stepOf(one, code, seconds * 1_000), step);
    }
  // RFC 4226, Appendix D: the same secret with six digits.
  const six = key('SHA1', 20, { digits: 6 });
  const codes = ['755224', '287082', '359152', '969429', '338314', '254676', '287922', '162583', '399871', '520489'];
  for (const [step, code] of codes.entries()) t.equal(codeAt(six, step), code);
});

t.test('one step before and after counts, two do not', async (t) => {
  const now = 41_152_263; // of 1234567890
  for (const [skew, counts] of [
    [-2, false],
    [-1, true],
    [0, true],
    [1, true],
    [2, false],
  ] as const) {
    const step = now + skew;
    t.equal(stepOf(SHA1, codeAt(SHA1, step), 1_234_567_890_000), counts ? step : null, `${skew}`);
  }
  t.equal(stepOf(SHA1, codeAt(SHA1, 0), 0), 0, 'there is no step before the first');
  const slow = key('SHA1', 20, { periodSeconds: 60 });
  t.equal(stepOf(slow, codeAt(slow, 2), 59_999 + 60_000), 2);
});

t.test('what is no code', async (t) => {
  const right = codeAt(SHA1, 1);
  for (const typed of [
    '',
    ' ',
    right.slice(1),
    `${right}0`,
    `${right}\n`,
    right.replace(/./, 'x'),
    '9428708２',
    '00000000',
  ])
    t.equal(stepOf(SHA1, typed, 59_000), null, JSON.stringify(typed));
  t.equal(stepOf(SHA1, '9428 7082', 59_000), 1, 'as apps show it');
});

t.test('a name for each secret, which does not tell it', async (t) => {
  const others = [...KEYS, key('SHA1', 20, { digits: 6 }), key('SHA1', 20, { periodSeconds: 60 }), key('SHA1', 21)];
  const names = new Set(others.map(keyName));
  t.equal(names.size, others.length);
  t.equal(keyName(key('SHA1', 20)), keyName(SHA1));
  for (const name of names) t.match(name, /^[\w-]{22}$/);
});
