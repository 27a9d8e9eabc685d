/** RESULTS: a results file: reading, writing, merging. Owns no file for longer than a call. */
import { mkdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import { dirname } from 'node:path';
import { z } from 'zod';
import { reasonOf } from '../../src/shared/errors.js';
import { type CellRecord, RESULTS_VERSION, Results, type ScenarioRecord } from './schema.js';

const LINE_CHARS = 120;

export const EMPTY: Results = { version: RESULTS_VERSION, runs: [], scenarios: [] };

/** @throws with the file's name and every fault in it */
export function readResults(file: string): Results {
  let data: unknown;
  try {
    data = JSON.parse(readFileSync(file, 'utf8'));
  } catch (error) {
    throw new Error(`${file}: ${reasonOf(error)}`);
  }
  const result = Results.safeParse(data);
  if (!result.success) throw new Error(`${file} is no results file:\n${z.prettifyError(result.error)}`);
  return result.data;
}

/** Whole or not at all: whoever interrupts it finds the old file. */
export function writeResults(file: string, results: Results): void {
  mkdirSync(dirname(file), { recursive: true });
  const unfinished = `${file}.new`;
  writeFileSync(unfinished, textOf(results));
  renameSync(unfinished, file);
}

/** `added` over `base`. A cell is replaced whole, with all its peers: a ratio compares what was measured in one run. Cells
 *  in which a run was interrupted are not taken. Scenarios keep the order of `base`, new ones follow. */
export function merged(base: Results, added: Results): Results {
  const scenarios = new Map(base.scenarios.map((scenario) => [scenario.name, scenario]));
  for (const scenario of added.scenarios) {
    const cells = scenario.cells.filter(({ complete }) => complete);
    if (cells.length === 0) continue;
    const before = scenarios.get(scenario.name);
    scenarios.set(scenario.name, { ...scenario, cells: replaced(before?.cells ?? [], cells) });
  }
  return withRuns([...base.runs, ...added.runs], [...scenarios.values()]);
}

function replaced(before: readonly CellRecord[], added: readonly CellRecord[]): CellRecord[] {
  const byId = new Map(before.map((cell) => [cell.id, cell]));
  for (const cell of added) byId.set(cell.id, cell);
  return [...byId.values()];
}

/** Only runs of which a cell is left; the last of those with one id. */
function withRuns(runs: Results['runs'], scenarios: ScenarioRecord[]): Results {
  const used = new Set(scenarios.flatMap(({ cells }) => cells.map(({ run }) => run)));
  const byId = new Map(runs.filter(({ id }) => used.has(id)).map((run) => [run.id, run]));
  return { version: RESULTS_VERSION, runs: [...byId.values()], scenarios };
}

/** JSON in which whatever fits stands on one line: a sample is a line, and a diff shows samples. */
export function textOf(results: Results): string {
  return `${pretty(results, '')}\n`;
}

function pretty(value: unknown, indent: string): string {
  const flat = JSON.stringify(value);
  if (typeof value !== 'object' || value === null || indent.length + flat.length <= LINE_CHARS) return flat;
  const inner = `${indent}  `;
  const parts = Array.isArray(value)
    ? value.map((item) => pretty(item, inner))
    : Object.entries(value).map(([key, item]) => `${JSON.stringify(key)}: ${pretty(item, inner)}`);
  const [open, close] = Array.isArray(value) ? '[]' : '{}';
  return `${open}\n${parts.map((part) => `${inner}${part}`).join(',\n')}\n${indent}${close}`;
}
