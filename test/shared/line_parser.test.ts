import t from 'tap';
import { LineParser } from '../../src/shared/line_parser.js';

t.test('values, however the text is cut', async (t) => {
  const text = '{"a":1}\n[2]\n"ä"\n';
  for (let size = 1; size <= text.length; size++) {
    const parser = new LineParser();
    const values: unknown[] = [];
    for (let at = 0; at < text.length; at += size) t.ok(parser.push(text.slice(at, at + size), (v) => values.push(v)));
    t.same(values, [{ a: 1 }, [2], 'ä'], `${size} at a time`);
  }
});

t.test('behind a line that is no JSON nothing is parsed any more', async (t) => {
  const parser = new LineParser();
  const values: unknown[] = [];
  t.equal(
    parser.push('1\nGET / HTTP/1.1\n2\n', (value) => values.push(value)),
    false,
  );
  t.equal(
    parser.push('3\n', (value) => values.push(value)),
    false,
  );
  t.same(values, [1]);
});

t.test('a line has a bound', async (t) => {
  const parser = new LineParser();
  const piece = 'x'.repeat(2 ** 20);
  let pieces = 0;
  while (parser.push(piece, () => t.fail('no line')) && pieces < 100) pieces++;
  t.equal(pieces, 64);
});
