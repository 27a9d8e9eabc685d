/** SCHEMA: THE shape of a results file. results.schema.json, its types and its reading come from here. Only samples are
 *  kept, as they were measured; medians and ratios are made from them where they are shown. */
import { z } from 'zod';

/** Counts up when an old file can no longer be read. */
export const RESULTS_VERSION = 1;

const count = z.int().nonnegative();

const Sample = z.strictObject({
  round: z
    .int()
    .positive()
    .describe('Rounds are interleaved: equal numbers of two peers were measured one after the other.'),
  values: z.record(z.string(), z.number()).describe('By name of metric.'),
});

const Failure = z.strictObject({
  round: count.describe('0: in the warm-up.'),
  kind: z
    .enum(['verification', 'error'])
    .describe('verification: what arrived was not what was sent; the cell then has no number for this peer.'),
  reason: z.string(),
});

const PeerRecord = z.strictObject({
  peer: z.string(),
  samples: z.array(Sample),
  failures: z.array(Failure),
});

const CellRecord = z.strictObject({
  id: z.string(),
  run: z.string().describe('Id of the run that measured it, with all of its peers.'),
  complete: z.boolean().describe('False: the run was interrupted in this cell.'),
  peers: z.array(PeerRecord),
});

const Metric = z.strictObject({
  name: z.string(),
  unit: z.string(),
  higherIsBetter: z.boolean(),
  headline: z.boolean(),
});

const ScenarioRecord = z.strictObject({
  name: z.string(),
  about: z.string(),
  metrics: z.array(Metric),
  cells: z.array(CellRecord),
});

const Run = z.strictObject({
  id: z.string(),
  commit: z.string().describe('Full hash, or "unknown" outside a git checkout.'),
  dirty: z.boolean().describe('Sources differed from the commit.'),
  startedAt: z.iso.datetime(),
  endedAt: z.iso.datetime(),
  complete: z.boolean().describe('False: interrupted; what was measured until then is here.'),
  machine: z.strictObject({
    node: z.string(),
    os: z.string(),
    kernel: z.string(),
    cpu: z.string(),
    cores: count,
    memoryBytes: count,
  }),
  options: z.strictObject({
    repeats: z.int().positive(),
    quick: z.boolean(),
    scenarios: z.array(z.string()),
    cells: z.array(z.string()).describe('Only cells with one of these texts in their id; empty: all.'),
  }),
  peers: z.array(z.strictObject({ name: z.string(), version: z.string() })),
  missing: z.array(z.strictObject({ name: z.string(), why: z.string() })).describe('Peers that could not run here.'),
  configs: z.array(z.strictObject({ peer: z.string(), workers: z.int().positive(), text: z.string() })),
});

export const Results = z.strictObject({
  version: z.literal(RESULTS_VERSION),
  runs: z.array(Run),
  scenarios: z.array(ScenarioRecord),
});

export type Results = z.infer<typeof Results>;
export type Run = z.infer<typeof Run>;
export type ScenarioRecord = z.infer<typeof ScenarioRecord>;
export type CellRecord = z.infer<typeof CellRecord>;
export type PeerRecord = z.infer<typeof PeerRecord>;
export type Failure = z.infer<typeof Failure>;
export type Metric = z.infer<typeof Metric>;

/** The text of results.schema.json. */
export function resultsSchema(): string {
  const schema = { title: 'Results of `npm run bench`', ...z.toJSONSchema(Results) };
  return `${JSON.stringify(schema, null, 2)}\n`;
}
