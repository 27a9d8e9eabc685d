import t from 'tap';
import { Buffers, type ReadLease } from '../../../src/worker/transport/buffers.js';

/** Borrows until there is nothing left, and gives all of it back. */
function available(buffers: Buffers): number {
  const leases: ReadLease[] = [];
  for (let lease = buffers.borrowLarge(); lease !== null; lease = buffers.borrowLarge()) leases.push(lease);
  for (const lease of leases) lease.release();
  return leases.length;
}

t.test('large buffers are lent up to a number, each to one at a time', async (t) => {
  const buffers = new Buffers();
  const count = available(buffers);
  t.ok(count >= 16 && count * 256 * 1024 <= 16 * 1024 * 1024);
  const leases = Array.from({ length: count }, () => buffers.borrowLarge());
  t.equal(new Set(leases.map((lease) => lease?.buffer)).size, count);
  t.equal(buffers.borrowLarge(), null);
  leases[0]?.release();
  t.equal(available(buffers), 1);
});

t.test('one that somebody refers to does not come back', async (t) => {
  const buffers = new Buffers();
  const lease = buffers.borrowLarge();
  t.equal(lease?.isShared, false);
  lease?.retain();
  t.equal(lease?.isShared, true);
  lease?.release();
  const others = Array.from({ length: 10 }, () => buffers.borrowLarge());
  t.notOk(others.some((other) => other?.buffer === lease?.buffer));
  lease?.release();
  t.equal(buffers.borrowLarge()?.buffer, lease?.buffer, 'and is used again afterwards');
});

t.test('a slab goes to one borrower at a time', async (t) => {
  const buffers = new Buffers();
  const [a, b] = [buffers.borrowSlab(), buffers.borrowSlab()];
  t.not(a, b);
  buffers.returnSlab(a);
  t.equal(buffers.borrowSlab(), a);
  t.ok(a.length >= 256 * 1024 + 16 * 1024);
});

t.test('beyond 64 slabs that are lent the next ones are small, and not kept', async (t) => {
  const buffers = new Buffers();
  const lent = Array.from({ length: 65 }, () => buffers.borrowSlab());
  t.same(new Set(lent.slice(0, 64).map(({ length }) => length)), new Set([272 * 1024]));
  t.equal(lent[64]?.length, 64 * 1024);
  for (const slab of lent) buffers.returnSlab(slab);
  t.equal(buffers.borrowSlab().length, 272 * 1024);
});
