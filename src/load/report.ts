/** REPORT: what a run found, as `--json` prints it, and the table for a person. Pure. The shape is documented in
 *  docs/bench.md; a change that breaks a reader gets a new `schemaVersion`. */

export const SCENARIOS = ['login', 'open', 'echo', 'bulk', 'http'] as const;
export type ScenarioName = (typeof SCENARIOS)[number];

/** One measurement. A figure that could not be verified is not here: it is among the failures. */
export interface Result {
  readonly scenario: ScenarioName;
  /** The operating point, such as `up, 8 connections`. */
  readonly cell: string;
  readonly connections: number;
  /** How long was measured, warm-up left out. */
  readonly seconds: number;
  /** Operations whose time was taken; 0 for bulk. */
  readonly samples: number;
  /** Share of one core that this process used meanwhile, 0 to 1 and a little more (Node's own threads). */
  readonly clientCpuShare: number;
  /** Operations per second, or undefined for a flow. */
  readonly perSecond?: number;
  readonly p50Ms?: number;
  readonly p99Ms?: number;
  /** 1 MB is 1,000,000 bytes. */
  readonly megabytesPerSecond?: number;
}

export interface Failure {
  /** Null: before the first measurement. */
  readonly scenario: ScenarioName | null;
  readonly cell: string | null;
  readonly code: string;
  readonly message: string;
  /** What would be right, one line each. */
  readonly advice: readonly string[];
}

export interface Report {
  readonly schemaVersion: 1;
  readonly ok: boolean;
  readonly interrupted: boolean;
  readonly startedAt: string;
  readonly target: { readonly host: string; readonly port: number; readonly user: string };
  /** Null where no login succeeded. */
  readonly server: {
    /** The server's name for itself, such as `OpenSSH_9.2p1`. */
    readonly software: string;
    readonly kex: string;
    readonly hostKey: string;
    readonly cipher: string;
    /** Client and server share their cores. */
    readonly onThisMachine: boolean;
  } | null;
  readonly options: {
    readonly scenarios: readonly ScenarioName[];
    readonly connections: number;
    readonly seconds: number;
    readonly destination: string;
  };
  readonly client: { readonly node: string; readonly platform: string; readonly cores: number; readonly cpu: string };
  readonly results: readonly Result[];
  readonly failures: readonly Failure[];
  /** What to keep in mind with the figures. */
  readonly notes: readonly string[];
}

/** From here on the client's one core is as likely the limit as the server. */
const BUSY_SHARE = 0.9;

export function notesFor(onThisMachine: boolean, cores: number, results: readonly Result[]): readonly string[] {
  const notes: string[] = [];
  if (onThisMachine)
    notes.push(
      `client and server share the ${cores} cores of this machine: each takes from the other, so compare runs only with ` +
        'runs made the same way, and trust no difference smaller than that of two equal runs',
    );
  const busy = results.filter(({ clientCpuShare }) => clientCpuShare >= BUSY_SHARE);
  if (busy.length > 0)
    notes.push(
      `the client itself was busy (one core, ${Math.round(BUSY_SHARE * 100)} % and more) in ` +
        `${listed(busy.map(({ scenario, cell }) => `${scenario} ${cell}`))}: the server may be faster than shown there`,
    );
  const few = results.filter(({ samples, p99Ms }) => p99Ms !== undefined && samples < FEW_SAMPLES);
  if (few.length > 0)
    notes.push(
      `a p99 of fewer than ${FEW_SAMPLES} samples is close to the slowest one: ` +
        `${listed(few.map(({ scenario, cell }) => `${scenario} ${cell}`))}; --seconds makes more of them`,
    );
  return notes;
}

const FEW_SAMPLES = 200;

/** The table for a terminal, without a trailing line end. */
export function table(report: Report): string {
  const head = ['scenario', '', 'per second', 'p50', 'p99', 'MB/s', 'samples', 'client CPU'];
  const rows = report.results.map((one) => [
    one.scenario,
    one.cell,
    one.perSecond === undefined ? '' : figure(one.perSecond),
    one.p50Ms === undefined ? '' : `${figure(one.p50Ms)} ms`,
    one.p99Ms === undefined ? '' : `${figure(one.p99Ms)} ms`,
    one.megabytesPerSecond === undefined ? '' : figure(one.megabytesPerSecond),
    one.samples === 0 ? '' : String(one.samples),
    `${Math.round(one.clientCpuShare * 100)} %`,
  ]);
  const all = [head, ...rows];
  const widths = head.map((_, column) => Math.max(...all.map((row) => row[column]?.length ?? 0)));
  const line = (row: readonly string[]): string =>
    row
      .map((text, column) => (column < 2 ? text.padEnd(widths[column] ?? 0) : text.padStart(widths[column] ?? 0)))
      .join('  ')
      .trimEnd();
  return all.map(line).join('\n');
}

/** Three digits that count, and no more: the rest is noise. */
export function figure(value: number): string {
  if (value >= 100) return String(Math.round(value));
  return value >= 10 ? value.toFixed(1) : value.toFixed(value >= 1 ? 2 : 3);
}

function listed(names: readonly string[]): string {
  return names.length <= 1 ? names.join() : `${names.slice(0, -1).join(', ')} and ${names.at(-1) ?? ''}`;
}
