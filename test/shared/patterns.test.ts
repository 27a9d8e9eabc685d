/** What each pattern covers, what it does not, and that no spelling gets past a protected range. */
import fc from 'fast-check';
import t from 'tap';
import { type Address, parseAddress, protectedRange } from '../../src/shared/address.js';
import { parseListenPattern, parseOpenPattern } from '../../src/shared/pattern_text.js';
import { coversListen, coversOpen, coversPath, mayOpenName, type OpenPattern } from '../../src/shared/patterns.js';

function open(...texts: string[]): OpenPattern[] {
  return texts.map((text) => {
    const parsed = parseOpenPattern(text);
    if (!parsed.ok) throw new Error(parsed.error);
    return parsed.pattern;
  });
}

function at(text: string): Address {
  const address = parseAddress(text);
  if (address === null) throw new Error(text);
  return address;
}

t.test('who leaves out a half is told the other half, and not one that would be wrong', async (t) => {
  t.match(parseOpenPattern('host'), { error: /: no ports: write "host:\*" or "host:443"$/ });
  t.match(parseOpenPattern('443,8000-8999'), { error: /: no host: write "\*:443,8000-8999"$/ });
  t.match(parseListenPattern('8000'), { error: /: no host: write "localhost:8000"$/ });
  t.match(parseListenPattern('localhost:0'), {
    error: /: bad ports "0"; allowed are 1 to 65535, and who asks for port 0/,
  });
  t.match(parseOpenPattern('host:0'), { error: /: bad ports "0"; allowed are/ });
  for (const path of ['relative/path.sock', './db.sock', '~/db.sock'])
    t.match(parseOpenPattern(path), { error: /begins with \/$/ });
});

t.test('what is no pattern is refused with what is allowed', async (t) => {
  for (const text of [
    '',
    '*',
    'host',
    ':22',
    'host:',
    'host:0',
    'host:65536',
    'host:9-8',
    'host:1,',
    'host:1, 2',
    'host:-1',
    'host:1-',
    'host:1-2-3',
    'host:1e3',
    'host:22\n',
    ' host:22',
    'ho st:22',
    '::1:22',
    'fd00::/8:443',
    '[fd00::]/8:443',
    '[::1]',
    '[127.0.0.1]:22',
    '[host]:22',
    '[fe80::1%eth0]:22',
    '10.0.0.1/8:22',
    '10.0.0.0/33:22',
    '256.1.1.1:22',
    '10.*:22',
    '**:22',
    '*.1:22',
    'app.localhost:80',
    '*.localhost:80',
    '*..b:80',
    '*.a b:80',
    'bü*.example:80',
    'a。b.*:80',
    'relative/path.sock',
    '/run/*/x.sock',
    '/run/../x.sock',
    '/run//x.sock',
    '/run/',
    '/',
    '/run/a\0b',
    `/${'a'.repeat(107)}`,
  ]) {
    for (const parsed of [parseOpenPattern(text), parseListenPattern(text)]) {
      t.match(parsed, { ok: false, error: /allowed|write|no address|brackets|only|begins with/ }, JSON.stringify(text));
    }
  }
  t.notOk(parseListenPattern('10.0.0.0/8:22').ok, 'a CIDR is nothing to bind');
  t.ok(parseOpenPattern('10.0.0.0/8:22').ok);
});

t.test('parsing is total', async () => {
  const text = fc.oneof(fc.string({ unit: 'binary' }), fc.string({ unit: fc.constantFrom(...'ab01.:*[]/-,%ü\0') }));
  fc.assert(
    fc.property(text, fc.nat(70_000), (pattern, port) => {
      for (const parsed of [parseOpenPattern(pattern), parseListenPattern(pattern)]) {
        if (!parsed.ok && parsed.error === '') throw new Error('no reason');
        if (!parsed.ok) continue;
        coversOpen([parsed.pattern], pattern, at('10.0.0.1'), port);
        mayOpenName([parsed.pattern], pattern, port);
        coversListen([parsed.pattern], pattern, port);
        coversPath([parsed.pattern], pattern);
      }
    }),
    { numRuns: 1000 },
  );
});

