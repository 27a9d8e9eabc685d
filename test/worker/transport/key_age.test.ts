import t from 'tap';
import { KeyAge } from '../../../src/worker/transport/key_age.js';

const LIMITS = { bytes: 1000, packets: 100, timeMs: 60_000 };

t.test('RFC 4253 §9: keys wear out by time, and are new again', async (t) => {
  const age = new KeyAge(LIMITS, 5000);
  t.same([age.isDue(64_999), age.isDue(65_000)], [false, true]);
  t.equal(age.isWorn, false, 'nothing went through them');
  age.renew(65_000);
  t.same([age.isDue(124_999), age.isDue(125_000)], [false, true]);
});

t.test('RFC 4253 §9, RFC 4344 §3: by bytes and by packets, of each direction alone', async (t) => {
  const ways: ReadonlyArray<readonly [name: string, use: (age: KeyAge, bytes: number, packets: number) => void]> = [
    [
      'sent',
      (age, bytes, packets) => {
        age.countSent(bytes);
        for (let count = 1; count < packets; count++) age.countSent(0);
      },
    ],
    [
      'received',
      (age, bytes, packets) => {
        age.countReceived(bytes);
        for (let count = 1; count < packets; count++) age.countReceived(0);
      },
    ],
  ];
  for (const [name, use] of ways)
    for (const [bytes, packets, worn] of [
      [999, 99, false],
      [1000, 1, true],
      [1, 100, true],
    ] as const)
      await t.test(`${bytes} bytes in ${packets} packets ${name}`, async (t) => {
        const age = new KeyAge(LIMITS, 0);
        use(age, bytes, packets);
        t.same([age.isWorn, age.isDue(0)], [worn, worn]);
        age.renew(0);
        t.equal(age.isWorn, false);
        use(age, 999, 99);
        t.equal(age.isWorn, false, 'counted anew');
      });
  await t.test('one does not count for the other: they have different keys', async (t) => {
    const age = new KeyAge(LIMITS, 0);
    for (const [, use] of ways) use(age, 999, 99);
    t.equal(age.isWorn, false);
  });
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
  const age = new KeyAge({ ...LIMITS, bytes: 10_000_000 }, 0);
  for (let count = 0; count < 100; count++) {
    age.countReceived(32 * 1024);
    age.countSent(32 * 1024);
    t.equal(age.isStorm(count), false);
    age.renew(count);
  }
});
