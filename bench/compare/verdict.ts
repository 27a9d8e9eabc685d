/** VERDICT: is a difference between two builds more than noise? Pure. */
import { median } from '../../src/load/percentiles.js';
import type { Metric, Results } from '../report/schema.js';
import { hasFailedVerification, ratio, recordOf } from '../report/stats.js';
import { figure, table } from '../report/text.js';

/** How often two equal builds may be told apart. */
const CHANCE = 0.05;

export type Judgement = 'better' | 'worse' | 'noise' | 'too few rounds' | 'no number';

export interface Comparison {
  readonly scenario: string;
  readonly cell: string;
  readonly metric: string;
  /** Of each round, in pairs; above 1: the new build is better. */
  readonly ratios: readonly number[];
  readonly judgement: Judgement;
}

/** Headline metrics only. */
export function comparisons(results: Results, ours: string, base: string): Comparison[] {
  return results.scenarios.flatMap(({ name, metrics, cells }) =>
    cells.flatMap((cell) => {
      const [own, other] = [recordOf(cell, ours), recordOf(cell, base)];
      return metrics
        .filter(({ headline }) => headline)
        .map((metric): Comparison => {
          const where = { scenario: name, cell: cell.id, metric: metric.name };
          if (own === undefined || other === undefined || hasFailedVerification(own) || hasFailedVerification(other))
            return { ...where, ratios: [], judgement: 'no number' };
          const ratios = pairedRatios(metric, own.samples, other.samples);
          return { ...where, ratios, judgement: judge(ratios) };
        });
    }),
  );
}

type Samples = Results['scenarios'][number]['cells'][number]['peers'][number]['samples'];

/** Of rounds that both have. What the machine did in a round fell on both. */
function pairedRatios(metric: Metric, own: Samples, base: Samples): number[] {
  return own.flatMap(({ round, values }) => {
    const ours = values[metric.name];
    const theirs = base.find((sample) => sample.round === round)?.values[metric.name];
    if (ours === undefined || theirs === undefined) return [];
    const value = ratio(metric, ours, theirs);
    return Number.isFinite(value) && value > 0 ? [value] : []; // a CPU clock of 10 ms can say 0
  });
}

/** A sign test: were the builds equal, each round would be a toss of a coin. It asks nothing of how times are spread, which
 *  is never by a bell curve, and its price is rounds: fewer than six cannot tell. */
export function judge(ratios: readonly number[]): Judgement {
  const better = ratios.filter((value) => value > 1).length;
  const worse = ratios.filter((value) => value < 1).length;
  if (better + worse === 0) return ratios.length === 0 ? 'no number' : 'noise';
  if (twoSidedSignTest(better + worse, 0) > CHANCE) return 'too few rounds';
  if (twoSidedSignTest(better + worse, Math.min(better, worse)) > CHANCE) return 'noise';
  return better > worse ? 'better' : 'worse';
}

/** Chance that of `tosses` at most `fewer` fall on one of the two sides. */
export function twoSidedSignTest(tosses: number, fewer: number): number {
  let term = 1; // binomial(tosses, k)
  let sum = 0;
  for (let k = 0; k <= fewer; k++) {
    sum += term;
    term = (term * (tosses - k)) / (k + 1);
  }
  return Math.min(1, (2 * sum) / 2 ** tosses);
}

/** The table for a terminal, and what chance does to it. */
export function comparisonText(found: readonly Comparison[], base: string): string {
  const rows = found.map(({ scenario, cell, metric, ratios, judgement }) => [
    `${scenario}: ${cell}`,
    metric,
    ratios.length === 0 ? '-' : figure(median(ratios)),
    ratios.length === 0 ? '-' : `${figure(Math.min(...ratios))}..${figure(Math.max(...ratios))}`,
    judgement === 'better' || judgement === 'worse' ? judgement.toUpperCase() : judgement,
  ]);
  const judged = found.filter(({ judgement }) => ['better', 'worse', 'noise'].includes(judgement)).length;
  const byChance = Math.ceil(judged * CHANCE);
  return [
    table([`ratio to ${base}: above 1 is better`, '', 'median', 'of the rounds', 'verdict'], rows),
    '',
    `Of ${judged} rows, ${byChance} may be called better or worse by chance: measure such a row again, with more rounds.`,
  ].join('\n');
}
