/** OTPAUTH: the URIs that authenticator apps write, and all that could mean other codes than the app shows. */
import t from 'tap';
import { otpauthIn, parseOtpauth } from '../../src/shared/otpauth.js';

/** RFC 6238, Appendix B: 20 bytes. */
const SECRET = 'GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ';
const BYTES = Buffer.from('12345678901234567890').toString('base64');

t.test('what apps write', async (t) => {
  const rows: readonly (readonly [uri: string, more: object])[] = [
    [`otpauth://totp/alice?secret=${SECRET}`, {}],
    [`otpauth://totp/ACME%20Co:alice@example.com?secret=${SECRET}&issuer=ACME%20Co`, {}],
    [
      `otpauth://totp/a?issuer=x&period=60&digits=8&algorithm=SHA512&secret=${SECRET}`,
      { algorithm: 'SHA512', digits: 8, periodSeconds: 60 },
    ],
    [`otpauth://totp/a?secret=${SECRET}&algorithm=SHA256&digits=7`, { algorithm: 'SHA256', digits: 7 }],
    [`otpauth://totp/a?secret=${SECRET}&issuer=`, {}],
  ];
  for (const [uri, more] of rows) {
    const value = { algorithm: 'SHA1', digits: 6, periodSeconds: 30, secret: BYTES, ...more };
    t.same(parseOtpauth(uri), { ok: true, value }, uri);
  }
});

t.test('what is none', async (t) => {
  const uri = (query: string): string => `otpauth://totp/a?${query}`;
  const rows: readonly (readonly [text: string, why: RegExp])[] = [
    ['', /is no otpauth/],
    [SECRET, /is no otpauth/],
    [`otpauth://hotp/a?secret=${SECRET}&counter=1`, /hotp/],
    [`otpauth://totp/?secret=${SECRET}`, /is no otpauth/],
    [`OTPAUTH://totp/a?secret=${SECRET}`, /is no otpauth/],
    [`otpauth://totp/a?secret=${SECRET}#x`, /is no otpauth/],
    [`otpauth://totp/a b?secret=${SECRET}`, /blanks/],
    [`otpauth://totp/a?secret=${SECRET}\u0000`, /control/],
    [uri('issuer=x'), /has no secret/],
    [uri('secret='), /has no secret/],
    [uri(`secret=${SECRET.toLowerCase()}`), /no base32/],
    [uri(`secret=${SECRET}======`), /padding/],
    [uri(`secret=${SECRET}%3D`), /padding/],
    [uri(`secret=${SECRET.slice(0, -1)}1`), /no base32/],
    [uri(`secret=${SECRET.slice(0, -1)}`), /cut short/],
    [uri(`secret=${SECRET}AA`.slice(0, -1)), /cut short/],
    [uri(`secret=${SECRET}A7`), /cut short/], // ones beyond the last byte
    [uri('secret=GEZDGNBVGY3TQOJQ'), /80 bits/],
    [uri(`secret=${'A'.repeat(208)}`), /more than 128 bytes/],
    [uri(`secret=${SECRET}&secret=${SECRET}`), /secret twice/],
    [uri(`secret=${SECRET}&digits=5`), /digits/],
    [uri(`secret=${SECRET}&digits=9`), /digits/],
    [uri(`secret=${SECRET}&digits=06`), /digits/],
    [uri(`secret=${SECRET}&period=0`), /period/],
    [uri(`secret=${SECRET}&period=9`), /period/],
    [uri(`secret=${SECRET}&period=301`), /period/],
    [uri(`secret=${SECRET}&period=30.0`), /period/],
    [uri(`secret=${SECRET}&algorithm=MD5`), /algorithm/],
    [uri(`secret=${SECRET}&algorithm=sha1`), /algorithm/],
    [uri(`secret=${SECRET}&encoder=steam`), /none of secret, issuer/],
    [uri(`secret=${SECRET}&counter=1`), /none of secret, issuer/],
    [uri(`secret=${SECRET}&`), /none of secret, issuer/],
    [uri(`secret=${SECRET}&issuer=%`), /broken %/],
    [`otpauth://totp/${'a'.repeat(3000)}?secret=${SECRET}`, /more than 2048/],
  ];
  for (const [text, why] of rows) {
    const parsed = parseOtpauth(text);
    t.match(parsed, { ok: false, error: why }, text);
    if (!parsed.ok) t.notMatch(parsed.error, /GEZDGNBV/i, 'the secret is not repeated');
  }
});

t.test('a file has one, and may have comments', async (t) => {
  const uri = `otpauth://totp/alice?secret=${SECRET}`;
  for (const text of [uri, `${uri}\n`, `# alice\r\n\r\n${uri}\r\n`]) t.match(otpauthIn(text), { ok: true }, text);
  t.match(otpauthIn(''), { ok: false, error: /has no line/ });
  t.match(otpauthIn('# only this\n'), { ok: false, error: /has no line/ });
  t.match(otpauthIn(`${uri}\n${uri}\n`), { ok: false, error: /more than one line/ });
  t.match(otpauthIn(` ${uri}\n`), { ok: false });
});
