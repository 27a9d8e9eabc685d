/** Properties: whatever the order of events, a peer never has more credit than was announced. */
import fc from 'fast-check';
import t from 'tap';
import { UINT32_MAX } from '../../../src/shared/protocol.js';
import {
  type Growth,
  MAX_FIRST_WINDOW_BYTES,
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

/** A window that never grows. */
const FIXED: Growth = { now: () => 0, grow: () => 0, isTight: false, shrink: () => {} };
const MIB = 1024 * 1024;
const PLENTY = Number.POSITIVE_INFINITY;

t.test('the receive window: what is announced in all is the size and what was delivered', async () => {
  fc.assert(
    fc.property(
      fc.integer({ min: 1, max: 100_000 }),
      fc.array(fc.record({ arrives: fc.boolean(), bytes: fc.nat(60_000) }), { maxLength: 200 }),
      (size, steps) => {
        const window = new ReceiveWindow(size, FIXED, 0);
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
  const window = new ReceiveWindow(100, FIXED, 0);
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
  t.equal(budget.grant(PLENTY), MAX_FIRST_WINDOW_BYTES);
  fc.assert(
    fc.property(fc.array(fc.nat(3), { maxLength: 300 }), fc.integer({ min: 0, max: budgetBytes }), (steps, size) => {
      const shared = new WindowBudget(size);
      const granted: number[] = [];
      for (const step of steps) {
        const at = step === 0 ? granted.pop() : undefined;
        if (at !== undefined) shared.release(at);
        else granted.push(shared.grant(PLENTY));
        const sum = granted.reduce((total, bytes) => total + bytes, 0);
        if (sum !== shared.grantedBytes || sum > size + granted.length * MIN_WINDOW_BYTES) return false;
      }
      return granted.every((bytes) => bytes >= MIN_WINDOW_BYTES && bytes <= MAX_FIRST_WINDOW_BYTES);
    }),
  );
});

/** A path of `rttMs` between a peer that sends whatever the window allows and a target that takes it `targetMs` later, on
 *  a clock of its own. @returns the size of the window after so many round trips, and the most that was ever held */
function sendOver(rttMs: number, options: { trips: number; budgetBytes?: number; targetMs?: number }) {
  const { trips, budgetBytes = 16 * MIB, targetMs = 0 } = options;
  let nowMs = 0;
  const budget = new WindowBudget(budgetBytes);
  const growth = { ...FIXED, now: () => nowMs, grow: (bytes: number) => budget.grow(bytes) };
  const window = new ReceiveWindow(budget.grant(PLENTY), growth, 0);
  let credit = window.sizeBytes;
  let mostHeld = 0;
  for (let trip = 0; trip < trips; trip++) {
    nowMs += rttMs;
    const packets: number[] = [];
    for (; credit > 0; credit -= packets.at(-1) ?? 0) packets.push(Math.min(credit, 32 * 1024));
    for (const bytes of packets) if (!window.consume(bytes)) throw new Error('the window forgot its credit');
    mostHeld = Math.max(
      mostHeld,
      packets.reduce((sum, bytes) => sum + bytes, 0),
    );
    nowMs += targetMs;
    for (const bytes of packets) credit += window.deliver(bytes);
  }
  return { sizeBytes: window.sizeBytes, mostHeld, grantedBytes: budget.grantedBytes };
}

t.test('a window grows with a long path, within the budget', async (t) => {
  const { sizeBytes, mostHeld, grantedBytes } = sendOver(100, { trips: 12 });
  t.equal(sizeBytes, 12 * MIB, 'a quarter of the budget stays for other channels');
  t.equal(grantedBytes, sizeBytes, 'and all of it is accounted for');
  t.ok(mostHeld <= sizeBytes);
  t.equal(sendOver(100, { trips: 12, budgetBytes: 2 * MIB }).sizeBytes, 1.5 * MIB);
});

t.test('and not where it is not in the way', async (t) => {
  t.equal(sendOver(1, { trips: 20 }).sizeBytes, MAX_FIRST_WINDOW_BYTES, 'a path within a data centre');
  t.equal(sendOver(0, { trips: 20 }).sizeBytes, MAX_FIRST_WINDOW_BYTES, 'a clock that stands still');
  t.equal(sendOver(100, { trips: 20, targetMs: 5_000 }).sizeBytes <= 4 * MIB, true, 'a target that is slow itself');
});

/** A peer that sends 100 Mbit/s whatever the credit: it has the window full, and the window is not in its way. */
function sendSlowly(pathMs: number): number {
  const budget = new WindowBudget(16 * MIB);
  let nowMs = 0;
  const growth = { ...FIXED, now: () => nowMs, grow: (bytes: number) => budget.grow(bytes) };
  const window = new ReceiveWindow(budget.grant(PLENTY), growth, nowMs);
  nowMs = pathMs;
  for (let sent = 0; sent < 200 * MIB; sent += 32 * 1024) {
    if (!window.consume(32 * 1024)) throw new Error('the window was in the way');
    nowMs += 2.6;
    window.deliver(32 * 1024);
  }
  return window.sizeBytes;
}

t.test('a slow link at the end of a long path: one growth shows that the window is not in the way', async (t) => {
  t.equal(sendSlowly(100), 2 * MAX_FIRST_WINDOW_BYTES);
});

t.test('a slow peer on a short path: what queues in a full window does not make the path long', async (t) => {
  t.equal(sendSlowly(1), MAX_FIRST_WINDOW_BYTES);
});

t.test('one packet tells no rate: a small window does not grow by the first one', async (t) => {
  let nowMs = 0;
  const budget = new WindowBudget(256 * 1024);
  const growth = { ...FIXED, now: () => nowMs, grow: (bytes: number) => budget.grow(bytes) };
  const window = new ReceiveWindow(budget.grant(PLENTY), growth, 0);
  nowMs = 10_000;
  t.ok(window.consume(32 * 1024));
  window.deliver(32 * 1024);
  t.equal(window.sizeBytes, 64 * 1024);
});

t.test('a growth that was refused does not count: it comes when there is memory again', async (t) => {
  let nowMs = 0;
  let hasMemory = false;
  const growth = { ...FIXED, now: () => nowMs, grow: (bytes: number) => (hasMemory ? bytes : 0) };
  const window = new ReceiveWindow(MAX_FIRST_WINDOW_BYTES, growth, 0);
  let credit = window.sizeBytes;
  for (let trip = 0; trip < 20; trip++) {
    nowMs += 100;
    hasMemory = trip >= 10;
    const sent = credit - (credit % 1024);
    t.ok(window.consume(sent));
    credit += window.deliver(sent) - sent;
    if (trip === 9) t.equal(window.sizeBytes, MAX_FIRST_WINDOW_BYTES);
  }
  t.ok(window.sizeBytes > MAX_FIRST_WINDOW_BYTES);
});

t.test('while memory is short a window gives back what was delivered, and gets it again afterwards', async (t) => {
  const budget = new WindowBudget(4 * MIB);
  let isTight = false;
  const growth: Growth = {
    now: () => 0,
    grow: (bytes) => budget.grow(bytes),
    get isTight() {
      return isTight;
    },
    shrink: (bytes) => budget.release(bytes),
  };
  const window = new ReceiveWindow(budget.grant(PLENTY), growth, 0);
  const size = window.sizeBytes;
  t.ok(window.consume(size / 2));
  isTight = true;
  t.equal(window.deliver(size / 2), 0, 'no credit for it');
  t.same([window.sizeBytes, budget.grantedBytes], [size / 2, size / 2]);
  while (window.sizeBytes > MIN_WINDOW_BYTES) {
    if (!window.consume(16 * 1024)) break;
    t.equal(window.deliver(16 * 1024), 0);
  }
  t.equal(window.sizeBytes, MIN_WINDOW_BYTES, 'down to the floor, never below');
  isTight = false;
  let credit = 0;
  while (credit === 0) {
    if (!window.consume(1024)) break;
    credit = window.deliver(1024);
  }
  t.ok(credit > size - MIN_WINDOW_BYTES, `${credit} bytes of credit at once`);
  t.same([window.sizeBytes, budget.grantedBytes], [size, size]);
});

t.test('however memory comes and goes, the peer is never stuck and never has more than the window', async () => {
  fc.assert(
    fc.property(
      fc.integer({ min: MIN_WINDOW_BYTES, max: 200_000 }),
      fc.array(fc.record({ tight: fc.boolean(), arrives: fc.boolean(), bytes: fc.nat(60_000) }), { maxLength: 200 }),
      (size, steps) => {
        let isTight = false;
        const growth: Growth = {
          now: () => 0,
          grow: (bytes) => bytes,
          get isTight() {
            return isTight;
          },
          shrink: () => {},
        };
        const window = new ReceiveWindow(size, growth, 0);
        let credit = size;
        let held = 0;
        for (const { tight, arrives, bytes } of steps) {
          isTight = tight;
          if (arrives) {
            const taken = window.consume(bytes);
            if (taken !== bytes <= credit) return false;
            if (!taken) continue;
            credit -= bytes;
            held += bytes;
          } else {
            const delivered = Math.min(bytes, held);
            held -= delivered;
            credit += window.deliver(delivered);
          }
          if (credit < 0 || credit + held > window.sizeBytes) return false;
          if (window.sizeBytes < MIN_WINDOW_BYTES) return false;
          if (held === 0 && credit * 2 <= window.sizeBytes) return false;
        }
        return true;
      },
    ),
  );
});
