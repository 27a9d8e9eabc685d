import t from 'tap';
import { LineMemory } from '../../src/shared/line_memory.js';

t.test('a line is looked into once, for as long as some reading has it', async (t) => {
  const memory = new LineMemory<string>();
  const found: string[] = [];
  const find = (line: string): string => {
    found.push(line);
    return line.toUpperCase();
  };
  const read = (...lines: string[]): string[] => {
    memory.turn();
    found.length = 0;
    return lines.map((line) => memory.recall(line, find));
  };
  t.same(read('a', 'b', 'a'), ['A', 'B', 'A']);
  t.same(found, ['a', 'b']);
  t.same(read('b', 'c', 'a'), ['B', 'C', 'A']);
  t.same(found, ['c'], 'what is new');
  t.same(read('c'), ['C']);
  t.same(found, []);
  t.same(read('c', 'a'), ['C', 'A'], 'what the reading before did not have is forgotten');
  t.same(found, ['a']);
});
