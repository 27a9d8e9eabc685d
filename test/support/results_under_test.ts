/** RESULTS UNDER TEST: small results files, made of medians. */
import { type Failure, type Metric, RESULTS_VERSION, type Results, type Run } from '../../bench/report/schema.js';

/** By scenario, cell and peer: values by metric, or what failed. */
export type Table = Readonly<Record<string, Readonly<Record<string, Readonly<Record<string, Values | Failure>>>>>>;
type Values = Readonly<Record<string, number | readonly number[]>>;

export const METRICS: readonly Metric[] = [
  { name: 'cost', unit: 'ms', higherIsBetter: false, headline: true },
  { name: 'speed', unit: 'MB/s', higherIsBetter: true, headline: true },
  { name: 'aside', unit: '1', higherIsBetter: true, headline: false },
];

export function resultsOf(table: Table, options: { run?: string; metrics?: readonly Metric[] } = {}): Results {
  const { run = 'run 1', metrics = METRICS } = options;
  const scenarios = Object.entries(table).map(([name, cells]) => ({
    name,
    about: `What ${name} does.`,
    metrics: [...metrics],
    cells: Object.entries(cells).map(([id, peers]) => ({
      ...{ id, run, complete: true },
      peers: Object.entries(peers).map(([peer, values]) => recordOf(peer, values)),
    })),
  }));
  return { version: RESULTS_VERSION, runs: [runOf(run)], scenarios };
}

export function runOf(id: string): Run {
  return {
    ...{ id, commit: '0123456789abcdef', dirty: false, complete: true },
    ...{ startedAt: '2025-01-02T03:04:05.000Z', endedAt: '2025-01-02T04:04:05.000Z' },
    machine: { node: 'v20.0.0', os: 'Debian', kernel: 'Linux 6', cpu: 'A CPU', cores: 2, memoryBytes: 2 ** 32 },
    options: { repeats: 3, quick: false, scenarios: ['bulk'], cells: [] },
    peers: [{ name: 'sallyport', version: 'sallyport 1' }],
    missing: [{ name: 'go', why: 'not installed' }],
    configs: [{ peer: 'sallyport', workers: 2, text: 'listen: here' }],
  };
}

export function broken(kind: Failure['kind'], reason = 'it broke'): Failure {
  return { round: 1, kind, reason };
}

function recordOf(
  peer: string,
  values: Values | Failure,
): Results['scenarios'][number]['cells'][number]['peers'][number] {
  if (isFailure(values)) {
    // A sample of a round before it: it must not be taken for a figure where a verification failed.
    return { peer, samples: [{ round: 2, values: { cost: 1, speed: 1 } }], failures: [values] };
  }
  const lists = Object.entries(values).map(
    ([name, value]) => [name, typeof value === 'number' ? [value] : value] as const,
  );
  const rounds = Math.max(...lists.map(([, list]) => list.length));
  const samples = Array.from({ length: rounds }, (_, i) => ({
    round: i + 1,
    values: Object.fromEntries(lists.flatMap(([name, list]) => (list[i] === undefined ? [] : [[name, list[i]]]))),
  }));
  return { peer, samples, failures: [] };
}

function isFailure(values: Values | Failure): values is Failure {
  return 'kind' in values;
}
