/** Where an address leads: protected ranges through every embedding, blocks, and the server's own listeners. */
import fc from 'fast-check';
import t from 'tap';
import {
  type Address,
  inCidr,
  isLoopback,
  isOwnListener,
  parseAddress,
  parseCidr,
  protectedRange,
  protectedRangeOfBlock,
} from '../../src/shared/address.js';
import type { ListenerAddress } from '../../src/shared/ipc.js';

const ipv4 = fc.tuple(fc.nat(255), fc.nat(255), fc.nat(255), fc.nat(255));

function mustParse(text: string): Address {
  const address = parseAddress(text);
  if (address === null) throw new Error(`${text} is no address`);
  return address;
}

t.test('protected ranges, and their neighbours', async (t) => {
  for (const [text, range] of [
    ['127.0.0.1', 'loopback'],
    ['127.255.255.254', 'loopback'],
    ['126.255.255.255', null],
    ['128.0.0.0', null],
    ['::1', 'loopback'],
    ['::2', 'unspecified'], // v4-compatible 0.0.0.2
    ['0.0.0.0', 'unspecified'],
    ['0.1.2.3', 'unspecified'],
    ['::', 'unspecified'],
    ['169.254.169.254', 'link-local'],
    ['169.253.255.255', null],
    ['fe80::1', 'link-local'],
    ['febf::1', 'link-local'],
    ['fec0::1', null],
    ['224.0.0.1', 'multicast'],
    ['239.255.255.255', 'multicast'],
    ['240.0.0.1', null],
    ['ff02::1', 'multicast'],
    ['255.255.255.255', 'broadcast'],
    ['100.100.100.200', 'metadata'],
    ['100.100.100.201', null],
    ['168.63.129.16', 'metadata'],
    ['fd00:ec2::254', 'metadata'],
    ['fd00:ec2::253', null],
    ['fd00:ec2::23', 'metadata'],
    ['fd20:ce::254', 'metadata'],
    ['fd00:a9fe:a9fe::1', 'metadata'],
    ['fd00:a9fe:a9fe::2', null],
    ['fd00:42::42', 'metadata'],
    ['fd00:c1::a9fe:a9fe', 'metadata'],
    ['fd00:100::100:200', 'metadata'],
    ['192.0.0.192', 'metadata'],
    ['64:ff9b::c000:c0', 'metadata'],
    ['192.0.0.193', null],
    ['10.0.0.1', null],
    ['192.168.1.1', null],
    ['100.64.0.1', null],
    ['8.8.8.8', null],
    ['2606:4700::1111', null],
    ['fd12::1', null],
  ] as const) {
    t.equal(protectedRange(mustParse(text)), range, text);
  }
});

/** Ways in which IPv6 can carry an IPv4 address. */
const EMBEDDINGS: ReadonlyArray<readonly [name: string, write: (hi: string, lo: string, inv: string) => string]> = [
  ['v4-mapped', (hi, lo) => `::ffff:${hi}:${lo}`],
  ['v4-compatible', (hi, lo) => `::${hi}:${lo}`],
  ['v4-translated', (hi, lo) => `::ffff:0:${hi}:${lo}`],
  ['NAT64', (hi, lo) => `64:ff9b::${hi}:${lo}`],
  ['NAT64 local /96', (hi, lo) => `64:ff9b:1:abcd::${hi}:${lo}`],
  ['6to4', (hi, lo) => `2002:${hi}:${lo}::1`],
  ['Teredo client', (_hi, _lo, inverted) => `2001:0:4136:e378:8000:63bf:${inverted}`],
  ['Teredo server', (hi, lo) => `2001:0:${hi}:${lo}:8000:63bf:3fff:fdd2`],
  ['ISATAP', (hi, lo) => `2001:db8::5efe:${hi}:${lo}`],
  ['ISATAP, global', (hi, lo) => `2001:db8::200:5efe:${hi}:${lo}`],
];

function hex16(high: number, low: number): string {
  return ((high << 8) | low).toString(16);
}

t.test('an embedded IPv4 address is as protected as itself', async (t) => {
  for (const [name, write] of EMBEDDINGS) {
    fc.assert(
      fc.property(
        fc.oneof(
          ipv4,
          fc.constantFrom<[number, number, number, number][]>(
            [127, 0, 0, 1],
            [169, 254, 169, 254],
            [224, 0, 0, 251],
            [255, 255, 255, 255],
            [100, 100, 100, 200],
          ),
        ),
        ([a, b, c, d]) => {
          const plain = protectedRange(mustParse([a, b, c, d].join('.')));
          const text = write(hex16(a, b), hex16(c, d), `${hex16(255 - a, 255 - b)}:${hex16(255 - c, 255 - d)}`);
          const range = protectedRange(mustParse(text));
          // More may be protected than the plain address (:: and ::1 are not 0.0.0.x), less never.
          // 0.x of a local NAT64 prefix is what every address reads as at the wrong prefix length.
          if (name === 'NAT64 local /96' && a === 0) return;
          if (plain !== null && range === null) throw new Error(`${name}: ${text} hides ${a}.${b}.${c}.${d}`);
        },
      ),
    );
  }
  for (const text of ['64:ff9b:1:7f00:0:100::', '64:ff9b:1:7f:0:1::', '64:ff9b:1:0:7f:0:100::']) {
    t.equal(protectedRange(mustParse(text)), 'loopback', `${text}: RFC 6052 §2.2, a shorter local NAT64 prefix`);
  }
  t.equal(protectedRange(mustParse('64:ff9b:1::10.0.0.1')), null, 'and a harmless one stays harmless');
  t.equal(protectedRange(mustParse('2002:0a00:0001::1')), null);
  t.notOk(isLoopback(mustParse('64:ff9b::7f00:1')), "a translator's loopback is not this machine's");
  t.ok(isLoopback(mustParse('::ffff:127.0.0.2')));
});

