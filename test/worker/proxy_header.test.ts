/** The PROXY header, by the words of its specification: what is read, what is refused and why, and how much is waited for. */
import t from 'tap';
import { looksProxied, readProxyHeader } from '../../src/worker/proxy_header.js';
import { bodyV2, headerV1, headerV2 } from '../support/proxy_header.js';

const V4 = bodyV2([192, 0, 2, 1], [198, 51, 100, 2], [50_000, 22]);
const SIXTEEN = [0x20, 0x01, 0x0d, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 9];
const V6 = bodyV2(SIXTEEN, SIXTEEN, [1, 2]);
const MAPPED = bodyV2([0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 255, 255, 192, 0, 2, 1], SIXTEEN, [5, 6]);
const UNIX = Buffer.alloc(216, 'a');
const TLVS = Buffer.from([0x03, 0, 4, 1, 2, 3, 4, 0x04, 0, 1, 0]);

const FROM_V4 = { address: '192.0.2.1', port: 50_000 };

t.test('who comes, and where the header ends', async (t) => {
  const read = [
    ['v1 over IPv4', 'PROXY TCP4 192.0.2.1 198.51.100.2 50000 22\r\n', FROM_V4],
    ['v1 over IPv6', 'PROXY TCP6 2001:DB8::1 ::1 1 2\r\n', { address: '2001:db8::1', port: 1 }],
    ['v1, an IPv4 host in IPv6', 'PROXY TCP6 ::ffff:192.0.2.1 ::1 50000 2\r\n', FROM_V4],
    ['v1, the longest there is', `PROXY TCP6 ${'ffff:'.repeat(7)}ffff ${'ffff:'.repeat(7)}ffff 65535 65535\r\n`, null],
    ['v1, not known', 'PROXY UNKNOWN\r\n', null],
    ['v1, not known, with something behind', 'PROXY UNKNOWN ffff:f ffff:f 65535 x\r\n', null],
    ['v2 over IPv4', headerV2(V4), FROM_V4],
    ['v2 over IPv6', headerV2(V6, 0x21, 0x21), { address: '2001:db8::9', port: 1 }],
    ['v2, an IPv4 host in IPv6', headerV2(MAPPED, 0x21, 0x21), { address: '192.0.2.1', port: 5 }],
    ['v2 with TLVs', headerV2(Buffer.concat([V4, TLVS])), FROM_V4],
    ['v2, as long as may be', headerV2(Buffer.concat([V4, Buffer.alloc(524)])), FROM_V4],
    ['v2 of a Unix socket', headerV2(UNIX, 0x21, 0x31), null],
    ['v2, unspecified', headerV2(TLVS, 0x21, 0x00), null],
    ['v2, its own', headerV2(Buffer.alloc(0), 0x20, 0x00), null],
    ['v2, its own, whatever the rest says', headerV2(TLVS, 0x20, 0xff), null],
  ] as const;
  for (const [name, text, source] of read) {
    const header = Buffer.from(text);
    const longest = name.includes('longest') ? { address: `${'ffff:'.repeat(7)}ffff`, port: 65_535 } : source;
    const whole = { kind: 'whole', bytes: header.length, source: longest };
    t.same(readProxyHeader(header), whole, name);
    t.same(readProxyHeader(Buffer.concat([header, Buffer.from('SSH-2.0-a\r\n')])), whole, `${name}, and more`);
    for (let bytes = 0; bytes < header.length; bytes++)
      if (readProxyHeader(header.subarray(0, bytes)).kind !== 'incomplete') t.fail(`${name}, ${bytes} bytes of it`);
  }
});

