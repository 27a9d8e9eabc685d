/** CONFIG SOURCE: places of values, odd YAML, and that no text brings the process down. */
import fc from 'fast-check';
import t from 'tap';
import { type Located, readObject } from '../../src/shared/config_source.js';
import { MAX_CONFIG_BYTES, readYaml, type Source } from '../../src/shared/config_yaml.js';

function rootOf(source: Source): Located {
  if (!source.ok) throw new Error(JSON.stringify(source.problems));
  return source.root;
}

/** The tree without its places. */
function plain(node: Located): unknown {
  if (node.type === 'scalar') return node.value;
  if (node.type === 'list') return node.items.map(plain);
  return node.entries.map(({ name, value }) => [name, plain(value)]);
}

t.test('values, names and places', async (t) => {
  const root = rootOf(readYaml('a: 1\n"b c":\n  - x\n  - {y: off}\n007: ~\n__proto__: 3\n'));
  t.same(plain(root), [
    ['a', 1],
    ['b c', ['x', [['y', 'off']]]],
    ['007', null],
    ['__proto__', 3],
  ]);
  t.equal(root.type, 'map');
  if (root.type !== 'map') return;
  t.same(
    root.entries.map(({ at }) => at),
    [
      { line: 1, column: 1 },
      { line: 2, column: 1 },
      { line: 5, column: 1 },
      { line: 6, column: 1 },
    ],
  );
  t.same(root.entries[1]?.value.at, { line: 3, column: 3 });
});

t.test('an empty text is null; CRLF and a byte order mark do no harm', async (t) => {
  for (const text of ['', '# nothing\n', '---\n', '\uFEFF'])
    t.equal(plain(rootOf(readYaml(text))), null, JSON.stringify(text));
  t.same(plain(rootOf(readYaml('\uFEFFa: 1\r\nb: 2\r\n'))), [
    ['a', 1],
    ['b', 2],
  ]);
});

t.test('what is no YAML of ours is told with its place', async (t) => {
  const cases: ReadonlyArray<readonly [string, number, number, RegExp]> = [
    ['a: [1, 2\n', 2, 1, /flow sequence/i],
    ['a: "x\n', 2, 1, /closing/i],
    ['a: !!bogus 1\n', 1, 4, /unresolved tag/i],
    ['a: *nowhere\n', 1, 4, /stands in quotes: "\*nowhere"$/],
    ['a: &a [*a]\n', 1, 7, /alias/],
    ['a: 1\n---\nb: 2\n', 2, 1, /multiple documents/i],
    ['a:\n\t- 1\n', 2, 1, /tab/i],
  ];
  for (const [text, line, column, message] of cases) {
    const source = readYaml(text);
    t.notOk(source.ok, text);
    if (source.ok) continue;
    t.same(source.problems[0]?.at, { line, column }, text);
    t.match(source.problems[0]?.message, message, text);
    t.notMatch(source.problems[0]?.message, /\n/, 'one line');
  }
});

t.test('bounds: size, nesting of every kind, aliases of aliases, an alias to itself', async (t) => {
  const refused = (text: string): string => {
    const source = readYaml(text);
    return source.ok ? 'accepted' : (source.problems[0]?.message ?? '');
  };
  t.equal(refused(`# ${'x'.repeat(MAX_CONFIG_BYTES)}`), 'the file is larger than 1MiB');
  t.equal(refused(`# ${'é'.repeat(MAX_CONFIG_BYTES / 2)}`), 'the file is larger than 1MiB', 'bytes, not characters');
  const deep = 'the file is nested more than 50 levels deep';
  t.equal(refused('['.repeat(20_000)), deep);
  t.equal(refused(`${'{a: '.repeat(20_000)}`), deep);
  t.equal(refused('- '.repeat(20_000)), deep);
  t.equal(refused(Array.from({ length: 200 }, (_, depth) => `${' '.repeat(depth)}a:`).join('\n')), deep);
  t.equal(refused('[[[[[[[[[[a]]]]]]]]]]'), 'accepted', 'ten levels');

  const laughs = ['a0: &a0 [x, x]'];
  for (let level = 1; level < 40; level += 1) laughs.push(`a${level}: &a${level} [*a${level - 1}, *a${level - 1}]`);
  t.equal(refused(laughs.join('\n')), 'accepted', 'no more work than the text is long');
  t.equal(refused('a: &a [*a]\nb: &b {c: *b}'), 'an alias names what it stands in');
});

t.test('objects of a program', async (t) => {
  const root = readObject({ a: 1, b: undefined, users: new Map([['__proto__', { c: ['x'] }]]) });
  t.same(plain(root), [
    ['a', 1],
    ['users', [['__proto__', [['c', ['x']]]]]],
  ]);
  const loop: { self?: unknown } = {};
  loop.self = loop;
  t.doesNotThrow(() => readObject(loop));
});

t.test('no text throws', async (t) => {
  const yamlish = fc.array(
    fc.constantFrom(
      'a',
      ':',
      ' ',
      '\n',
      '-',
      '[',
      ']',
      '{',
      '}',
      '&a',
      '*a',
      '!',
      '"',
      "'",
      '|',
      '#',
      '?',
      '\t',
      '%',
      '0',
      ',',
    ),
    { maxLength: 40 },
  );
  fc.assert(
    fc.property(yamlish, (parts) => {
      readYaml(parts.join(''));
    }),
    { numRuns: 500 },
  );
  t.pass();
});
