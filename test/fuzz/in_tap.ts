/** IN TAP: phases as tests: a million mutated packets in all files together, half of them the same in each run, half by a seed of
 *  chance, which a failure prints with the command that plays it again. Owns a phase until its test ends. */
import { randomInt } from 'node:crypto';
import type { Test } from 'tap';
import { ciphersReady } from '../../src/worker/transport/ssh2.js';
import { describeFailure, fuzz, newTally, timers } from './fuzz.js';
import { PHASES } from './phases.js';

/** Of one seed; there are two. */
const PACKETS = 500_000;
const FIXED_SEED = 20_261_128;
/** For a file: tap ends it after 600 s. A machine that is too slow for all packets plays fewer, and says so. */
const TIMEOUT_MS = 290_000;
const MOST_MS = 240_000;

export function fuzzed(root: Test, names: readonly string[]): void {
  root.before(() => ciphersReady());
  for (const { name, share, start } of PHASES.filter((phase) => names.includes(phase.name)))
    root.test(`mutated packets, ${name}`, { timeout: TIMEOUT_MS }, async (t) => {
      const before = timers();
      const phase = await start();
      const tally = newTally();
      const halfMs = MOST_MS / names.length / 2;
      for (const seed of [FIXED_SEED, randomInt(2 ** 32)])
        await fuzz(phase, { seed, from: 0, mutated: PACKETS * share, untilMs: performance.now() + halfMs }, tally);
      t.same(await phase.close(), [], 'nothing is left behind');
      t.ok(timers() <= before, 'no timer either');
      t.same(tally.failures.map(describeFailure), [], 'nothing was found');
      t.comment(`${tally.cases} connections, ${tally.packets} packets, ${tally.mutated} of them mutated`);
    });
}
