import t from 'tap';
import { pause } from '../../src/shared/timer.js';
import { within } from '../support/deadline.js';
import { FakeClock } from '../support/fake_clock.js';

t.test('a pause is over after its time, or with its signal, and leaves nothing behind', async (t) => {
  const clock = new FakeClock();
  const ending = new AbortController();
  const over: string[] = [];
  const start = async (name: string, delayMs: number, signal = ending.signal): Promise<void> => {
    await pause(delayMs, signal, (ms, action) => clock.after(ms, action));
    over.push(name);
  };
  await within(Promise.all([start('none', 0), start('negative', -1)]), 'no pause');
  const [short, long] = [start('short', 10), start('long', 1_000)];
  clock.advance(9);
  t.equal(clock.pending, 2);
  clock.advance(1);
  await within(short, 'ten milliseconds');
  t.strictSame(over, ['none', 'negative', 'short']);
  ending.abort();
  await within(long, 'its signal');
  t.equal(clock.pending, 0);
  await within(start('too late', 1_000), 'a signal that has fired');
  t.equal(clock.pending, 0);
});
