import t from 'tap';
import { safeText } from '../../src/shared/log.js';
import { escapeUnprintable, hasControl, isUserName, safeJson } from '../../src/shared/text.js';

t.test('control characters, C1 among them', async (t) => {
  for (const text of ['\0', 'a\tb', '\x1b[2J', '\x7f', '\x9b1m']) t.ok(hasControl(text), JSON.stringify(text));
  for (const text of ['', 'plain', 'Grüße, 漢字 🙂', '\u202e']) t.notOk(hasControl(text), JSON.stringify(text));
  t.notOk(hasControl('a\tb', '\t'), 'but for those that are named');
  t.ok(hasControl('a\tb\n', '\t'));
});

t.test('what cannot be seen is escaped, what can be stays', async (t) => {
  t.equal(escapeUnprintable('a\nb\x1b\x9f'), 'a\\x0ab\\x1b\\x9f');
  t.equal(escapeUnprintable('exe.\u202etxt\u200b\ufeff'), 'exe.\\u{202e}txt\\u{200b}\\u{feff}');
  t.equal(escapeUnprintable('\ud800'), '\\u{d800}', 'a lone surrogate');
  t.equal(escapeUnprintable('Grüße, 漢字 🙂'), 'Grüße, 漢字 🙂');
});

t.test('JSON for a terminal is the same JSON, and no character of it moves the cursor', async (t) => {
  const value = { text: 'a\u009b2J\u0007\u202e\u2028"\\\ufeff\ud800', 'k\u0090': ['Grüße 🙂'] };
  const line = safeJson(value);
  t.equal(line, '{"text":"a\\u009b2J\\u0007\\u202e\\u2028\\"\\\\\\ufeff\\ud800","k\\u0090":["Grüße 🙂"]}');
  t.same(JSON.parse(line), value);
});

t.test("a user's name is 1 to 255 bytes that a log shows as they are", async (t) => {
  for (const name of ['a', 'Grüße 漢字 🙂', '__proto__', 'x'.repeat(255), 'é'.repeat(127)]) t.ok(isUserName(name));
  const unprintable = [
    'a\nb',
    '\0',
    '\x1b[2J',
    '\x7f',
    '\x9b1m',
    'exe.\u202etxt',
    'a\u200b',
    '\ufeffa',
    'a\u2028',
    '\ud800',
  ];
  for (const name of ['', 'x'.repeat(256), 'é'.repeat(128), ...unprintable])
    t.notOk(isUserName(name), escapeUnprintable(name).slice(0, 30));
});

t.test('a text for the log is short, and no escape is cut in two', async (t) => {
  t.equal(safeText('x'.repeat(255)).length, 255);
  t.equal(safeText('x'.repeat(256)), `${'x'.repeat(254)}…`);
  t.equal(safeText(`${'x'.repeat(253)}\n`), `${'x'.repeat(253)}…`);
  t.ok(safeText('\0'.repeat(10_000)).length <= 255);
  t.equal(safeText('x'.repeat(11), 10), `${'x'.repeat(9)}…`, 'or less, where more has to stand beside it');
});
