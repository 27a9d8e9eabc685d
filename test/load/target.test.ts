/** TARGET: what may be typed for a server. */
import t from 'tap';
import { parsePlace, parseTarget } from '../../src/load/target.js';

t.test('a target as ssh takes it', async (t) => {
  const cases: ReadonlyArray<readonly [string, string | undefined, string, number]> = [
    ['example.org', undefined, 'example.org', 22],
    ['alice@example.org:2222', 'alice', 'example.org', 2222],
    ['a@b@example.org', 'a@b', 'example.org', 22],
    ['127.0.0.1:1', undefined, '127.0.0.1', 1],
    ['[::1]:2222', undefined, '::1', 2222],
    ['alice@[2001:db8::1]', 'alice', '2001:db8::1', 22],
    ['::1', undefined, '::1', 22],
  ];
  for (const [text, user, host, port] of cases) t.same(parseTarget(text), { user, host, port }, text);
});

t.test('and what is none', async (t) => {
  for (const text of [
    '',
    '@host',
    'alice@',
    'host:',
    'host:0',
    'host:65536',
    'host:x',
    'a b',
    '[::1',
    ':22',
    '-oX=y z',
  ])
    t.equal(parseTarget(text), undefined, text);
});

t.test('a destination has no port unless it says so', async (t) => {
  t.same(parsePlace('192.0.2.7'), { host: '192.0.2.7', port: undefined });
  t.same(parsePlace('192.0.2.7:4000'), { host: '192.0.2.7', port: 4000 });
});
