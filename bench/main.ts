/** BENCH: `npm run bench`. Owns argv, the exit code (0 all measured, 1 something failed, 2 bad usage, 130 interrupted) and
 *  what stands on stdout: the tables. */
import { join } from 'node:path';
import { reasonOf } from '../src/shared/errors.js';
import { commitOf, machine } from './metadata.js';
import {
  type BenchOptions,
  benchOptions,
  OPENSSH_NEW,
  requireKnown,
  resumedOptions,
  USAGE,
  UsageError,
} from './options.js';
import { PEERS } from './peers/index.js';
import { opensshIn } from './peers/openssh_folder.js';
import { OWN_ROOT } from './peers/sallyport.js';
import { type CellPlan, planOf, stepsOf } from './plan.js';
import { failuresOf, scenarioTables } from './report/markdown.js';
import { EMPTY, readResults } from './report/results.js';
import type { Results } from './report/schema.js';
import { SCENARIOS } from './scenarios/index.js';
import { type Roster, rosterOf, session } from './session.js';
import type { Peer, Scenario } from './types.js';

const EXIT = { done: 0, failed: 1, usage: 2, interrupted: 130 } as const;

async function main(args: readonly string[]): Promise<number> {
  const known = { scenarios: SCENARIOS.map(({ name }) => name), peers: PEERS.map(({ name }) => name) };
  const argv = benchOptions(args, known);
  if (argv === 'help') {
    process.stdout.write(`${USAGE}\n\n${lists()}\n`);
    return EXIT.done;
  }
  const before = argv.resume === undefined ? EMPTY : readResults(argv.resume);
  const options = argv.resume === undefined ? argv : resumedOptions(argv, before);
  requireSameRun(options, before);
  const roster = await rosterOf(wantedPeers(options));
  requireHere(options, roster);
  const plan = planFor(options, roster, before);
  tell(roster, plan);

  const file = options.resume ?? options.out ?? defaultFile();
  const { quick, repeats, cells } = options;
  const runOptions = { quick, repeats, scenarios: chosen(options).map(({ name }) => name), cells: [...cells] };
  const { results, interrupted } = await session({ plan, roster, options: runOptions, file, before });

  process.stdout.write(`${scenarioTables(results)}\n`);
  const failures = failuresOf(results);
  if (failures.length > 0) process.stdout.write(`Failed:\n${failures.map((line) => `- ${line}\n`).join('')}\n`);
  if (interrupted) {
    process.stderr.write(`interrupted; go on with: npm run bench -- --resume ${file}\n`);
    return EXIT.interrupted;
  }
  process.stderr.write(`written to ${file}\n`);
  if (!quick) process.stderr.write(`into bench/RESULTS.md with: npm run bench:report -- --merge ${file}\n`);
  return failures.length > 0 ? EXIT.failed : EXIT.done;
}

function wantedPeers({ peers, opensshRoot }: BenchOptions): Peer[] {
  const all = [...PEERS, ...(opensshRoot === undefined ? [] : [opensshIn(opensshRoot)])];
  const names = all.map(({ name }) => name);
  for (const name of peers ?? []) requireKnown('peer', name, names); // those of a resumed run are known only now
  return all.filter(({ name }) => peers?.includes(name) ?? true);
}

/** Whoever asks for a server by its name is told when it is not there; among all of them it is only left out. */
function requireHere({ peers, opensshRoot }: BenchOptions, { here, missing }: Roster): void {
  const asked = missing.filter(
    ({ name }) => peers?.includes(name) ?? (name === OPENSSH_NEW && opensshRoot !== undefined),
  );
  if (asked.length > 0)
    throw new UsageError(asked.map(({ name, why }) => `${name} cannot run here: ${why}`).join('\n'));
  if (here.length === 0) throw new UsageError('None of the servers can run here.');
}

function planFor(options: BenchOptions, roster: Roster, before: Results): CellPlan[] {
  const scenarios = chosen(options);
  const done = new Set(
    before.scenarios.flatMap(({ name, cells }) =>
      cells.filter(({ complete }) => complete).map(({ id }) => `${name}\n${id}`),
    ),
  );
  const plan = planOf({
    ...{ scenarios, quick: options.quick, repeats: options.repeats, cells: options.cells },
    peers: roster.here.map(({ peer }) => peer),
    isDone: (scenario, cell) => done.has(`${scenario}\n${cell}`),
  });
  if (plan.length > 0) return plan;
  if (done.size > 0) throw new UsageError('Nothing is left to measure: all these cells are in the file already.');
  const cells = scenarios.flatMap(({ name, cells }) => cells(options.quick).map(({ id }) => `  ${name}: ${id}`));
  throw new UsageError(`No cell contains ${options.cells.join(' or ')}. There are:\n${cells.join('\n')}`);
}

function chosen({ scenarios }: BenchOptions): Scenario[] {
  return SCENARIOS.filter(({ name }) => scenarios.length === 0 || scenarios.includes(name));
}

/** Figures of two builds or machines in one run would be compared with each other. */
function requireSameRun({ resume }: BenchOptions, before: Results): void {
  const now = { ...commitOf(), ...machine() };
  for (const { commit, dirty, machine } of before.runs) {
    const then = { commit, dirty, ...machine };
    for (const key of Object.keys(now) as (keyof typeof now)[])
      if (now[key] !== then[key])
        throw new UsageError(`${resume} cannot be resumed: its ${key} is ${then[key]}, now it is ${now[key]}.`);
  }
}

function tell({ here, missing }: Roster, plan: readonly CellPlan[]): void {
  for (const { peer, version } of here) process.stderr.write(`  ${peer.name}: ${version}\n`);
  for (const { name, why } of missing) process.stderr.write(`  ${name}: not here: ${why}\n`);
  process.stderr.write(`${plan.length} cells, ${plan.flatMap(stepsOf).length} measurements\n`);
}

function lists(): string {
  const scenarios = SCENARIOS.map(({ name, about }) => `  ${name}: ${about}`);
  return `Scenarios:\n${scenarios.join('\n')}\n\nServers: ${PEERS.map(({ name }) => name).join(', ')}`;
}

function defaultFile(): string {
  const time = new Date().toISOString().slice(0, 19).replaceAll(':', '-');
  return join(OWN_ROOT, 'bench/runs', `${time}.json`);
}

try {
  process.exit(await main(process.argv.slice(2))); // what an interrupted measurement left open does not hold us
} catch (error) {
  process.stderr.write(`error: ${reasonOf(error)}\n`);
  process.exit(error instanceof UsageError ? EXIT.usage : EXIT.failed);
}
