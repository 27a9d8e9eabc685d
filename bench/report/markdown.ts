/** MARKDOWN: RESULTS.md and the tables on a terminal, from a results file. Pure. */
import type { CellRecord, Metric, Results, Run, ScenarioRecord } from './schema.js';
import { BASELINE, hasFailedVerification, ratio, recordOf, summaryOf } from './stats.js';
import { targets } from './targets.js';
import { figure, table, times } from './text.js';

const NO_FIGURE = '-';
const COMMIT_CHARS = 10;

/** @param notes Markdown by hand, taken as it stands; '' for none */
export function resultsPage(results: Results, notes: string): string {
  const parts = [
    '# Results',
    'Made by `npm run bench:report` from [results.json](results.json); [README.md](README.md) tells how it is measured and ' +
      'how to read it. `up` is client to target.',
    '![Cost relative to OpenSSH](results.svg)',
    '## Targets',
    targetTable(results),
    ...(notes.trim() === '' ? [] : [notes.trim()]),
    '## Ratios to OpenSSH',
    `Above 1 is better than \`${BASELINE}\`, whichever way the metric points: half the CPU and twice the throughput are both ` +
      '2. From medians. The servers of a cell were measured in turns, in one run; cells may stem from several, which are ' +
      'named below.',
    ...results.scenarios.flatMap(ratioSection),
    '## Absolute figures',
    '> **Noise.** These come from one machine that clients, targets and servers share, and they drift with its temperature, ' +
      'its neighbours and its kernel. Between two runs or two machines compare ratios, not these.',
    'Median (lowest..highest).',
    ...results.scenarios.flatMap(absoluteSection),
    '## Failures',
    failureList(results),
    '## Runs',
    ...results.runs.flatMap((run) => runSection(run, results)),
  ];
  return `${parts.join('\n\n')}\n`;
}

/** All figures for a terminal. */
export function scenarioTables(results: Results): string {
  return results.scenarios
    .flatMap((scenario) => {
      const ratios = ratioTables(scenario);
      return [
        `${scenario.name}: median (lowest..highest)`,
        ...metricTables(scenario),
        ...(ratios.length === 0 ? [] : [`${scenario.name}: ratio to ${BASELINE}, above 1 is better`, ...ratios]),
      ];
    })
    .join('\n\n');
}

/** One line each. */
export function failuresOf(results: Results): string[] {
  return results.scenarios.flatMap(({ name, cells }) =>
    cells.flatMap((cell) =>
      cell.peers.flatMap((record) => {
        const consequence = hasFailedVerification(record) ? ', so this cell has no number' : '';
        return record.failures.map(({ round, kind, reason }) => {
          const what = kind === 'verification' ? `verification failed${consequence}` : 'failed';
          const when = round === 0 ? 'in the warm-up' : `in round ${round}`;
          return `${name}, ${cell.id}, ${record.peer}, ${when}: ${what}: ${reason.replaceAll(/\s+/g, ' ').trim()}`;
        });
      }),
    ),
  );
}

function targetTable(results: Results): string {
  const rows = targets(results).map(({ target, wanted, measured, verdict }) => [
    target,
    wanted,
    measured,
    verdict === 'met' ? 'met' : `**${verdict}**`,
  ]);
  return table(['', 'wanted', 'measured', 'verdict'], rows);
}

function ratioSection(scenario: ScenarioRecord): string[] {
  const tables = ratioTables(scenario);
  return tables.length === 0 ? [] : [`### ${scenario.name}`, scenario.about, ...tables];
}

function ratioTables(scenario: ScenarioRecord): string[] {
  const peers = peersOf(scenario).filter((peer) => peer !== BASELINE);
  const headline = scenario.metrics.filter((metric) => metric.headline);
  if (peers.length === 0) return [];
  return headline.flatMap((metric) => {
    const rows = scenario.cells
      .filter((cell) => summaryOf(recordOf(cell, BASELINE), metric.name) !== undefined)
      .map((cell) => [cell.id, ...peers.map((peer) => ratioText(cell, metric, peer))]);
    return rows.length === 0 ? [] : [table([metric.name, ...peers], rows)];
  });
}

