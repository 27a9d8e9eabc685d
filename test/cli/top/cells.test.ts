/** CELLS: no text of a stranger does anything to a terminal, and each takes the cells that it is said to. */
import fc from 'fast-check';
import t from 'tap';
import { cut, fit, harmless, widthOf } from '../../../src/cli/top/cells.js';

t.test('harmless: what a terminal would obey is written as its number', async (t) => {
  const cases: readonly (readonly [string, string])[] = [
    ['ana', 'ana'],
    ['\x1b[2J\x1b]0;owned\x07', '\\x1b[2J\\x1b]0;owned\\x07'],
    ['a\r\nb\tc', 'a\\x0d\\x0ab\\x09c'],
    ['\u009b31m', '\\x9b31m'],
    ['abc\u202etxt', 'abc\\u{202e}txt'],
    ['a\u00adb\u2060c', 'a\\u{ad}b\\u{2060}c'],
    ['☀\ufe0f', '☀\\u{fe0f}'],
    ['\ud800', '\\u{d800}'],
    ['a\u00a0b', 'a b'],
    ['tomás', 'tomás'],
    [`z${'\u0334'.repeat(50)}`, 'z\u0334\u0334'],
  ];
  for (const [text, shown] of cases) t.equal(harmless(text), shown, JSON.stringify(text));
  t.equal(harmless('tomás 日本', 'ascii'), 'tom?s ??');
});

t.test('harmless, whatever the text: no control is left, nor anything without a shape', async (t) => {
  fc.assert(
    fc.property(fc.string({ unit: 'binary' }), (text) => {
      t.notMatch(harmless(text), /[\p{Cc}\p{Cf}\p{Cs}]/u);
      t.match(harmless(text, 'ascii'), /^[\x20-\x7e]*$/);
    }),
    { numRuns: 300 },
  );
});

t.test('widths: wide characters take two cells, marks none', async (t) => {
  const cases: readonly (readonly [string, number])[] = [
    ['', 0],
    ['alice', 5],
    ['tomás', 5],
    ['日本語', 6],
    ['한국', 4],
    ['ＡＢ', 4],
    ['🚀x', 3],
    ['e\u0301', 1],
    ['Ω', 1],
  ];
  for (const [text, width] of cases) t.equal(widthOf(text), width, text);
});

t.test('cut and fit: never wider than they were asked to be', async (t) => {
  t.equal(cut('abcdef', 4, 'unicode'), 'abc…');
  t.equal(cut('abcdef', 4, 'ascii'), 'abc~');
  t.equal(cut('日本語', 4, 'unicode'), '日…', 'half of a wide character is not shown');
  t.equal(cut('abc', 3, 'unicode'), 'abc');
  t.equal(fit('日本語', 4, 'left', 'unicode'), '日… ');
  t.equal(fit('ab', 4, 'right', 'unicode'), '  ab');
  fc.assert(
    fc.property(fc.string({ unit: 'grapheme' }), fc.nat(30), (text, width) => {
      t.equal(widthOf(fit(harmless(text), width, 'left', 'unicode')), width, JSON.stringify(text));
    }),
    { numRuns: 200 },
  );
});
