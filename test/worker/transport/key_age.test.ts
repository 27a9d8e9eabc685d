import t from 'tap';
import { KeyAge } from '../../../src/worker/transport/key_age.js';

const LIMITS = { bytes: 1000, timeMs: 60_000 };

t.test('RFC 4253 §9: keys wear out by bytes and by time, and are new again', async (t) => {
  const age = new KeyAge(LIMITS, 5000);
  age.countBytes(999);
  t.same([age.isWorn, age.isDue(64_999)], [false, false]);
  t.same([age.isWorn, age.isDue(65_000)], [false, true]);
  age.countBytes(1);
  t.same([age.isWorn, age.isDue(5000)], [true, true]);
  age.renew(65_000);
  t.same([age.isWorn, age.isDue(124_999), age.isDue(125_000)], [false, false, true]);
});

t.test('ten idle exchanges a minute are fine, the eleventh is a storm', async (t) => {
  const age = new KeyAge(LIMITS, 0);
  const ask = (nowMs: number): boolean => age.isStorm(nowMs);
  t.same(
    Array.from({ length: 11 }, (_, index) => ask(index * 5000)),
    [...Array<boolean>(10).fill(false), true],
  );
  t.equal(ask(60_000), false, 'the next minute is a new one');
});

t.test('exchanges after traffic do not count', async (t) => {
  const age = new KeyAge({ bytes: 10_000_000, timeMs: 60_000 }, 0);
  for (let count = 0; count < 100; count++) {
    age.countBytes(64 * 1024);
    t.equal(age.isStorm(count), false);
    age.renew(count);
  }
});
