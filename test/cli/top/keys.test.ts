/** KEYS: bytes of a terminal become keys, however reads cut them, and a paste is never a command. */
import fc from 'fast-check';
import t from 'tap';
import { decode } from '../../../src/cli/top/keys.js';

function kinds(text: string, isLast = false): string[] {
  return decode(text, isLast).keys.map((key) => ('text' in key ? `${key.kind} ${key.text}` : key.kind));
}

t.test('what keys send', async (t) => {
  const cases: readonly (readonly [string, readonly string[]])[] = [
    ['qx', ['character q', 'character x']],
    ['é日🚀', ['character é', 'character 日', 'character 🚀']],
    ['\x1b[A\x1b[B\x1bOA\x1bOB', ['up', 'down', 'up', 'down']],
    ['\x1b[5~\x1b[6~', ['page-up', 'page-down']],
    ['\x1b[H\x1b[F\x1b[1~\x1b[4~\x1bOH', ['home', 'end', 'home', 'end', 'home']],
    ['\r\n\t\x1b[Z', ['enter', 'enter', 'tab', 'back-tab']],
    ['\x7f\b\x15\x03\x1a\x0c', ['backspace', 'backspace', 'ctrl-u', 'ctrl-c', 'ctrl-z', 'ctrl-l']],
    ['\x1b\x1b[A', ['escape', 'up']],
    ['\x1b[200~x\ny\x1b[201~q', ['paste x\ny', 'character q']],
  ];
  for (const [text, keys] of cases) t.same(kinds(text), keys, JSON.stringify(text));
});

t.test('what is nothing of ours does nothing, and leaves no letters behind', async (t) => {
  // F5, Ctrl-Right, a report of the mouse, of the focus, Alt-x, Ctrl-A
  for (const text of ['\x1b[15~', '\x1b[1;5C', '\x1b[<0;10;10M', '\x1b[I', '\x1bx', '\x01'])
    t.same(kinds(text), [], JSON.stringify(text));
});

t.test('a lone ESC is a key once nothing follows', async (t) => {
  t.same(decode('\x1b'), { keys: [], rest: '\x1b' });
  t.same(kinds('\x1b', true), ['escape']);
});

t.test('cut anywhere, the keys are the same', async (t) => {
  const parts = ['q', '\x1b[A', '\x1bOB', '\x1b[5~', '\x1b[200~y x\x1b[201~', '\t', 'é', '\x1b[15~'];
  const texts = fc.array(fc.constantFrom(...parts), { maxLength: 8 }).map((each) => each.join(''));
  fc.assert(
    fc.property(texts, fc.nat(40), (text, place) => {
      const at = Math.min(place, text.length);
      const first = decode(text.slice(0, at));
      const second = decode(first.rest + text.slice(at));
      t.same([...first.keys, ...second.keys], decode(text).keys, JSON.stringify([text, at]));
    }),
    { numRuns: 200 },
  );
});

t.test('a paste without an end holds no memory, and stays a paste', async (t) => {
  let rest = '\x1b[200~';
  for (let piece = 0; piece < 100; piece++) {
    const decoded = decode(`${rest}${'xy'.repeat(500)}`);
    t.same(decoded.keys, []);
    rest = decoded.rest;
  }
  t.ok(rest.length < 10_000, `${rest.length} characters are kept`);
  const [key] = decode(`${rest}\x1b[201~`).keys;
  t.equal(key?.kind, 'paste');
});
