/** OPTIONS: argv of `npm run chaos`. Decides only: what is wrong is an error that tells what is allowed. */
import { parseArgs } from 'node:util';
import { reasonOf } from '../src/shared/errors.js';

export interface ChaosOptions {
  readonly minutes: number;
  readonly seed: number;
  readonly workers: number;
  /** Each fault as it happens, and each event that needs no explanation. */
  readonly verbose: boolean;
}

/** Its message is meant for the person who typed. */
export class UsageError extends Error {
  override readonly name = 'UsageError';
}

export const USAGE = `npm run chaos -- [options]

  --minutes N   how long faults are made (default 2; parts such as 0.5 too); what runs then may end, which takes up to a minute
  --seed S      what the faults, flows and clients are drawn from (default: a new one, which is printed)
  --workers N   of the server (default 2)
  --verbose     tell each fault as it is made
  --help`;

const MAX_MINUTES = 7 * 24 * 60;
const MAX_WORKERS = 64;
const MAX_SEED = 2 ** 32 - 1;

/** @throws UsageError */
export function chaosOptions(args: readonly string[], newSeed: () => number): ChaosOptions | 'help' {
  const values = parsed(args);
  if (values.help) return 'help';
  return {
    minutes: numberOf(
      '--minutes',
      values.minutes,
      (n) => n > 0 && n <= MAX_MINUTES,
      `more than 0, up to ${MAX_MINUTES}`,
    ),
    seed: values.seed === undefined ? newSeed() : whole('--seed', values.seed, 0, MAX_SEED),
    workers: whole('--workers', values.workers, 1, MAX_WORKERS),
    verbose: values.verbose,
  };
}

function whole(name: string, text: string, least: number, most: number): number {
  const fits = (n: number): boolean => Number.isInteger(n) && n >= least && n <= most;
  return numberOf(name, text, fits, `a whole number from ${least} to ${most}`);
}

function numberOf(name: string, text: string, fits: (value: number) => boolean, allowed: string): number {
  const value = text.trim() === '' ? Number.NaN : Number(text);
  if (!fits(value)) throw new UsageError(`${name} ${text}: ${allowed} is meant.`);
  return value;
}

function parsed(args: readonly string[]) {
  try {
    return parseArgs({
      args: [...args],
      options: {
        minutes: { type: 'string', default: '2' },
        seed: { type: 'string' },
        workers: { type: 'string', default: '2' },
        verbose: { type: 'boolean', default: false },
        help: { type: 'boolean', short: 'h', default: false },
      },
    }).values;
  } catch (error) {
    throw new UsageError(`${reasonOf(error).split('. ')[0]}.\n\n${USAGE}`);
  }
}
