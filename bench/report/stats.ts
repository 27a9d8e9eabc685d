/** STATS: medians, spreads and ratios of what a results file holds. Pure. */
import { median } from '../../src/load/percentiles.js';
import type { CellRecord, Metric, PeerRecord, Results, ScenarioRecord } from './schema.js';

/** With the few repeats of a run a spread is honest only as the whole of it: lowest to highest. */
export interface Summary {
  readonly median: number;
  readonly min: number;
  readonly max: number;
  readonly count: number;
}

export const BASELINE = 'openssh';

/** undefined when there is no number: nothing measured, or a verification failed. */
export function summaryOf(record: PeerRecord | undefined, metric: string): Summary | undefined {
  if (record === undefined || hasFailedVerification(record)) return undefined;
  const values = record.samples
    .map((sample) => sample.values[metric])
    .filter((value): value is number => value !== undefined && Number.isFinite(value));
  if (values.length === 0) return undefined;
  return { median: median(values), min: Math.min(...values), max: Math.max(...values), count: values.length };
}

/** One wrong byte, and no figure of this peer in this cell means anything. */
export function hasFailedVerification(record: PeerRecord): boolean {
  return record.failures.some(({ kind }) => kind === 'verification');
}

/** Above 1 is better than `base`, whichever way the metric points. */
export function ratio(metric: Pick<Metric, 'higherIsBetter'>, ours: number, base: number): number {
  return metric.higherIsBetter ? ours / base : base / ours;
}

export function geometricMean(values: readonly number[]): number {
  return Math.exp(values.reduce((sum, value) => sum + Math.log(value), 0) / values.length);
}

export function recordOf(cell: CellRecord | undefined, peer: string): PeerRecord | undefined {
  return cell?.peers.find((record) => record.peer === peer);
}

/** Figures by name, for those who look for certain ones. */
export class Figures {
  readonly #scenarios: ReadonlyMap<string, ScenarioRecord>;

  constructor(results: Results) {
    this.#scenarios = new Map(results.scenarios.map((scenario) => [scenario.name, scenario]));
  }

  median({ scenario, cell, metric }: Figure, peer: string): number | undefined {
    return summaryOf(recordOf(this.#cell(scenario, cell), peer), metric)?.median;
  }

  /** Of medians. Both peers were measured in one run: a cell is replaced whole when runs are merged. */
  ratio(figure: Figure, peer: string, base = BASELINE): number | undefined {
    const metric = this.#scenarios.get(figure.scenario)?.metrics.find(({ name }) => name === figure.metric);
    const [ours, theirs] = [this.median(figure, peer), this.median(figure, base)];
    if (metric === undefined || ours === undefined || theirs === undefined) return undefined;
    return ratio(metric, ours, theirs);
  }

  #cell(scenario: string, id: string): CellRecord | undefined {
    return this.#scenarios.get(scenario)?.cells.find((cell) => cell.id === id);
  }
}

/** Where a figure stands. */
export interface Figure {
  readonly scenario: string;
  readonly cell: string;
  readonly metric: string;
}