t.test('blocks', async (t) => {
  for (const [text, base, bits] of [
    ['10.0.0.0/8', '10.0.0.0', 8],
    ['0.0.0.0/0', '0.0.0.0', 0],
    ['fd00::/8', 'fd00::', 8],
    ['::/0', '::', 0],
    ['10.0.0.1', '10.0.0.1', 32],
    ['::1', '::1', 128],
    ['::ffff:10.0.0.0/104', '10.0.0.0', 8],
  ] as const) {
    const cidr = parseCidr(text);
    t.same([cidr?.base.text, cidr?.prefixBits], [base, bits], text);
  }
  for (const text of [
    '10.0.0.1/8',
    '10/8',
    '10.0.0.0/33',
    '::/129',
    '10.0.0.0/',
    '10.0.0.0/-1',
    'a/8',
    'fd00::1/8',
    '',
  ]) {
    t.equal(parseCidr(text), null, text);
  }
  t.equal(parseCidr('::ffff:0:0/90'), null, 'half IPv4, half IPv6');
  for (const [address, cidr, inside] of [
    ['10.255.0.1', '10.0.0.0/8', true],
    ['11.0.0.0', '10.0.0.0/8', false],
    ['10.0.0.127', '10.0.0.0/25', true],
    ['10.0.0.128', '10.0.0.0/25', false],
    ['::1', '0.0.0.0/0', false],
    ['1.2.3.4', '::/0', false],
    ['::ffff:1.2.3.4', '1.2.3.0/24', true],
    ['fdff::1', 'fd00::/8', true],
  ] as const) {
    const block = parseCidr(cidr);
    t.equal(block !== null && inCidr(mustParse(address), block), inside, `${address} in ${cidr}`);
  }
  for (const [text, range] of [
    ['127.0.0.0/8', 'loopback'],
    ['126.0.0.0/7', null],
    ['0.0.0.0/0', null],
    ['::/0', null],
    ['fe80::/64', 'link-local'],
    ['169.254.169.254/32', 'link-local'],
    ['64:ff9b::7f00:0/104', 'loopback'],
    ['64:ff9b::/96', null],
    ['2002:7f00::/24', 'loopback'],
    ['2002:7f00:1::/64', 'loopback'],
  ] as const) {
    const block = parseCidr(text);
    t.equal(block === null ? 'unparsed' : protectedRangeOfBlock(block), range, text);
  }
});

t.test('own listeners are found in every spelling', async (t) => {
  const tcp = (address: string): ListenerAddress[] => [{ kind: 'tcp', address, port: 2222 }];
  const interfaces = ['127.0.0.1', '::1', '192.0.2.7', 'fe80::7%eth0', '2001:db8::7'];
  for (const [target, listener, own] of [
    ['127.0.0.1', '127.0.0.1', true],
    ['::ffff:127.0.0.1', '127.0.0.1', true],
    ['64:ff9b::7f00:1', '127.0.0.1', true],
    ['0.0.0.0', '127.0.0.1', true],
    ['::', '127.0.0.1', true],
    ['127.0.0.2', '127.0.0.1', false],
    ['::1', '127.0.0.1', false],
    ['127.0.0.2', '0.0.0.0', true],
    ['192.0.2.7', '0.0.0.0', true],
    ['64:ff9b::192.0.2.7', '0.0.0.0', true],
    ['2002:c000:207::', '0.0.0.0', true],
    ['192.0.2.8', '0.0.0.0', false],
    ['::1', '0.0.0.0', false],
    ['::1', '::', true],
    ['127.0.0.1', '::', true],
    ['192.0.2.7', '::', true],
    ['fe80::7', '::', true],
    ['2001:db8::7', '::', true],
    ['2001:db8::8', '::', false],
    ['192.0.2.7', '192.0.2.7', true],
    ['127.0.0.1', '192.0.2.7', false],
    ['fe80::7', 'fe80::7%eth0', true],
    ['127.0.0.1', 'localhost', true],
    ['192.0.2.7', 'myhost.example', true],
    ['192.0.2.8', 'myhost.example', false],
  ] as const) {
    t.equal(isOwnListener(mustParse(target), 2222, tcp(listener), interfaces), own, `${target} -> ${listener}`);
    t.notOk(isOwnListener(mustParse(target), 2223, tcp(listener), interfaces), 'another port');
  }
  t.notOk(isOwnListener(mustParse('127.0.0.1'), 2222, [{ kind: 'unix', path: '/run/x.sock' }], interfaces));
});
