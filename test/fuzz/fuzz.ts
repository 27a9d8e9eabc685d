/** FUZZ: plays cases of a phase, one after the other or some beside each other, until enough packets were sent, and holds the
 *  process to what no single case can see: no exception that nobody caught, no timer left running.
 *  Owns the count. */
import type { CaseResult, Phase } from './phase.js';

export interface Failure {
  readonly phase: string;
  readonly seed: number;
  /** The case, or the first of those that ran since the last look. */
  readonly index: number;
  readonly faults: readonly string[];
  /** What was sent. */
  readonly lines: readonly string[];
}

export interface Tally {
  cases: number;
  packets: number;
  mutated: number;
  readonly failures: Failure[];
}

export interface FuzzOptions {
  readonly seed: number;
  /** The first case. */
  readonly from: number;
  /** Mutated packets after which it is enough. */
  readonly mutated: number;
  /** When it is enough in any case, by `performance.now()`. Default: never. */
  readonly untilMs?: number;
}

/** Cases between two looks at what they left behind. */
const CASES_PER_LOOK = 64;
/** More are those of the first ones. */
const MAX_FAILURES = 3;

export function newTally(): Tally {
  return { cases: 0, packets: 0, mutated: 0, failures: [] };
}

/** Adds to `tally`. @returns the case to go on with */
export async function fuzz(phase: Phase, options: FuzzOptions, tally: Tally): Promise<number> {
  const { seed, from, mutated, untilMs = Number.POSITIVE_INFINITY } = options;
  const enough = tally.mutated + mutated;
  const look: Look = { seed, running: new Set(), failed: [] };
  const onUncaught = (thrown: unknown): void => {
    const [index = null] = look.running;
    look.failed.push({ index, faults: [`nobody caught ${thrown instanceof Error ? thrown.stack : String(thrown)}`] });
  };
  process.on('uncaughtException', onUncaught); // rejections that nobody handles come here too
  let index = from;
  try {
    while (tally.mutated < enough && tally.failures.length < MAX_FAILURES && performance.now() < untilMs) {
      await play(phase, look, index, tally);
      for (const { index: at, faults } of look.failed.splice(0)) {
        const lines: string[] = [];
        if (at !== null) await phase.run(seed, at, (line) => lines.push(line)).catch(() => null);
        tally.failures.push({ phase: phase.name, seed, index: at ?? index, faults, lines });
      }
      index += CASES_PER_LOOK;
    }
  } finally {
    process.off('uncaughtException', onUncaught);
  }
  return index;
}

interface Look {
  readonly seed: number;
  /** Cases under way. */
  readonly running: Set<number>;
  readonly failed: { readonly index: number | null; readonly faults: readonly string[] }[];
}

/** The cases from `from` to the next look, and that look. */
async function play(phase: Phase, { seed, running, failed }: Look, from: number, tally: Tally): Promise<void> {
  let next = from;
  const player = async (): Promise<void> => {
    while (next < from + CASES_PER_LOOK) {
      const index = next++;
      running.add(index);
      const result = await phase
        .run(seed, index, null)
        .catch((thrown: unknown): CaseResult => ({ packets: 0, mutated: 0, faults: [String(thrown)] }));
      running.delete(index);
      tally.cases++;
      tally.packets += result.packets;
      tally.mutated += result.mutated;
      if (result.faults.length > 0) failed.push({ index, faults: result.faults });
    }
  };
  await Promise.all(Array.from({ length: phase.concurrency }, player));
  const left = await phase.check();
  if (left.length > 0) failed.push({ index: null, faults: left });
}

/** Timers that hold the process open. */
export function timers(): number {
  return process.getActiveResourcesInfo().filter((name) => name === 'Timeout').length;
}

export function describeFailure({ phase, seed, index, faults, lines }: Failure): string {
  return [
    `${phase}: ${faults.join('; ')}`,
    `again: npm run fuzz -- --seed ${seed} --only ${phase} --case ${index}`,
    ...lines.map((line) => `  ${line}`),
  ].join('\n');
}
