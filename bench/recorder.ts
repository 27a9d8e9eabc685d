/** RECORDER: the results file of a run while it grows. Owns that file: it is whole after each cell, so that even a run that
 *  is killed leaves what it measured. */
import type { CellPlan } from './plan.js';
import { merged, writeResults } from './report/results.js';
import { type CellRecord, RESULTS_VERSION, type Results, type Run, type ScenarioRecord } from './report/schema.js';
import type { Measured } from './run.js';
import type { Scenario } from './types.js';

export type RunHead = Omit<Run, 'endedAt' | 'complete' | 'configs'>;

export class Recorder {
  readonly #file: string;
  readonly #head: RunHead;
  readonly #before: Results;
  readonly #nowMs: () => number;
  readonly #configs = new Map<string, Run['configs'][number]>();
  readonly #scenarios = new Map<string, ScenarioRecord>();

  /** @param before what an interrupted run left in the file */
  constructor(file: string, head: RunHead, before: Results, nowMs: () => number) {
    this.#file = file;
    this.#head = head;
    this.#before = before;
    this.#nowMs = nowMs;
  }

  serverStarted(peer: string, workers: number, config: string | undefined): void {
    const key = `${peer}/${workers}`;
    if (config !== undefined && !this.#configs.has(key)) this.#configs.set(key, { peer, workers, text: config });
  }

  cellEnded({ scenario }: CellPlan, measured: Measured): void {
    const cell: CellRecord = { ...measured, run: this.#head.id };
    const record = this.#scenarios.get(scenario.name) ?? scenarioRecord(scenario);
    this.#scenarios.set(scenario.name, { ...record, cells: [...record.cells, cell] });
    this.write(false);
  }

  /** @returns what stands in the file now */
  write(complete: boolean): Results {
    const results = this.#results(complete);
    writeResults(this.#file, results);
    return results;
  }

  #results(complete: boolean): Results {
    const run: Run = {
      ...this.#head,
      endedAt: new Date(this.#nowMs()).toISOString(),
      complete,
      configs: [...this.#configs.values()],
    };
    const scenarios = [...this.#scenarios.values()];
    const measured: Results = { version: RESULTS_VERSION, runs: [run], scenarios };
    // A resumed run stands behind the finished cells of the one before. A fresh one is written with its unfinished cell.
    return this.#before.runs.length === 0 ? measured : merged(this.#before, measured);
  }
}

function scenarioRecord({ name, about, metrics }: Scenario): ScenarioRecord {
  return { name, about, cells: [], metrics: metrics.map((metric) => ({ headline: false, ...metric })) };
}
