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

t.test('what takes seconds is not made to take more', async (t) => {
  t.equal(delay.leftMs(Buffer.from('x'), 5_001), 0);
});

t.test('nobody foretells it without the secret', async (t) => {
  const other = new RefusalDelay(Buffer.from('another'));
  t.ok(NAMES.filter((name) => other.leftMs(name, 0) === delay.leftMs(name, 0)).length < 5);
});