t.test('opens: allowed and denied are twins', async (t) => {
  for (const [pattern, host, address, port, covered] of [
    ['*:*', 'db.internal', '10.0.0.1', 1, true],
    ['*:*', '10.0.0.1', '10.0.0.1', 65535, true],
    ['*:*', '10.0.0.1', '10.0.0.1', 0, false],
    ['*:*', '10.0.0.1', '10.0.0.1', 65536, false],
    ['*:*', 'rebound.example', '127.0.0.1', 80, false],
    ['*:*', 'localhost', '::1', 80, false],
    ['*:443', '10.0.0.1', '10.0.0.1', 443, true],
    ['*:443', '10.0.0.1', '10.0.0.1', 444, false],
    ['*:22,80-82,9000', '10.0.0.1', '10.0.0.1', 81, true],
    ['*:22,80-82,9000', '10.0.0.1', '10.0.0.1', 83, false],
    ['db.internal:5432', 'DB.Internal.', '10.0.0.1', 5432, true],
    ['DB.internal.:5432', 'db.internal', '10.0.0.1', 5432, true],
    ['db.internal:5432', 'db.internal.example', '10.0.0.1', 5432, false],
    ['db.internal:5432', '10.0.0.1', '10.0.0.1', 5432, false],
    ['db.internal:5432', 'db.internal', '169.254.169.254', 5432, false],
    ['bücher.example:80', 'xn--bcher-kva.example', '10.0.0.1', 80, true],
    ['*.bücher.example:80', 'shop.BÜCHER.example', '10.0.0.1', 80, true],
    ['*.internal:80', 'a.internal', '10.0.0.1', 80, true],
    ['*.internal:80', 'a.b.internal', '10.0.0.1', 80, true],
    ['*.internal:80', 'internal', '10.0.0.1', 80, false],
    ['*.internal:80', 'a.internal.evil.example', '10.0.0.1', 80, false],
    ['*.internal:80', 'a.internal', '127.0.0.1', 80, false],
    ['db*.*.example:80', 'db1.x.example', '10.0.0.1', 80, true],
    ['db*.*.example:80', 'db1.example', '10.0.0.1', 80, false],
    ['localhost:8000-8999', 'localhost', '127.0.0.1', 8000, true],
    ['localhost:8000-8999', 'localhost', '::1', 8000, true],
    ['localhost:8000-8999', '127.1', '127.0.0.1', 8000, true],
    ['localhost:8000-8999', '127.9.9.9', '127.9.9.9', 8000, true],
    ['localhost:8000-8999', 'any.example', '127.0.0.1', 8000, true],
    ['localhost:8000-8999', 'localhost', '127.0.0.1', 9000, false],
    ['localhost:8000-8999', 'localhost', '10.0.0.1', 8000, false],
    ['localhost:8000-8999', '0.0.0.0', '0.0.0.0', 8000, false],
    ['localhost:8000-8999', 'x', '64:ff9b::7f00:1', 8000, false],
    ['10.0.0.0/8:*', 'any.example', '10.1.2.3', 80, true],
    ['10.0.0.0/8:*', '::ffff:10.1.2.3', '10.1.2.3', 80, true],
    ['10.0.0.0/8:*', 'any.example', '64:ff9b::10.1.2.3', 80, true],
    ['10.0.0.0/8:*', 'any.example', '2002:0a01:0203::1', 80, false],
    ['10.0.0.0/8:*', 'any.example', '11.0.0.1', 80, false],
    ['10.0.0.1:80', '0xa.1', '10.0.0.1', 80, true],
    ['10.1:80', '10.0.0.1', '10.0.0.1', 80, true],
    ['[fd00::/8]:443', 'any.example', 'fd12::1', 443, true],
    ['[fd00::/8]:443', 'any.example', 'fd00:ec2::254', 443, false],
    ['[fd00:ec2::254]:80', 'fd00:ec2::254', 'fd00:ec2::254', 80, true],
    ['[::1]:22', '::1', '::1', 22, true],
    ['[::1]:22', '127.0.0.1', '127.0.0.1', 22, false],
    ['[::/0]:*', '::1', '::1', 22, false],
    ['[::/0]:*', 'x', '2001:db8::1', 22, true],
    ['0.0.0.0/0:*', '127.0.0.1', '127.0.0.1', 80, false],
    ['0.0.0.0/0:*', 'x', '8.8.8.8', 80, true],
    ['127.0.0.0/8:*', '127.0.0.1', '127.0.0.1', 80, true],
    ['126.0.0.0/7:*', '127.0.0.1', '127.0.0.1', 80, false],
    ['127.0.0.0/8:*', 'x', '64:ff9b::7f00:1', 80, false],
    ['[64:ff9b::7f00:1]:80', 'x', '64:ff9b::7f00:1', 80, true],
    ['169.254.169.254:80', '169.254.169.254', '169.254.169.254', 80, true],
    ['169.254.0.0/16:*', 'x', '169.254.169.254', 80, true],
    ['*:*', 'bad host', '10.0.0.1', 80, false],
  ] as const) {
    const name = `${pattern} ${covered ? 'covers' : 'does not cover'} ${host} at ${address} port ${port}`;
    t.equal(coversOpen(open(pattern), host, at(address), port), covered, name);
    if (covered) t.ok(mayOpenName(open(pattern), host, port), 'and the cheap check before did not rule it out');
  }
  t.notOk(coversOpen([], 'x', at('10.0.0.1'), 80), 'no patterns, no rights');
  t.notOk(coversOpen(open('/run/x.sock'), 'x', at('10.0.0.1'), 80));
});

