/** PROGRESS: one line written over on a terminal, a line for each step elsewhere. */
import t from 'tap';
import { Progress } from '../../src/load/progress.js';

function shown(isTTY: boolean, columns?: number): string {
  let text = '';
  const write = (part: string): unknown => (text += part);
  const progress = new Progress({ isTTY, write, ...(columns === undefined ? {} : { columns }) });
  progress.live('half of it');
  progress.done('all of it');
  progress.clear();
  progress.clear();
  return text;
}

t.test('progress', async (t) => {
  t.equal(shown(false), 'all of it\n');
  t.equal(shown(true), '\r\x1b[Khalf of it\r\x1b[Kall of it\r\x1b[K');
  t.equal(shown(true, 5), '\r\x1b[Khalf\r\x1b[Kall \r\x1b[K', 'cut, so that it does not wrap');
  t.equal(shown(true, 0), shown(true, 80), 'a terminal that does not know its width');
});
