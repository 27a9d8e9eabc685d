/** Properties: whatever the order of events, a peer never has more credit than was announced. */
import fc from 'fast-check';
import t from 'tap';
import { UINT32_MAX } from '../../../src/shared/protocol.js';
import {
  MAX_WINDOW_BYTES,
  MIN_WINDOW_BYTES,
  ReceiveWindow,
  SendWindow,
  WindowBudget,
} from '../../../src/worker/channel/window.js';

t.test('RFC 4254 §5.2: the send window may reach 2^32-1 and not pass it', async (t) => {
  for (const { initial, add, ok, bytes } of [
    { initial: 0, add: 0, ok: true, bytes: 0 },
    { initial: 0, add: UINT32_MAX, ok: true, bytes: UINT32_MAX },
    { initial: 1, add: UINT32_MAX, ok: false, bytes: 1 },
    { initial: UINT32_MAX, add: 1, ok: false, bytes: UINT32_MAX },
    { initial: UINT32_MAX, add: 0, ok: true, bytes: UINT32_MAX },
  ]) {
    const window = new SendWindow(initial);
    t.equal(window.add(add), ok, `${initial} + ${add}`);
    t.equal(window.bytes, bytes);
  }
});

t.test('the receive window: what is announced in all is the size and what was delivered', async () => {
  fc.assert(
    fc.property(
      fc.integer({ min: 1, max: 100_000 }),
      fc.array(fc.record({ arrives: fc.boolean(), bytes: fc.nat(60_000) }), { maxLength: 200 }),
      (size, steps) => {
        const window = new ReceiveWindow(size);
        let credit = size; // as the peer counts
        let held = 0;
        for (const { arrives, bytes } of steps) {
          if (arrives) {
            const taken = window.consume(bytes);
            if (taken !== bytes <= credit) return false;
            if (taken) {
              credit -= bytes;
              held += bytes;
            }
          } else {
            const delivered = Math.min(bytes, held);
            held -= delivered;
            credit += window.deliver(delivered);
          }
          if (credit < 0 || credit + held > size) return false;
          // With nothing held, the peer has more than half of the window: it can always go on.
          if (held === 0 && credit * 2 <= size && size > 1) return false;
        }
        return true;
      },
    ),
  );
});

t.test('credit comes back half a window at a time', async (t) => {
  const window = new ReceiveWindow(100);
  t.ok(window.consume(100));
  t.notOk(window.consume(1));
  t.equal(window.deliver(49), 0);
  t.notOk(window.consume(1), 'no credit before it is announced');
  t.equal(window.deliver(1), 50);
  t.ok(window.consume(50));
  t.notOk(window.consume(1));
});

t.test('the budget: large windows first, the floor always, the sum bounded', async (t) => {
  const budgetBytes = 16 * 1024 * 1024;
  const budget = new WindowBudget(budgetBytes);
  t.equal(budget.grant(), MAX_WINDOW_BYTES);
  fc.assert(
    fc.property(fc.array(fc.nat(3), { maxLength: 300 }), fc.integer({ min: 0, max: budgetBytes }), (steps, size) => {
      const shared = new WindowBudget(size);
      const granted: number[] = [];
      for (const step of steps) {
        const at = step === 0 ? granted.pop() : undefined;
        if (at !== undefined) shared.release(at);
        else granted.push(shared.grant());
        const sum = granted.reduce((total, bytes) => total + bytes, 0);
        if (sum !== shared.grantedBytes || sum > size + granted.length * MIN_WINDOW_BYTES) return false;
      }
      return granted.every((bytes) => bytes >= MIN_WINDOW_BYTES && bytes <= MAX_WINDOW_BYTES);
    }),
  );
});