t.test('what is wrong is refused as soon as it is seen', async (t) => {
  const refused = [
    ['SSH-2.0-a\r\n', 'PROXY_MISSING', /no PROXY header/],
    ['PROXYTCP4', 'PROXY_MISSING', /no PROXY header/],
    ['proxy TCP4', 'PROXY_MISSING', /no PROXY header/],
    ['PROXY TCP5 1.2.3.4 1.2.3.4 1 2\r\n', 'PROXY_INVALID', /family/],
    ['PROXY  TCP4 1.2.3.4 1.2.3.4 1 2\r\n', 'PROXY_INVALID', /family/],
    ['PROXY TCP4 1.2.3.4 1.2.3.4  1 2\r\n', 'PROXY_INVALID', /two addresses/],
    ['PROXY TCP4 1.2.3.4 1.2.3.4 1\r\n', 'PROXY_INVALID', /two addresses/],
    ['PROXY TCP4 1.2.3.4 1.2.3.4 1 2 3\r\n', 'PROXY_INVALID', /two addresses/],
    ['PROXY TCP4 1.2.3.256 1.2.3.4 1 2\r\n', 'PROXY_INVALID', /address/],
    ['PROXY TCP4 01.2.3.4 1.2.3.4 1 2\r\n', 'PROXY_INVALID', /address/],
    ['PROXY TCP4 ::1 ::1 1 2\r\n', 'PROXY_INVALID', /address/],
    ['PROXY TCP6 fe80::1%lo ::1 1 2\r\n', 'PROXY_INVALID', /address/],
    ['PROXY TCP4 localhost 1.2.3.4 1 2\r\n', 'PROXY_INVALID', /address/],
    ['PROXY TCP4 1.2.3.4 1.2.3.4 65536 2\r\n', 'PROXY_INVALID', /port/],
    ['PROXY TCP4 1.2.3.4 1.2.3.4 01 2\r\n', 'PROXY_INVALID', /port/],
    ['PROXY TCP4 1.2.3.4 1.2.3.4 -1 2\r\n', 'PROXY_INVALID', /port/],
    ['PROXY TCP4 1.2.3.4 1.2.3.4 1 2\nSSH-2.0-a\r\n', 'PROXY_INVALID', /port|two addresses/],
    [`PROXY UNKNOWN ${'a'.repeat(200)}`, 'PROXY_INVALID', /longer than 107/],
    [`PROXY UNKNOWN ${'a'.repeat(92)}\r\n`, 'PROXY_INVALID', /longer than 107/],
    [headerV2(V4, 0x11), 'PROXY_INVALID', /version/],
    [headerV2(V4, 0x22), 'PROXY_INVALID', /command/],
    [headerV2(V4, 0x21, 0x12), 'PROXY_INVALID', /stream/],
    [headerV2(V4, 0x21, 0x41), 'PROXY_INVALID', /family/],
    [headerV2(V4.subarray(1)), 'PROXY_INVALID', /too short/],
    [headerV2(V4, 0x21, 0x21), 'PROXY_INVALID', /too short/],
    [headerV2(UNIX.subarray(1), 0x21, 0x31), 'PROXY_INVALID', /too short/],
    [headerV2(Buffer.alloc(0), 0x21, 0x11, 537), 'PROXY_INVALID', /more than 536/],
    [headerV2(Buffer.alloc(0), 0x20, 0x00, 65_535), 'PROXY_INVALID', /more than 536/],
  ] as const;
  for (const [text, reason, why] of refused)
    t.match(readProxyHeader(Buffer.from(text)), { kind: 'wrong', reason, why }, JSON.stringify(String(text)));
});

t.test('what a header looks like, for who wants none', async (t) => {
  for (const [text, looks] of [
    ['', 'maybe'],
    ['P', 'maybe'],
    ['PROXY', 'maybe'],
    ['PROXY ', 'yes'],
    ['PROXX', 'no'],
    ['\r\n\r\n\0', 'maybe'],
    ['\r\n\r\n\0\r\nQUIT\n\x21', 'yes'],
    ['\r\nS', 'no'],
    ['\n', 'no'],
    ['SSH-', 'no'],
  ] as const)
    t.equal(looksProxied(Buffer.from(text, 'latin1')), looks, JSON.stringify(text));
  t.equal(looksProxied(headerV1({ address: '::1', port: 1 }, { address: '::1', port: 2 })), 'yes');
});
