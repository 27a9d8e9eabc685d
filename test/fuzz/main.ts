/** MAIN: `npm run fuzz`. Owns argv and the exit code: 0 when nothing was found, 1 when something was, 2 for bad usage. */
import { randomInt } from 'node:crypto';
import { parseArgs } from 'node:util';
import { ciphersReady } from '../../src/worker/transport/ssh2.js';
import { describeFailure, fuzz, newTally, type Tally, timers } from './fuzz.js';
import { PHASES, type PhaseEntry } from './phases.js';

const USAGE = `npm run fuzz -- [options]

  --seed S       play these cases (default: a seed by chance, which is printed)
  --minutes N    go on for so long; else until --packets is reached
  --packets N    mutated packets in all (default 1000000)
  --only PHASE   ${PHASES.map(({ name }) => name).join(', ')}
  --case I       with --only and --seed: this one case, with all that it sends
  --help

Exit code 1 when something was found; each finding comes with the command that plays it again.`;

/** Of one round through all phases, so that each has its turn soon. */
const PACKETS_PER_ROUND = 50_000;
const DEFAULT_PACKETS = 1_000_000;
const SEEDS = 2 ** 32;

interface Options {
  readonly seed: number;
  readonly minutes: number | null;
  readonly packets: number;
  readonly phases: readonly PhaseEntry[];
  readonly only: number | null;
}

function usage(what: string): never {
  process.stderr.write(`${what}\n\n${USAGE}\n`);
  process.exit(2);
}

function options(): Options {
  const { values } = parseArgs({
    options: {
      seed: { type: 'string' },
      minutes: { type: 'string' },
      packets: { type: 'string' },
      only: { type: 'string' },
      case: { type: 'string' },
      help: { type: 'boolean' },
    },
  });
  if (values.help === true) {
    process.stdout.write(`${USAGE}\n`);
    process.exit(0);
  }
  const number = (name: 'seed' | 'minutes' | 'packets' | 'case'): number | null => {
    const text = values[name];
    if (text === undefined) return null;
    const value = Number(text);
    return Number.isFinite(value) && value >= 0 ? value : usage(`--${name} ${text}: a number from 0 is wanted`);
  };
  const phases = PHASES.filter(({ name }) => values.only === undefined || name === values.only);
  if (phases.length === 0) usage(`--only ${values.only}: there is no such phase`);
  const only = number('case');
  if (only !== null && (values.seed === undefined || values.only === undefined))
    usage('--case plays one case of --seed and --only');
  return {
    seed: number('seed') ?? randomInt(SEEDS),
    minutes: number('minutes'),
    packets: number('packets') ?? DEFAULT_PACKETS,
    phases,
    only,
  };
}

async function playOne(entry: PhaseEntry, seed: number, index: number): Promise<number> {
  const phase = await entry.start();
  const { packets, faults } = await phase.run(seed, index, (line) => process.stdout.write(`${line}\n`));
  const left = [...(await phase.check()), ...(await phase.close())];
  process.stdout.write(`${packets} packets; ${[...faults, ...left].join('; ') || 'nothing is wrong'}\n`);
  return faults.length + left.length;
}

/** @returns how much is wrong */
async function playAll({ seed, minutes, packets, phases }: Options): Promise<number> {
  const startedMs = performance.now();
  const untilMs = minutes === null ? Number.POSITIVE_INFINITY : startedMs + minutes * 60_000;
  const shares = phases.reduce((sum, { share }) => sum + share, 0);
  const before = timers();
  const started = await Promise.all(
    phases.map(async (entry) => ({ ...entry, phase: await entry.start(), tally: newTally(), next: 0, ms: 0 })),
  );
  const sum = (): number => started.reduce((all, { tally }) => all + tally.mutated, 0);
  const failures = (): Tally['failures'] => started.flatMap(({ tally }) => tally.failures);
  while (failures().length === 0 && (minutes === null ? sum() < packets : performance.now() < untilMs))
    for (const one of started) {
      const mutated = (Math.min(PACKETS_PER_ROUND, packets) * one.share) / shares;
      const beganMs = performance.now();
      one.next = await fuzz(one.phase, { seed, from: one.next, mutated }, one.tally);
      one.ms += performance.now() - beganMs;
    }
  const left: string[] = [];
  for (const { name, phase, tally, ms } of started) {
    left.push(...(await phase.close()));
    const { cases, packets: sent, mutated } = tally;
    process.stdout.write(
      `${name}: ${cases} connections, ${sent} packets, ${mutated} of them mutated, ${Math.round(ms / 1000)} s\n`,
    );
  }
  if (timers() > before) left.push(`${timers() - before} timers are left`);
  for (const failure of failures()) process.stdout.write(`\n${describeFailure(failure)}\n`);
  for (const what of left) process.stdout.write(`\n${what}\n`);
  const found = failures().length + left.length;
  process.stdout.write(`seed ${seed}: ${sum()} mutated packets, ${found} findings\n`);
  return found;
}

await ciphersReady();
const chosen = options();
process.stdout.write(`seed ${chosen.seed}\n`);
const [first] = chosen.phases;
const found =
  chosen.only !== null && first !== undefined ? await playOne(first, chosen.seed, chosen.only) : await playAll(chosen);
process.exitCode = found === 0 ? 0 : 1;
