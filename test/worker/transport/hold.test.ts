import t from 'tap';
import { Hold } from '../../../src/worker/transport/hold.js';
import { plenty } from '../../support/account.js';

t.test('what waits is kept as it was, in order, and counted while it waits', async (t) => {
  const account = plenty();
  const hold = new Hold(account);
  const source = Buffer.from('first');
  hold.keep(source);
  source.fill(0);
  hold.keep(Buffer.from('second'));
  t.ok(hold.bytes > 11, 'with what an object costs');
  t.equal(account.bytes, hold.bytes);
  t.same(hold.release().map(String), ['first', 'second']);
  t.same([hold.bytes, account.bytes, hold.release().length], [0, 0, 0]);
});