t.test('a name that no pattern can match is not looked up', async (t) => {
  const names = open('*.internal:80', 'db.example:5432');
  t.ok(mayOpenName(names, 'a.internal', 80));
  t.notOk(mayOpenName(names, 'a.internal', 81));
  t.notOk(mayOpenName(names, 'evil.example', 80));
  t.notOk(mayOpenName(names, '10.0.0.1', 80));
  t.notOk(mayOpenName(open('*:*'), '127.1', 80), 'a literal gets its final answer');
  t.notOk(mayOpenName(open('*:*'), 'a\0b', 80));
  for (const wide of ['*:80', '10.0.0.0/8:80', 'localhost:80', '10.0.0.1:80']) {
    t.ok(mayOpenName(open(wide), 'any.example', 80), `${wide} depends on the address`);
  }
});

const port = fc.integer({ min: 1, max: 65535 });
t.test('no spelling of a protected address is ever covered by *, a name, a glob or 0/0', async () => {
  const wide = open(
    '*:*',
    '*.example:*',
    'a.example:*',
    'a*:*',
    '0.0.0.0/0:*',
    '[::/0]:*',
    '[2000::/3]:*',
    '[64:ff9b::/96]:*',
  );
  const byte = fc.nat(255);
  const v4 = fc.oneof(
    fc.tuple(fc.constant(127), byte, byte, byte),
    fc.tuple(fc.constant(169), fc.constant(254), byte, byte),
    fc.tuple(fc.integer({ min: 224, max: 239 }), byte, byte, byte),
    fc.constant([255, 255, 255, 255] as [number, number, number, number]),
    fc.tuple(fc.constant(0), byte, byte, byte),
  );
  const spelling = v4.chain(([a, b, c, d]) => {
    const whole = ((a * 256 + b) * 256 + c) * 256 + d;
    const high = ((a << 8) | b).toString(16);
    const low = ((c << 8) | d).toString(16);
    return fc.constantFrom(
      `${a}.${b}.${c}.${d}`,
      `${whole}`,
      `0x${whole.toString(16)}`,
      `0${whole.toString(8)}`,
      `${a}.${b * 65_536 + c * 256 + d}`,
      `0x${a.toString(16)}.${b}.0${c.toString(8)}.${d}.`,
      `::ffff:${a}.${b}.${c}.${d}`,
      `[::FFFF:${high}:${low}]`,
      `::ffff:0:${high}:${low}`,
      `64:ff9b::${high}:${low}`,
      `64:ff9b:1::${a === 0 ? '127.0.0.1' : `${a}.${b}.${c}.${d}`}`,
      `2002:${high}:${low}::`,
      `2001:0:${high}:${low}::1`,
      `2001:db8::5efe:${high}:${low}`,
    );
  });
  const v6 = fc
    .tuple(
      fc.constantFrom('fe80', 'febf', 'ff02', 'ff0e'),
      fc.ipV6().filter((text) => /^[0-9a-f]+:[^:]/i.test(text)),
    )
    .map(([head, tail]) => tail.replace(/^[^:]+/, head));
  fc.assert(
    fc.property(fc.oneof(spelling, v6, fc.constantFrom('::1', '::')), port, (text, port) => {
      for (const host of [text, 'a.example']) {
        if (coversOpen(wide, host, at(text), port)) throw new Error(`${host} at ${text}`);
      }
      if (mayOpenName(open('*:*', '0.0.0.0/0:*', '[::/0]:*'), text, port)) throw new Error(text);
    }),
    { numRuns: 2000 },
  );
});

t.test('a narrower pattern never grants what a wider one denies', async () => {
  const bits = fc.nat(32);
  const block = (address: number, prefixBits: number, ports: string): OpenPattern[] => {
    const base = address - (address % 2 ** (32 - prefixBits));
    return open(`${at(String(base)).text}/${prefixBits}:${ports}`);
  };
  fc.assert(
    fc.property(fc.nat(0xffff_ffff), fc.nat(0xffff_ffff), bits, bits, port, port, (here, there, a, b, from, to) => {
      const [low, high] = [Math.min(from, to), Math.max(from, to)];
      const narrow = block(here, Math.max(a, b), `${low}`);
      const wide = block(here, Math.min(a, b), `${low}-${high}`);
      // Both near the block's edge and anywhere; a protected address is the exception that the patterns make on purpose.
      for (const address of [here, here ^ 1, there].map((number) => at(String(number >>> 0)))) {
        if (protectedRange(address) !== null) continue;
        const granted = coversOpen(narrow, 'x', address, low);
        if (granted && !coversOpen(wide, 'x', address, low)) throw new Error(address.text);
        if (granted && !coversOpen(open('*:*'), 'x', address, low)) throw new Error(`wider than *: ${address.text}`);
      }
      const own = at(String(here));
      if (protectedRange(own) === null && !coversOpen(narrow, 'x', own, low)) throw new Error(`lost ${own.text}`);
    }),
    { numRuns: 500 },
  );
});
