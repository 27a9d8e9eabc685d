import t from 'tap';
import { Ending } from '../../src/shared/ending.js';

t.test('its signal fires at the end, once, for any number of listeners', async (t) => {
  const warnings: Error[] = [];
  const warn = (warning: Error): unknown => warnings.push(warning);
  process.on('warning', warn);
  t.teardown(() => process.off('warning', warn));
  const ending = new Ending();
  const { signal } = ending;
  let heard = 0;
  for (let i = 0; i < 20; i++) signal.addEventListener('abort', () => heard++);
  t.same([ending.hasEnded, signal.aborted], [false, false]);
  ending.end();
  ending.end();
  t.same([ending.hasEnded, signal.aborted, heard], [true, true, 20]);
  await new Promise(setImmediate);
  t.same(warnings, [], 'Node warns of a leak from eleven on');
});

t.test('a signal that is asked for afterwards has fired already', async (t) => {
  const ending = new Ending();
  ending.end();
  t.equal(ending.signal.aborted, true);
  t.equal(ending.signal, ending.signal, 'there is one');
});

t.test('callers find the name that they look for', async (t) => {
  const ending = new Ending();
  ending.end();
  t.match(ending.signal.reason, { name: 'AbortError' });
  t.throws(() => ending.signal.throwIfAborted(), { name: 'AbortError' });
});
