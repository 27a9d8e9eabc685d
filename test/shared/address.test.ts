/** Every spelling of an address is one address, and no spelling hides where it leads. */
import { SocketAddress } from 'node:net';
import fc from 'fast-check';
import t from 'tap';
import {
  type Address,
  formatHostPort,
  normalisePeerAddress,
  parseAddress,
  parseHost,
  parseHostPort,
} from '../../src/shared/address.js';

const ipv4 = fc.tuple(fc.nat(255), fc.nat(255), fc.nat(255), fc.nat(255));
const hextets = fc.array(fc.oneof(fc.constant(0), fc.nat(0xffff)), { minLength: 8, maxLength: 8 });

function mustParse(text: string): Address {
  const address = parseAddress(text);
  if (address === null) throw new Error(`${text} is no address`);
  return address;
}

t.test('spellings of an address become one text', async (t) => {
  for (const [text, canonical] of [
    ['10.0.0.1', '10.0.0.1'],
    ['127.1', '127.0.0.1'],
    ['127.0.1', '127.0.0.1'],
    ['0x7f.1', '127.0.0.1'],
    ['0X7F.0x0.0x0.0x1', '127.0.0.1'],
    ['0177.0.0.1', '127.0.0.1'],
    ['2130706433', '127.0.0.1'],
    ['0x7f000001', '127.0.0.1'],
    ['017700000001', '127.0.0.1'],
    ['00000000000000000177.0.0.1', '127.0.0.1'],
    ['127.0.0.1.', '127.0.0.1'],
    ['10.65535', '10.0.255.255'],
    ['4294967295', '255.255.255.255'],
    ['0', '0.0.0.0'],
    ['１２７｡0.0.1', '127.0.0.1'], // digits and a dot of another script
    ['::ffff:127.0.0.1', '127.0.0.1'],
    ['::FFFF:7F00:1', '127.0.0.1'],
    ['0:0:0:0:0:ffff:7f00:0001', '127.0.0.1'],
    ['[::1]', '::1'],
    ['0:0:0:0:0:0:0:1', '::1'],
    ['0000::0001', '::1'],
    ['::127.0.0.1', '::7f00:1'],
    ['FE80::ABCD', 'fe80::abcd'],
    ['1:0:0:2:0:0:0:3', '1:0:0:2::3'],
    ['1:0:2:3:4:5:6:7', '1:0:2:3:4:5:6:7'],
    ['1:0:0:2:3:0:0:4', '1::2:3:0:0:4'],
    ['::', '::'],
  ] as const) {
    const host = parseHost(text);
    t.equal(host.kind === 'address' ? host.address.text : host, canonical, text);
  }
});

t.test('names are lowered, made ASCII and lose the trailing dot', async (t) => {
  for (const [text, name] of [
    ['example.com', 'example.com'],
    ['EXAMPLE.Com.', 'example.com'],
    ['LocalHost', 'localhost'],
    ['_sip.a-b.example', '_sip.a-b.example'],
    ['1password.com', '1password.com'],
    ['cafe.f00d', 'cafe.f00d'],
    ['bücher.example', 'xn--bcher-kva.example'],
    ['ⓛocalhost', 'localhost'],
    [`${'a'.repeat(63)}.b`, `${'a'.repeat(63)}.b`],
  ] as const) {
    t.same(parseHost(text), { kind: 'name', name }, text);
  }
});

t.test('junk is invalid and never handed to a resolver', async (t) => {
  for (const text of [
    '',
    '.',
    '..',
    'a..b',
    '.a',
    'a b',
    ' a',
    'a\n',
    'a\0b',
    'a\tb',
    'a/b',
    'ü/../x', // domainToASCII cuts at the slash
    'ü?x',
    'a@b',
    'a:b',
    'a%b',
    'fe80::1%lo',
    '::1%1',
    '[127.0.0.1]',
    '[::1',
    '::1]',
    '[]',
    '[[::1]]',
    '::1.',
    ':::',
    '1:2:3:4:5:6:7:8:9',
    '::ffff:0x7f.1',
    '::ffff:0177.0.0.1',
    '256.0.0.1',
    '1.2.3.256',
    '1.2.3.4.5',
    '1.2.65536',
    '4294967296',
    '0x100000000',
    '08.0.0.1',
    '0x',
    'host.0x7f',
    'host.1',
    '127.0.0.1..',
    '*',
    `${'a'.repeat(64)}.b`,
    new Array(256).fill('a').join('.'),
    'a'.repeat(1_000_000),
    '\ud800',
  ]) {
    t.equal(parseHost(text).kind, 'invalid', JSON.stringify(text.slice(0, 40)));
  }
});

t.test('parseHost is total, idempotent, and its names hold no surprise', async () => {
  const anyText = fc.oneof(
    fc.string({ unit: 'binary' }),
    fc.string({ unit: fc.constantFrom(...'0123456789abcdefxX.:[]%-*ü。') }),
    fc.ipV6(),
    fc.ipV4Extended(),
  );
  fc.assert(
    fc.property(anyText, (text) => {
      const host = parseHost(text);
      if (host.kind === 'invalid') return;
      const canonical = host.kind === 'name' ? host.name : host.address.text;
      if (host.kind === 'name' && !/^(?=.{1,253}$)[a-z0-9_-]{1,63}(\.[a-z0-9_-]{1,63})*$/.test(canonical)) {
        throw new Error(canonical);
      }
      const again = parseHost(canonical);
      if (JSON.stringify(again) !== JSON.stringify(host)) throw new Error(`${text} -> ${canonical}`);
    }),
    { numRuns: 1000 },
  );
});

t.test("IPv6 text and bytes agree with the platform's own parser", async () => {
  fc.assert(
    fc.property(hextets, (groups) => {
      const full = groups.map((group) => group.toString(16)).join(':');
      const platform = new SocketAddress({ address: full, family: 'ipv6' }).address;
      for (const text of [full, platform, mustParse(full).text]) {
        if (mustParse(text).text !== mustParse(full).text) throw new Error(text);
      }
    }),
    { numRuns: 300 },
  );
  // What inet_ntop writes with a dotted tail (::a.b.c.d and ::ffff:a.b.c.d) must read back alike.
  fc.assert(
    fc.property(ipv4, (bytes) => {
      const dotted = bytes.join('.');
      if (mustParse(`::ffff:${dotted}`).text !== dotted) throw new Error(dotted);
      if (mustParse(`64:ff9b::${dotted}`).bytes.slice(12).join('.') !== dotted) throw new Error(dotted);
      if (mustParse(`::${dotted}`).family !== 6) throw new Error(dotted);
    }),
  );
});

t.test('host and port', async (t) => {
  for (const [text, host, port] of [
    ['127.0.0.1:22', '127.0.0.1', 22],
    ['[::1]:22', '::1', 22],
    ['[::]:0', '::', 0],
    ['Host.example:65535', 'host.example', 65535],
  ] as const) {
    t.same(parseHostPort(text), { host, port }, text);
    t.equal(formatHostPort(host, port), text.toLowerCase());
  }
  for (const text of [
    '::1:22',
    '127.0.0.1',
    ':22',
    'a:65536',
    'a:-1',
    'a:1a',
    'a:',
    '[::1]22',
    '[a]:22',
    'a b:1',
    '',
    'a:1\n',
  ]) {
    t.equal(parseHostPort(text), null, text);
  }
  t.equal(normalisePeerAddress('::ffff:192.0.2.1'), '192.0.2.1');
  t.equal(normalisePeerAddress('fe80::1%eth0'), 'fe80::1');
  t.equal(normalisePeerAddress('what'), 'what');
});
