/** Where a webhook may be, and what is no such place. */
import fc from 'fast-check';
import t from 'tap';
import { goesInClear, parseWebhookUrl } from '../../src/shared/webhook_url.js';

t.test('places', async (t) => {
  for (const [text, expected] of [
    ['http://127.0.0.1:9000/auth', { kind: 'tcp', secure: false, host: '127.0.0.1', port: 9000, path: '/auth' }],
    [
      'https://login.example/a/b?c=d',
      { kind: 'tcp', secure: true, host: 'login.example', port: 443, path: '/a/b?c=d' },
    ],
    ['http://[::1]/', { kind: 'tcp', secure: false, host: '::1', port: 80, path: '/' }],
    ['HTTP://Login.Example', { kind: 'tcp', secure: false, host: 'login.example', port: 80, path: '/' }],
    ['unix:/run/login.sock:/auth?x=1', { kind: 'unix', socketPath: '/run/login.sock', path: '/auth?x=1' }],
  ] as const)
    t.same(parseWebhookUrl(text), { ok: true, value: expected }, text);
});

t.test('no places; what is wrong is said without the value', async (t) => {
  for (const [text, error] of [
    ['', /begins with none of/],
    ['ftp://a/b', /begins with none of/],
    ['http:/a', /begins with none of/],
    ['http:///auth', /begins with none of/],
    ['//a/b', /begins with none of/],
    ['http://a:99999/', /is no URL/],
    ['http://a:0/', /port 0/],
    ['http://us%20er@host/', /has a user or a password in it: .*tokenFile/],
    ['https://user:hunter2@host/', /has a user or a password in it/],
    ['https://host/#hunter2', /has a #/],
    ['https://host/a b', /blanks/],
    [' https://host/', /blanks/],
    ['https://host/\n', /blanks/],
    ['https://ho\u0000st/', /control/],
    [`https://host/${'a'.repeat(3000)}`, /has 3013 characters/],
    ['unix:/run/login.sock', /is not unix:/],
    ['unix:run/login.sock:/auth', /is not unix:/],
    ['unix:/run/login.sock:auth', /is not unix:/],
    ['unix:/run/../login.sock:/auth', /names no socket: a path must be normalised/],
    [`unix:/${'a'.repeat(107)}:/auth`, /names no socket: longer/],
    ['unix:/run/login.sock:/ä', /%XX/],
    ['unix:/run/login.sock:/a#b', /has a #/],
  ] as const) {
    const parsed = parseWebhookUrl(text);
    t.match(parsed, { ok: false, error }, text.slice(0, 80));
    if (!parsed.ok) t.notMatch(parsed.error, /hunter2/);
  }
});

t.test('total', async () => {
  const part = fc.oneof(
    fc.string(),
    fc.constantFrom('http://', 'https://', 'unix:/', ':', '/', '@', '[', ']', '#', '?', '%'),
  );
  fc.assert(
    fc.property(fc.array(part, { maxLength: 8 }), (parts) => {
      const parsed = parseWebhookUrl(parts.join(''));
      if (parsed.ok && !parsed.value.path.startsWith('/')) throw new Error('a path that is none');
    }),
  );
});

t.test('what goes over a network in clear', async (t) => {
  for (const [text, clear] of [
    ['http://10.0.0.1/', true],
    ['http://login.example/', true],
    ['http://localhost.example/', true],
    ['http://[2001:db8::1]/', true],
    ['https://10.0.0.1/', false],
    ['http://127.0.0.1/', false],
    ['http://[::1]/', false],
    ['http://localhost:9000/', false],
    ['unix:/run/a.sock:/', false],
  ] as const) {
    const parsed = parseWebhookUrl(text);
    t.equal(parsed.ok && goesInClear(parsed.value), clear, text);
  }
});
