/** USED CODES: a code opens one connection and no other, and guessing is slow however many connections guess. */
import t from 'tap';
import { UsedCodes } from '../../src/master/used_codes.js';

const use = (step: number | null, user = 'alice', key = 'secret'): Parameters<UsedCodes['judge']>[0] => ({
  user,
  key,
  step,
});

t.test('once used, it and all before it are refused', async (t) => {
  const codes = new UsedCodes();
  t.equal(codes.judge(use(10), 0), 'OK');
  t.equal(codes.judge(use(10), 0), 'REPLAYED');
  t.equal(codes.judge(use(9), 0), 'REPLAYED');
  t.equal(codes.judge(use(11), 0), 'OK');
  t.equal(codes.judge(use(10), 0), 'REPLAYED');
  t.equal(codes.judge(use(10, '__proto__'), 0), 'OK', "another user's is another");
  t.equal(codes.judge(use(null), 0), 'WRONG');
});

t.test('another secret counts anew, and the one before it is not forgotten', async (t) => {
  const codes = new UsedCodes();
  t.equal(codes.judge(use(1_000, 'alice', 'of 30 s'), 0), 'OK');
  t.equal(codes.judge(use(500, 'alice', 'of 60 s'), 0), 'OK');
  t.equal(codes.judge(use(1_000, 'alice', 'of 30 s'), 0), 'REPLAYED', 'a worker of the settings before it asks still');
});

t.test('ten wrong ones, then one in six minutes, and meanwhile the right one counts as little', async (t) => {
  const codes = new UsedCodes();
  for (let i = 0; i < 9; i++) t.equal(codes.judge(use(null), 0), 'WRONG');
  t.equal(codes.judge(use(1), 0), 'OK', 'a right one costs nothing');
  for (let i = 0; i < 20; i++) t.equal(codes.judge(use(1), 0), 'REPLAYED', 'nor does a used one');
  t.equal(codes.judge(use(null), 0), 'WRONG');
  t.equal(codes.judge(use(null), 0), 'LIMIT');
  t.equal(codes.judge(use(1), 0), 'LIMIT', 'the used one as well: it would tell that it was right');
  t.equal(codes.judge(use(2), 0), 'LIMIT');
  t.equal(codes.judge(use(2, 'bob'), 0), 'OK', 'another user is another');
  t.equal(codes.judge(use(2), 359_000), 'LIMIT');
  t.equal(codes.judge(use(2), 361_000), 'OK', 'and was not used up by the refusal');
  t.equal(codes.judge(use(null), 362_000), 'WRONG');
  t.equal(codes.judge(use(null), 362_000), 'LIMIT');
  for (let i = 0; i < 10; i++) t.equal(codes.judge(use(null), 36e6), 'WRONG', 'never more than ten at once');
  t.equal(codes.judge(use(null), 36e6), 'LIMIT');
});

t.test('what an earlier primary said yes to is used', async (t) => {
  const codes = new UsedCodes();
  codes.adopt(use(10), 0);
  codes.adopt(use(8), 0);
  t.equal(codes.judge(use(10), 0), 'REPLAYED');
  t.equal(codes.judge(use(11), 0), 'OK');
});

t.test('memory is bounded: who came longest ago is forgotten first', async (t) => {
  const codes = new UsedCodes(100);
  for (let i = 0; i < 1_000; i++) codes.judge(use(5, `user${i}`), 0);
  t.equal(codes.size, 100);
  t.equal(codes.judge(use(5, 'user999'), 0), 'REPLAYED');
  t.equal(codes.judge(use(5, 'user0'), 0), 'OK');
  for (let i = 0; i < 100; i++) codes.judge(use(i, 'user999', `secret${i}`), 0);
  t.equal(codes.size, 100);
});
