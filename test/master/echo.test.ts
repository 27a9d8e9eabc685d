import t from 'tap';
import { Echo } from '../../src/master/echo.js';

t.test('a signal is its own echo for half a second, and no other one is', async (t) => {
  const echo = new Echo();
  t.equal(echo.takes('SIGINT', 1_000), true);
  t.equal(echo.takes('SIGINT', 1_003), false, 'npm hands it on');
  t.equal(echo.takes('SIGTERM', 1_004), true, 'another one says something else');
  t.equal(echo.takes('SIGINT', 1_499), false, 'however often');
  t.equal(echo.takes('SIGINT', 1_500), true, 'once more, and meant');
  t.equal(echo.takes('SIGINT', 1_999), false);
});
