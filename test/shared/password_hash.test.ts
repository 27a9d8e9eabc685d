/** PASSWORD HASH: which texts are a hash, what one may cost, and which is weaker than what hash-password makes. */
import t from 'tap';
import { checkPasswordHash } from '../../src/shared/config_checks.js';
import { costOf, DEFAULT_COST, parsePasswordHash, tooDear, weakness } from '../../src/shared/password_hash.js';
import { commonestCost, hashOfNothing } from '../../src/worker/auth/no_password.js';

const SALT = 'c2FsdHNhbHQ';
const HASH = 'c2FsdHNhbHRzYWx0c2FsdA';
const argon2 = (cost: string): string => `$argon2id$v=19$${cost}$${SALT}$${HASH}`;
const scrypt = (cost: string): string => `$scrypt$${cost}$${SALT}$${HASH}`;
const bcrypt = (cost: string, version = '2b'): string =>
  `$${version}$${cost}$abcdefghijklmnopqrstuu.abcdefghijklmnopqrstuvwxyzabc.`;

t.test('what may stand in a config', async (t) => {
  const good = [
    argon2('m=19456,t=2,p=1'),
    argon2('m=1024,t=1,p=1'),
    argon2('m=1048576,t=4,p=16'),
    scrypt('ln=14,r=8,p=1'),
    scrypt('ln=20,r=8,p=1'),
    scrypt('ln=13,r=8,p=10'),
    ...['2a', '2b', '2y'].map((version) => bcrypt('12', version)),
    bcrypt('05'),
    bcrypt('14'),
    // As passlib and htpasswd write them.
    '$scrypt$ln=16,r=8,p=1$aM15713r3Xsvxbi31lqr1Q$nFNh2CVHVjNldFVKDHDlm4CbdRSCdEBsjjJxD+iCs5E',
    '$2y$05$/OK.fbVrR/bpIqNJ5ianF.Sa7shbm4.OzKpvFnX1pQLmQW96oUlCq',
  ];
  for (const text of good) t.same(checkPasswordHash(text), { ok: true, value: text }, text);
});

t.test('what may not, and why', async (t) => {
  const rows: readonly (readonly [text: string, why: RegExp])[] = [
    ['hunter2', /must never stand in a config/],
    ['$argon2i$v=19$m=19456,t=2,p=1$c2FsdHNhbHQ$c2FsdHNhbHRzYWx0c2FsdA', /none of argon2id, scrypt and bcrypt/],
    ['$6$salt$hash', /none of argon2id, scrypt and bcrypt/],
    ['$7$CU..../....salt$hash', /none of argon2id/],
    [argon2('m=8,t=1,p=1'), /has m=8, which is not from 1024/],
    [argon2('m=2000000,t=1,p=1'), /has m=2000000, which is above/],
    [argon2('m=1048576,t=5,p=1'), /m=1048576 times t=5.*longer than it may/],
    [argon2('m=19456,t=0,p=1'), /t=0/],
    [argon2('m=19456,t=2,p=17'), /p=17/],
    [scrypt('ln=9,r=8,p=1'), /has ln=9,r=8, which is 512 KiB/],
    [scrypt('ln=21,r=8,p=1'), /2097152 KiB.*longer than it may/],
    [scrypt('ln=17,r=8,p=9'), /longer than it may/],
    [scrypt('ln=31,r=1,p=1'), /ln=31/],
    [scrypt('ln=0,r=8,p=1'), /ln=0/],
    [scrypt('ln=10,r=0,p=1'), /r=0/],
    [scrypt('ln=10,r=99999,p=1'), /r=99999/],
    [scrypt('ln=14,r=8,p=0'), /p=0/],
    [scrypt('ln=14,r=8,p=1').slice(0, -8), /damaged|cut short/],
    [`$scrypt$ln=14,r=8,p=1$${SALT}$${HASH}=`, /not a whole scrypt one/],
    [`$scrypt$r=8,ln=14,p=1$${SALT}$${HASH}`, /not a whole scrypt one/],
    [bcrypt('04'), /has cost 4, which is not from 5 to 14/],
    [bcrypt('15'), /has cost 15: a login would take longer/],
    [bcrypt('12').slice(0, -1), /not a whole bcrypt one/],
    [`${bcrypt('12').slice(0, -1)}b`, /not a whole bcrypt one/], // bits beyond the last byte
    [bcrypt('12', '2x'), /known fault/],
    [bcrypt('12', '2'), /none of/],
    [`${bcrypt('12')}\n`, /not a whole/],
  ];
  for (const [text, why] of rows) {
    const checked = checkPasswordHash(text);
    t.match(checked, { ok: false, error: why }, text);
    if (!checked.ok && text.startsWith('$'))
      t.notMatch(checked.error, /c2FsdHNhbHQ|abcdefgh/, 'salt and hash are not repeated');
  }
});

t.test('what a thread refuses: only what is dear, since a program may keep cheap ones', async (t) => {
  const dearness = (text: string): string | null => {
    const parsed = parsePasswordHash(text);
    if (!parsed.ok) throw new Error(text);
    return tooDear(parsed.value);
  };
  t.equal(dearness(argon2('m=8,t=1,p=1')), null);
  t.equal(dearness(bcrypt('04')), null);
  t.equal(dearness(scrypt('ln=4,r=1,p=1')), null);
  t.type(dearness(bcrypt('31')), 'string');
  t.type(dearness(scrypt('ln=30,r=8,p=1')), 'string');
  t.type(dearness(argon2('m=999999999,t=1,p=1')), 'string');
});

t.test('the cost is what stands before the salt, and a hash of nothing has it', async (t) => {
  const costs = [DEFAULT_COST, '$argon2id$v=19$m=65536,t=3,p=4$', '$scrypt$ln=15,r=8,p=1$', '$2b$10$'];
  for (const cost of costs) {
    const nothing = hashOfNothing(cost);
    t.equal(costOf(nothing), cost);
    t.same(checkPasswordHash(nothing), { ok: true, value: nothing }, 'it is whole');
    t.not(hashOfNothing(cost), nothing, 'nobody knows it');
  }
  t.equal(costOf(bcrypt('10', '2y')), '$2b$10$', 'all versions take the same time');
  t.equal(costOf('hunter2'), undefined);
  t.equal(commonestCost([]), DEFAULT_COST);
  t.equal(commonestCost([null, bcrypt('10', '2a'), bcrypt('10', '2y'), argon2('m=65536,t=3,p=4')]), '$2b$10$');
});

t.test('weaker than what hash-password makes', async (t) => {
  t.equal(weakness(hashOfNothing()), null);
  t.equal(weakness(argon2('m=65536,t=1,p=1')), null);
  t.equal(weakness(argon2('m=4096,t=3,p=1')), 'argon2id with m=4096,t=3,p=1');
  t.equal(weakness(scrypt('ln=17,r=8,p=1')), null);
  t.equal(weakness(scrypt('ln=13,r=8,p=10')), null);
  t.equal(weakness(scrypt('ln=14,r=8,p=1')), 'scrypt with ln=14,r=8,p=1');
  t.equal(weakness(bcrypt('14')), 'bcrypt with cost 14');
  t.equal(weakness(''), null);
});
