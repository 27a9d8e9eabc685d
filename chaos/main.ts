/** CHAOS: `npm run chaos`. Owns argv, the signals, the exit code (0 nothing lost and no defect, 1 otherwise, 2 bad usage, 130
 *  interrupted) and what stands on stdout: the ledger. */
import { randomInt } from 'node:crypto';
import { reasonOf } from '../src/shared/errors.js';
import { chaosOptions, USAGE, UsageError } from './options.js';
import { progressLine, table } from './report.js';
import { run } from './run.js';

const EXIT = { sound: 0, unsound: 1, usage: 2, interrupted: 130 } as const;
const MOST_SEED = 2 ** 31;

async function main(args: readonly string[]): Promise<number> {
  const options = chaosOptions(args, () => randomInt(MOST_SEED));
  if (options === 'help') {
    process.stdout.write(`${USAGE}\n`);
    return EXIT.sound;
  }
  const { minutes, seed, workers, verbose } = options;
  process.stderr.write(`chaos: seed ${seed}, ${workers} workers, ${minutes} minutes of faults\n`);
  const interrupt = interruptible();
  const startedMs = performance.now();
  const seconds = (): number => Math.round((performance.now() - startedMs) / 1_000);
  const sums = await run({
    ...{ seconds: minutes * 60, seed, workers, signal: interrupt },
    tell: (what, text) => {
      if (what !== 'fault' || verbose) process.stderr.write(`${seconds()} s: ${what}: ${text}\n`);
    },
    progress: (sums) => process.stderr.write(`${progressLine(sums, seconds())}\n`),
  });
  if (interrupt.aborted) return EXIT.interrupted;
  process.stdout.write(`${table(sums, options)}\n`);
  return sums.lost.length > 0 || sums.defects.length > 0 ? EXIT.unsound : EXIT.sound;
}

function interruptible(): AbortSignal {
  const control = new AbortController();
  for (const signal of ['SIGINT', 'SIGTERM'] as const) process.on(signal, () => control.abort());
  return control.signal;
}

try {
  process.exit(await main(process.argv.slice(2)));
} catch (error) {
  process.stderr.write(`error: ${error instanceof UsageError ? error.message : reasonOf(error)}\n`);
  process.exit(error instanceof UsageError ? EXIT.usage : EXIT.unsound);
}
