/** OpenSSH's patterns, by table: match.c and addrmatch.c of OpenSSH 9.2. */
import t from 'tap';
import {
  addressListError,
  matchAddressList,
  matchCidrList,
  matchPattern,
  matchPatternList,
  matchSource,
} from '../../src/shared/match.js';

t.test('matchPattern', async (t) => {
  for (const [text, pattern, expected] of [
    ['', '', true],
    ['', '*', true],
    ['', '?', false],
    ['a', '', false],
    ['abc', 'abc', true],
    ['abc', 'ab', false],
    ['abc', 'abcd', false],
    ['abc', 'a?c', true],
    ['ac', 'a?c', false],
    ['abc', '*', true],
    ['abc', '***', true],
    ['abc', 'a*', true],
    ['abc', '*c', true],
    ['abc', '*b', false],
    ['abcbc', 'a*bc', true],
    ['aXbXc', 'a*b*c', true],
    ['abc', '*?*?*?*', true],
    ['ab', '*?*?*?*', false],
    ['ABC', 'abc', false],
    ['a*c', 'a*c', true],
    [`${'a'.repeat(2000)}b`, `${'*a'.repeat(500)}c`, false],
  ] as const)
    t.equal(matchPattern(text, pattern), expected, `${text.slice(0, 20)} ${pattern.slice(0, 20)}`);
});

t.test('matchPatternList', async (t) => {
  for (const [text, list, expected] of [
    ['a.example', '*.example', 'yes'],
    ['a.example', '*.EXAMPLE', 'yes'],
    ['a.example', 'b.example,a.example', 'yes'],
    ['a.example', '!a.example,*', 'no'],
    ['a.example', '*,!a.example', 'no'],
    ['a.example', '!b.example', 'none'],
    ['a.example', '', 'none'],
    ['a.example', ',,', 'none'],
    ['a', 'a'.repeat(1022), 'none'],
    ['a'.repeat(1022), 'a'.repeat(1022), 'yes'],
    ['a'.repeat(1023), 'a'.repeat(1023), 'none'],
    ['b', `${'a'.repeat(1023)},b`, 'none'],
  ] as const)
    t.equal(matchPatternList(text, list, true), expected, `${text.slice(0, 20)} ${list.slice(0, 20)}`);
  t.equal(matchPatternList('a', 'A', false), 'none');
});

t.test('matchAddressList', async (t) => {
  for (const [address, list, expected] of [
    ['10.1.2.3', '10.0.0.0/8', 'yes'],
    ['11.1.2.3', '10.0.0.0/8', 'none'],
    ['10.1.2.3', '10.1.2.3', 'yes'],
    ['10.1.2.3', '10.1.2.*', 'yes'],
    ['10.1.2.3', '10.1.2.?', 'yes'],
    ['10.1.2.3', '*', 'yes'],
    ['10.1.2.3', '!10.1.2.3,*', 'no'],
    ['10.1.2.3', '*,!10.0.0.0/8', 'no'],
    ['10.1.2.3', '!10.9.9.9', 'none'],
    ['10.1.2.3', '10.0.0.0/8,', 'no'],
    ['10.1.2.3', '!', 'no'],
    ['10.1.2.3', '10.1.0.0/8', 'no'],
    ['10.1.2.3', '10.0.0.0/33', 'no'],
    ['10.1.2.3', '10.0.0.0/129', 'none'],
    ['10.1.2.3', '10.0.0.0/8x', 'none'],
    ['10.1.2.3', '10.0.0.0/', 'none'],
    ['10.1.2.3', '0.0.0.0/0', 'yes'],
    ['10.1.2.3', '::/0', 'none'],
    ['10.1.2.3', '::ffff:10.1.2.3', 'none'],
    ['127.0.0.1', '127.1', 'yes'],
    ['127.0.0.1', '0X7F.1', 'yes'],
    ['2001:db8::1', '2001:db8::/32', 'yes'],
    ['2001:db8::1', '2001:DB8:0:0::1', 'yes'],
    ['2001:db8::1', '2001:db8::*', 'yes'],
    ['2001:db8::1', '10.0.0.0/8', 'none'],
    ['2001:db8::1', '!2001:db8::/32,::/0', 'no'],
    ['10.1.2.3', 'host.example', 'none'],
    ['10.1.2.3', 'host.example,10.1.2.3', 'yes'],
    ['fe80::1', 'fe80::1%lo', 'no'],
    ['nonsense', '*', 'none'],
  ] as const)
    t.equal(matchAddressList(address, list), expected, `${address} ${list}`);
  t.equal(addressListError('10.0.0.0/8,!host,*'), null);
  for (const list of ['', 'a,,b', '!', '10.0.0.1/8', '1.2.3.4/40', 'fe80::1%lo'])
    t.type(addressListError(list), 'string', list);
});

t.test('matchSource: addresses by either rule, and no name is looked up', async (t) => {
  for (const [address, list, expected] of [
    ['10.1.2.3', '10.0.0.0/8', true],
    ['10.1.2.3', '10.*', true],
    ['10.1.2.3', '*.example', false],
    ['10.1.2.3', '*.example,!10.1.2.3', false],
    ['10.1.2.3', '!*.example,*', true],
    ['2001:db8::1', '2001:DB8::*', true], // as a name: in lower case
    ['10.1.2.3', '*,10.0.0.1/8', false],
    ['10.1.2.3', '', false],
  ] as const)
    t.equal(matchSource(address, list), expected, `${address} ${list}`);
});

t.test('matchCidrList', async (t) => {
  for (const [address, list, expected] of [
    ['10.1.2.3', '10.0.0.0/8', true],
    ['10.1.2.3', '192.0.2.0/24,10.1.2.3', true],
    ['10.1.2.3', '192.0.2.0/24', false],
    ['10.1.2.3', '10.0.0.0/8,', null],
    ['10.1.2.3', '!10.0.0.0/8', null],
    ['10.1.2.3', '10.*', null],
    ['10.1.2.3', '10.0.0.1/8', null],
    ['10.1.2.3', '', null],
    ['10.1.2.3', '0'.repeat(50), null],
    ['2001:db8::1', '2001:db8::/32', true],
  ] as const)
    t.equal(matchCidrList(address, list), expected, `${address} ${list}`);
});
