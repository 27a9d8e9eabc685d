import t from 'tap';
import { Muster } from '../../src/master/muster.js';
import { FakeClock } from '../support/fake_clock.js';

/** What has become of the wait. */
function room() {
  const clock = new FakeClock();
  const muster = new Muster(clock);
  const late: (readonly number[] | null)[] = [];
  return { clock, muster, late, call: (ms: number) => muster.call(ms, (missing) => late.push(missing)) };
}

t.test('nobody is waited for that was not called', async (t) => {
  const { muster, clock } = room();
  t.equal(muster.complete, null);
  muster.came(1);
  muster.end();
  t.equal(muster.complete, null);
  t.equal(clock.pending, 0);
});

t.test('complete when all that were named have come, and a stranger is none of them', async (t) => {
  const { muster, clock, late, call } = room();
  call(1_000);
  const { complete } = muster;
  t.ok(complete);
  muster.await([11, 12]);
  muster.came(12);
  muster.came(13);
  t.equal(muster.complete, complete);
  muster.came(11);
  t.equal(muster.complete, null);
  await complete;
  t.equal(clock.pending, 0);
  t.same(late, []);
});

t.test('none to wait for', async (t) => {
  const { muster, clock, call } = room();
  call(1_000);
  const { complete } = muster;
  muster.await([]);
  await complete;
  t.equal(clock.pending, 0);
});

t.test('who is late is told of and waited for no longer', async (t) => {
  const { muster, clock, late, call } = room();
  call(1_000);
  const { complete } = muster;
  muster.await([11, 12]);
  muster.came(11);
  clock.advance(999);
  t.equal(muster.complete, complete);
  call(500); // one that is called already goes on
  clock.advance(1);
  await complete;
  t.equal(muster.complete, null);
  t.same(late, [[12]]);
  muster.came(12);
  muster.await([12]); // told too late
  t.equal(muster.complete, null);
  t.equal(clock.pending, 0);
});

t.test('where nobody has said how many there are, all of the time is waited', async (t) => {
  const { muster, clock, late, call } = room();
  call(300);
  muster.came(11);
  t.ok(muster.complete);
  clock.advance(300);
  t.equal(muster.complete, null);
  t.same(late, [null]);
  call(300);
  t.ok(muster.complete, 'and again');
  muster.end();
  t.equal(muster.complete, null);
  t.equal(clock.pending, 0);
});
