/** RACES: `npm run chaos:races`. Owns argv and the exit code: 0 nothing was left over, 1 something was, 2 bad usage. */
import { randomInt } from 'node:crypto';
import { parseArgs } from 'node:util';
import { races } from './races.js';

const MOST_SEED = 2 ** 31;
const TELL_EVERY = 200 * 50;

const { values } = parseArgs({
  options: {
    count: { type: 'string', default: '100000' },
    seed: { type: 'string', default: String(randomInt(MOST_SEED)) },
  },
});
const [count, seed] = [Number(values.count), Number(values.seed)];
if (!Number.isInteger(count) || count < 1 || !Number.isInteger(seed)) {
  process.stderr.write('npm run chaos:races -- [--count N] [--seed S], whole numbers\n');
  process.exit(2);
}
const startedMs = performance.now();
const wrong = await races({
  ...{ count, seed },
  progress(done) {
    if (done % TELL_EVERY === 0) process.stderr.write(`${done} races\n`);
  },
});
const seconds = Math.round((performance.now() - startedMs) / 1_000);
for (const what of wrong) process.stdout.write(`${what}\n`);
if (wrong.length === 0) process.stdout.write(`${count} races, seed ${seed}, ${seconds} s: nothing was left over\n`);
process.exit(wrong.length === 0 ? 0 : 1);