function absoluteSection(scenario: ScenarioRecord): string[] {
  const isNew = ratioTables(scenario).length === 0; // else it was told what is done, above
  return [`### ${scenario.name}: absolute`, ...(isNew ? [scenario.about] : []), ...metricTables(scenario)];
}

/** A table for each metric of which there is a figure; peers without any have no column. */
function metricTables(scenario: ScenarioRecord): string[] {
  return scenario.metrics.flatMap((metric) => {
    const peers = peersOf(scenario).filter((peer) =>
      scenario.cells.some((cell) => summaryText(cell, metric, peer) !== NO_FIGURE),
    );
    const rows = scenario.cells.map((cell) => [cell.id, ...peers.map((peer) => summaryText(cell, metric, peer))]);
    return peers.length === 0 ? [] : [table([nameOf(metric), ...peers], rows)];
  });
}

function summaryText(cell: CellRecord, metric: Metric, peer: string): string {
  const record = recordOf(cell, peer);
  if (record !== undefined && hasFailedVerification(record)) return 'not verified';
  const summary = summaryOf(record, metric.name);
  if (summary === undefined) return record === undefined || record.failures.length === 0 ? NO_FIGURE : 'failed';
  const spread = summary.count === 1 ? '' : ` (${figure(summary.min)}..${figure(summary.max)})`;
  return `${figure(summary.median)}${spread}`;
}

function ratioText(cell: CellRecord, metric: Metric, peer: string): string {
  const [ours, base] = [peer, BASELINE].map((name) => summaryOf(recordOf(cell, name), metric.name)?.median);
  if (ours === undefined || base === undefined) return NO_FIGURE;
  return times(ratio(metric, ours, base));
}

function failureList(results: Results): string {
  const failures = failuresOf(results);
  return failures.length === 0 ? 'None.' : failures.map((line) => `- ${line}`).join('\n');
}

function runSection(run: Run, results: Results): string[] {
  const { machine } = run;
  const cells = results.scenarios.flatMap(({ name, cells }) =>
    cells.some((cell) => cell.run === run.id) ? [name] : [],
  );
  const gib = figure(machine.memoryBytes / 2 ** 30);
  const facts = [
    `- Commit ${run.commit.slice(0, COMMIT_CHARS)}${run.dirty ? ' with changes that are not committed' : ''}, Node ` +
      `${machine.node}, ${machine.os}, ${machine.kernel}, ${machine.cpu}, ${machine.cores} cores, ${gib} GiB.`,
    `- Scenarios: ${cells.join(', ')}; ${run.options.repeats} ${run.options.repeats === 1 ? 'round' : 'rounds'}${run.options.quick ? ', QUICK: figures mean nothing' : ''}.`,
    ...run.peers.map(({ name, version }) => `- ${name}: ${version}.`),
    ...run.missing.map(({ name, why }) => `- ${name}: not measured, ${why}.`),
  ];
  const configs = run.configs.map(
    ({ peer, workers, text }) =>
      `<details><summary>${peer}${workers === 1 ? '' : `, ${workers} workers`}</summary>\n\n\`\`\`\n${text.trim()}\n\`\`\`\n\n</details>`,
  );
  return [`### ${run.startedAt.slice(0, 16).replace('T', ' ')} UTC`, facts.join('\n'), ...configs];
}

function peersOf({ cells }: ScenarioRecord): string[] {
  return [...new Set(cells.flatMap((cell) => cell.peers.map(({ peer }) => peer)))];
}

function nameOf({ name, unit, higherIsBetter }: Metric): string {
  return `${name} (${unit}, ${higherIsBetter ? 'more' : 'less'} is better)`;
}
