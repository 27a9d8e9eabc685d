/** REPORT: the ledger of a run as a table, and one line of it on the way. Pure. */
import type { ChaosOptions } from './options.js';
import type { Sums } from './run.js';

export function progressLine(sums: Sums, seconds: number): string {
  const { totals, faults, lost, defects } = sums;
  const { open, equal, ended } = totals.verdicts;
  const made = sumOf(faults);
  const flows = `${totalOf(sums)} flows (${open} open), ${mebibytes(totals.bytes)}`;
  return `${seconds} s: ${flows}: ${equal} equal, ${ended} ended, ${lost.length} LOST; ${made} faults, ${defects.length} defects`;
}

export function table(sums: Sums, { minutes, seed, workers }: ChaosOptions): string {
  const { totals, faults, lost, defects } = sums;
  const rows: readonly (readonly [string, string, string])[] = [
    ['flows', number(totalOf(sums)), listed(totals.ways)],
    ['', '', `at most ${sums.mostFlows} at a time`],
    ['bytes', mebibytes(totals.bytes), 'arrived, each compared with what was sent'],
    ['equal', number(totals.verdicts.equal), `${number(totals.survived)} of them in spite of a fault`],
    ['explicitly ended', number(totals.verdicts.ended), listed(totals.endedBy)],
    ['LOST', number(lost.length), ''],
    ['faults', number(sumOf(faults)), listed(faults)],
    ['logins', number(sums.logins), `${number(sums.refusedLogins)} more refused, each while a fault was at work`],
    ['connections', number(sums.connections), 'that the server accepted, strangers included'],
    ['server starts', number(sums.serverStarts), ''],
    ['workers ended', number(sumOf(sums.workerExits)), listed(sums.workerExits)],
    ['defects', number(defects.length), ''],
  ];
  const widths = [0, 1].map((column) => Math.max(...rows.map((row) => row[column as 0 | 1].length)));
  const lines = rows.map(([name, count, text]) =>
    `${name.padEnd(widths[0] ?? 0)}  ${count.padStart(widths[1] ?? 0)}  ${text}`.trimEnd(),
  );
  const told = [...lost.map((why) => `LOST: ${why}`), ...defects.map((text) => `defect: ${text}`)];
  const again = `npm run chaos -- --minutes ${minutes} --seed ${seed} --workers ${workers}`;
  return [
    `chaos: seed ${seed}, ${workers} worker${workers === 1 ? '' : 's'}, ${minutes} min of faults`,
    ...lines,
    ...told,
    `the same faults, flows and clients again (not the same moments): ${again}`,
  ].join('\n');
}

function totalOf({ totals: { verdicts } }: Sums): number {
  return verdicts.open + verdicts.equal + verdicts.ended + verdicts.lost;
}

function sumOf(counts: ReadonlyMap<string, number>): number {
  return [...counts.values()].reduce((sum, count) => sum + count, 0);
}

/** The most frequent first. */
function listed(counts: ReadonlyMap<string, number>): string {
  return [...counts]
    .sort((a, b) => b[1] - a[1])
    .map(([name, count]) => `${name} ${number(count)}`)
    .join(', ');
}

function number(value: number): string {
  return value.toLocaleString('en-US');
}

function mebibytes(bytes: number): string {
  return `${number(Math.round(bytes / 2 ** 20))} MiB`;
}
