import t from 'tap';
import { RefusalDelay } from '../../../src/worker/auth/refusal_delay.js';

const delay = new RefusalDelay(Buffer.from('secret'));
const NAMES = Array.from({ length: 200 }, (_, at) => Buffer.from(`user${at}`));
const wholeMs = (name: Uint8Array, tookMs: number): number => delay.leftMs(name, tookMs) + tookMs;

t.test('a name is answered after its own time, however long the check took of it', async (t) => {
  for (const name of NAMES) {
    const alone = wholeMs(name, 0);
    t.ok(alone >= 5 && alone < 9.3, `${alone} ms`);
    for (const tookMs of [0.01, 1, 4.9]) t.equal(wholeMs(name, tookMs).toFixed(6), alone.toFixed(6));
  }
  t.ok(new Set(NAMES.map((name) => wholeMs(name, 0))).size > 150, 'and names differ');
});

t.test('what takes longer is answered at the next doubling', async (t) => {
  for (const name of NAMES) {
    const alone = wholeMs(name, 0);
    t.equal(wholeMs(name, alone + 0.1).toFixed(6), (2 * alone).toFixed(6));
    t.equal(wholeMs(name, 2 * alone + 0.1).toFixed(6), (4 * alone).toFixed(6));
  }
});

t.test('what takes long waits for the next step of its name, and no longer than one', async (t) => {
  for (const name of NAMES) {
    const stepMs = 64 * wholeMs(name, 0);
    t.ok(stepMs >= 320 && stepMs < 596, `${stepMs} ms`);
    t.equal(wholeMs(name, stepMs / 2 + 0.1).toFixed(6), stepMs.toFixed(6));
    for (const [tookMs, steps] of [
      [stepMs + 0.1, 2],
      [2 * stepMs + 0.1, 3],
      [9.9 * stepMs, 10],
      [31_000.4 * stepMs, 31_001],
    ] as const)
      t.equal(wholeMs(name, tookMs).toFixed(3), (steps * stepMs).toFixed(3));
    for (let steps = 1; steps < 60; steps++) t.ok(delay.leftMs(name, steps * stepMs) >= 0);
  }
});

t.test('nobody foretells it without the secret', async (t) => {
  const other = new RefusalDelay(Buffer.from('another'));
  t.ok(NAMES.filter((name) => other.leftMs(name, 0) === delay.leftMs(name, 0)).length < 5);
});
