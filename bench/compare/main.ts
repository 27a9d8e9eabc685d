/** COMPARE: `npm run bench:compare BASE [SCENARIO...]`: this build and another one as two peers of one run. Owns argv, the
 *  exit code (0 measured, 1 something failed, 2 bad usage, 130 interrupted) and the table on stdout. A difference is no failure: who reads
 *  the table decides. */
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { reasonOf } from '../../src/shared/errors.js';
import { repeatsOf, requireKnown, UsageError } from '../options.js';
import { OWN_ROOT, sallyport } from '../peers/sallyport.js';
import { planOf } from '../plan.js';
import { failuresOf } from '../report/markdown.js';
import { SCENARIOS } from '../scenarios/index.js';
import { rosterOf, session } from '../session.js';
import { baseBuild } from './base_build.js';
import { comparisons, comparisonText } from './verdict.js';

const EXIT = { done: 0, failed: 1, usage: 2, interrupted: 130 } as const;
const DEFAULT_SCENARIOS = ['bulk', 'login', 'http'];
/** Fewer than six cannot be told from chance, and of nine one may fall out of the row. */
const DEFAULT_REPEATS = 9;
const OURS = 'sallyport';
const BASE = 'sallyport@base';

const USAGE = `npm run bench:compare -- BASE [SCENARIO...] [--cells TEXT] [--repeats N] [--quick] [--out FILE]
  BASE: a git ref, which is built in a worktree of its own, or the folder of a build. Scenarios: ${DEFAULT_SCENARIOS.join(', ')}, where
  none is named. Repeats: ${DEFAULT_REPEATS}.`;

async function main(args: readonly string[]): Promise<number> {
  const { values, positionals } = parsed(args);
  const [base, ...named] = positionals;
  if (base === undefined) throw new UsageError(`BASE is missing.\n${USAGE}`);
  const known = SCENARIOS.map(({ name }) => name);
  for (const name of named) requireKnown('scenario', name, known);
  const repeats = values.repeats === undefined ? (values.quick ? 1 : DEFAULT_REPEATS) : repeatsOf(values.repeats);

  const wanted = named.length > 0 ? named : DEFAULT_SCENARIOS;
  const scenarios = SCENARIOS.filter(({ name }) => wanted.includes(name));
  const cells = values.cells ?? [];
  const say = (text: string): void => void process.stderr.write(`${text}\n`);
  process.on('SIGINT', () => {}); // ends the programs that build; this one has to clear up
  const build = baseBuild(base, OWN_ROOT, say);
  process.once('exit', () => build.remove());
  const roster = await rosterOf([sallyport(OURS, OWN_ROOT), sallyport(BASE, build.root)]);
  for (const { name, why } of roster.missing) throw new Error(`${name} does not run: ${why}`);
  const peers = roster.here.map(({ peer }) => peer);
  const plan = planOf({ scenarios, peers, repeats, quick: values.quick, cells });
  if (plan.length === 0) throw new UsageError(`No cell contains ${cells.join(' or ')}.`);
  say(`${OURS}: this build; ${BASE}: ${build.title}`);
  const file = values.out ?? join(OWN_ROOT, 'bench/runs/compare.json');
  const options = { quick: values.quick, repeats, scenarios: scenarios.map(({ name }) => name), cells };
  const { results, interrupted } = await session({ plan, roster, options, file });
  process.stdout.write(`${comparisonText(comparisons(results, OURS, BASE), build.title)}\n`);
  const failures = failuresOf(results);
  for (const line of failures) process.stdout.write(`failed: ${line}\n`);
  if (interrupted) return EXIT.interrupted;
  return failures.length > 0 ? EXIT.failed : EXIT.done;
}

function parsed(args: readonly string[]) {
  try {
    return parseArgs({
      args: [...args],
      allowPositionals: true,
      options: {
        cells: { type: 'string', multiple: true },
        repeats: { type: 'string' },
        quick: { type: 'boolean', default: false },
        out: { type: 'string' },
      },
    });
  } catch (error) {
    throw new UsageError(`${reasonOf(error).split('. ')[0]}.\n${USAGE}`);
  }
}

try {
  process.exit(await main(process.argv.slice(2)));
} catch (error) {
  process.stderr.write(`error: ${reasonOf(error)}\n`);
  process.exit(error instanceof UsageError ? EXIT.usage : EXIT.failed);
}
