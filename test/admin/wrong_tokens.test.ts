/** WRONG TOKENS: every one of them is in exactly one line, and there is one line a second at most. */
import t from 'tap';
import { WrongTokens } from '../../src/master/admin/wrong_tokens.js';
import { FakeClock } from '../support/fake_clock.js';

t.test('the first at once, then as many as came within each second', async (t) => {
  const [clock, told] = [new FakeClock(), [] as string[]];
  const tokens = new WrongTokens((text) => told.push(text), clock);
  const add = (count: number): void => {
    for (let left = count; left > 0; left--) tokens.add();
  };
  add(4_000);
  t.same(told, ['admin API: a request with a wrong token']);
  clock.advance(999);
  add(1);
  t.equal(told.length, 1);
  clock.advance(1);
  t.equal(told[1], 'admin API: 4000 requests with a wrong token');
  add(1);
  clock.advance(1_000);
  t.equal(told[2], 'admin API: a request with a wrong token');
  clock.advance(1_000);
  t.equal(clock.pending, 0, 'nothing runs while nobody guesses');
  add(3);
  t.equal(told.length, 4, 'after a second of rest the next is told at once');
  tokens.flush();
  t.equal(told[4], 'admin API: 2 requests with a wrong token');
  t.equal(clock.pending, 0);
  tokens.flush();
  t.equal(told.length, 5);
});
