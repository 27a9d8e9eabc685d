/** REPORT: medians, ratios, targets, pages and the chart, from results made by hand. */
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import { chart } from '../../bench/report/chart.js';
import { failuresOf, resultsPage } from '../../bench/report/markdown.js';
import { readmeWith } from '../../bench/report/readme.js';
import { EMPTY, merged, readResults, textOf, writeResults } from '../../bench/report/results.js';
import { Results, resultsSchema } from '../../bench/report/schema.js';
import { Figures, geometricMean, ratio, recordOf, summaryOf } from '../../bench/report/stats.js';
import { figuresOfTargets, targets } from '../../bench/report/targets.js';
import { figure, table, times } from '../../bench/report/text.js';
import { SCENARIOS } from '../../bench/scenarios/index.js';
import { projectRoot } from '../support/paths.js';
import { broken, resultsOf, type Table } from '../support/results_under_test.js';
import { tempDir } from '../support/temp.js';

const BULK = ['aes128-gcm up', 'aes128-gcm down', 'chacha20-poly1305 up', 'chacha20-poly1305 down'];

/** All targets met: what one peer needs, and twice or far more of it for the others. */
function allMet(): Results {
  const metric = (name: string, higherIsBetter: boolean) => ({ name, unit: 'x', higherIsBetter, headline: true });
  const parts: [Table, ReturnType<typeof metric>[]][] = [
    [
      {
        bulk: Object.fromEntries(
          BULK.map((cell) => [
            `${cell}, 1 tunnel`,
            {
              sallyport: { cpuSecondsPerGB: [0.5, 0.4, 0.6], megabytesPerSecond: 900 },
              openssh: { cpuSecondsPerGB: 1, megabytesPerSecond: 800 },
              'openssh-new': { cpuSecondsPerGB: 0.7, megabytesPerSecond: 800 },
            },
          ]),
        ),
      },
      [metric('cpuSecondsPerGB', false), metric('megabytesPerSecond', true)],
    ],
    [
      {
        login: {
          '16 at a time': {
            sallyport: { cpuMsPerLogin: 0.7 },
            openssh: { cpuMsPerLogin: 14 },
            go: { cpuMsPerLogin: 0.8 },
          },
        },
      },
      [metric('cpuMsPerLogin', false)],
    ],
    [
      {
        idle: {
          '2,000 held': {
            sallyport: { pssKiBPerConnection: 8 },
            openssh: { pssKiBPerConnection: 1600 },
            go: { pssKiBPerConnection: 34 },
          },
        },
      },
      [metric('pssKiBPerConnection', false)],
    ],
    [
      {
        http: {
          '64 connections': {
            sallyport: { requestsPerSecond: 40_000, p99Ms: 5 },
            openssh: { requestsPerSecond: 20_000, p99Ms: 42 },
          },
        },
      },
      [metric('requestsPerSecond', true), metric('p99Ms', false)],
    ],
    [
      {
        echo: Object.fromEntries(
          ['beside a bulk flow', "beside another user's bulk flow"]
            .flatMap((flow) => [`${flow}, up`, `${flow}, down`])
            .map((cell) => [cell, { sallyport: { p99Microseconds: 100 }, openssh: { p99Microseconds: 100 } }]),
        ),
      },
      [metric('p99Microseconds', false)],
    ],
    [
      {
        scale: {
          '1 worker': { sallyport: { loginsPerWorkerCpuSecond: 1000, primaryPercentOfWorkers: 6 } },
          '2 workers': { sallyport: { loginsPerWorkerCpuSecond: 960, primaryPercentOfWorkers: 6 } },
        },
      },
      [metric('loginsPerWorkerCpuSecond', true), metric('primaryPercentOfWorkers', false)],
    ],
    [
      { longpath: { '100 ms, up': { sallyport: { megabytesPerSecond: 80 }, openssh: { megabytesPerSecond: 20 } } } },
      [metric('megabytesPerSecond', true)],
    ],
    [
      {
        stalled: {
          'normal windows': { sallyport: { driftMiB: 0.5 } },
          'windows of 4 GiB announced': { sallyport: { driftMiB: -0.5 } },
        },
      },
      [metric('driftMiB', false)],
    ],
  ];
  return parts.map(([table, metrics]) => resultsOf(table, { metrics })).reduce(merged, EMPTY);
}

t.test('a summary is the median and the whole spread', async (t) => {
  const results = resultsOf({ bulk: { up: { sallyport: { cost: [3, 1, 2] } } } });
  const record = recordOf(results.scenarios[0]?.cells[0], 'sallyport');
  t.same(summaryOf(record, 'cost'), { median: 2, min: 1, max: 3, count: 3 });
  t.equal(summaryOf(record, 'speed'), undefined, 'nothing measured');
  t.equal(summaryOf(undefined, 'cost'), undefined, 'not there');
});

t.test('a failed verification leaves no number, another failure those of the other rounds', async (t) => {
  const results = resultsOf({
    bulk: { up: { sallyport: broken('verification'), openssh: broken('error'), go: { cost: 2 } } },
  });
  const figures = new Figures(results);
  const at = { scenario: 'bulk', cell: 'up', metric: 'cost' };
  t.equal(figures.median(at, 'sallyport'), undefined);
  t.equal(figures.median(at, 'openssh'), 1);
  t.equal(figures.ratio(at, 'sallyport'), undefined);
  t.equal(figures.ratio(at, 'go'), 0.5);
  t.same(failuresOf(results), [
    'bulk, up, sallyport, in round 1: verification failed, so this cell has no number: it broke',
    'bulk, up, openssh, in round 1: failed: it broke',
  ]);
});

t.test('a ratio above 1 is better, whichever way the metric points', async (t) => {
  t.equal(ratio({ higherIsBetter: true }, 4, 2), 2);
  t.equal(ratio({ higherIsBetter: false }, 2, 4), 2);
  t.ok(Math.abs(geometricMean([1, 4, 16]) - 4) < 1e-9);
});

t.test('figures and tables as text', async (t) => {
  for (const [value, text] of [
    [0.012345, '0.0123'],
    [1.2345, '1.23'],
    [9.999, '10.0'],
    [12.345, '12.3'],
    [123.45, '123'],
    [12345, '12,300'],
    [1234567, '1,230,000'],
    [0, '0'],
    [-12.345, '-12.3'],
    [Number.NaN, '-'],
  ] as const)
    t.equal(figure(value), text, String(value));
  t.equal(times(0.005), '1/200');
  t.equal(times(0.5), '0.500');
  t.equal(times(-1), '-');
  t.equal(table(['', 'x'], [['a|b', '1']]), '|      |   x |\n|------|----:|\n| a\\|b |   1 |');
});

t.test('targets', async (t) => {
  t.test('all met', async (t) => {
    for (const { target, verdict, measured } of targets(allMet())) t.equal(verdict, 'met', `${target}: ${measured}`);
  });
  t.test('nothing measured, nothing met', async (t) => {
    t.same([...new Set(targets(EMPTY).map(({ verdict }) => verdict))], ['not measured']);
  });
  t.test('each can be missed', async (t) => {
    const worse: Table = {
      bulk: {
        'aes128-gcm up, 1 tunnel': {
          sallyport: { cpuSecondsPerGB: 0.96, megabytesPerSecond: 799 },
          openssh: { cpuSecondsPerGB: 1, megabytesPerSecond: 800 },
          'openssh-new': { cpuSecondsPerGB: 0.1, megabytesPerSecond: 1 },
        },
      },
      login: {
        '16 at a time': {
          sallyport: { cpuMsPerLogin: 0.7 },
          openssh: { cpuMsPerLogin: 14 },
          go: { cpuMsPerLogin: 0.6 },
        },
      },
      idle: {
        '2,000 held': {
          sallyport: { pssKiBPerConnection: 27 },
          openssh: { pssKiBPerConnection: 1600 },
          go: { pssKiBPerConnection: 34 },
        },
      },
      http: {
        '64 connections': {
          sallyport: { requestsPerSecond: 40_000, p99Ms: 6 },
          openssh: { requestsPerSecond: 20_000, p99Ms: 42 },
        },
      },
      echo: { 'beside a bulk flow, up': { sallyport: { p99Microseconds: 101 }, openssh: { p99Microseconds: 100 } } },
      scale: { '2 workers': { sallyport: { loginsPerWorkerCpuSecond: 960, primaryPercentOfWorkers: 8 } } },
      longpath: { '100 ms, up': { sallyport: { megabytesPerSecond: 79 }, openssh: { megabytesPerSecond: 20 } } },
      stalled: { 'normal windows': { sallyport: { driftMiB: 100 } } },
    };
    const met = allMet();
    const results: Results = {
      ...met,
      scenarios: met.scenarios.map((scenario) => {
        const cells = resultsOf({ [scenario.name]: worse[scenario.name] ?? {} }).scenarios[0]?.cells ?? [];
        return { ...scenario, cells: scenario.cells.map((cell) => cells.find(({ id }) => id === cell.id) ?? cell) };
      }),
    };
    for (const { target, verdict, measured } of targets(results)) t.equal(verdict, 'MISSED', `${target}: ${measured}`);
  });
  t.test('one missed part is a miss, though another is unknown', async (t) => {
    const results = resultsOf(
      { login: { '16 at a time': { sallyport: { cost: 1 }, openssh: { cost: 2 } } } },
      { metrics: [{ name: 'cost', unit: 'ms', higherIsBetter: false, headline: true }] },
    );
    const renamed: Results = JSON.parse(JSON.stringify(results).replaceAll('"cost"', '"cpuMsPerLogin"'));
    const login = targets(renamed).find(({ target }) => target.startsWith('login'));
    t.match(login, { verdict: 'MISSED', measured: 'ratio to openssh 2.00; 1.00 ms' });
  });
  t.test('every figure that they look for is one that a scenario makes', async (t) => {
    for (const { scenario: name, cell, metric } of figuresOfTargets()) {
      const scenario = SCENARIOS.find((candidate) => candidate.name === name);
      t.ok(
        scenario?.cells(false).some(({ id }) => id === cell),
        `${name} has the cell ${cell}`,
      );
      t.ok(
        scenario?.metrics.some((candidate) => candidate.name === metric),
        `${name} has the metric ${metric}`,
      );
    }
  });
});

t.test('the page', async (t) => {
  const results = merged(
    resultsOf({ bulk: { up: { sallyport: { cost: [1, 2, 3], speed: 10 }, openssh: { cost: 4, speed: 20 } } } }),
    resultsOf(
      { login: { few: { openssh: { cost: 4 }, sallyport: broken('verification', 'a\nbyte') } } },
      { run: 'run 2' },
    ),
  );
  const page = resultsPage(results, '### Why\n\nBecause.');
  t.match(page, /^# Results\n/);
  t.match(page, /### Why\n\nBecause\.\n\n## Ratios/, 'notes stand behind the targets as they are');
  t.match(page, /\| cost +\| sallyport \|\n.*\n\| up +\| +2\.00 \|/, 'half the cost is twice as good');
  t.match(page, /\| speed +\| sallyport \|\n.*\n\| up +\| +0\.500 \|/, 'half the speed is half as good');
  t.match(page, '2.00 (1.00..3.00)');
  t.match(page, /\*\*Noise\.\*\*/);
  t.match(page, /\| few +\| +4\.00 \| +not verified \|/);
  t.match(page, '- login, few, sallyport, in round 1: verification failed, so this cell has no number: a byte');
  t.match(page, 'go: not measured, not installed.');
  t.match(page, 'sallyport, 2 workers');
  t.notMatch(page, /undefined|NaN|Infinity/);
});

t.test('merging', async (t) => {
  const old = resultsOf({
    bulk: { up: { sallyport: { cost: 1 }, go: { cost: 2 } }, down: { sallyport: { cost: 3 } } },
  });
  const fresh = resultsOf(
    { bulk: { up: { sallyport: { cost: 9 } } }, login: { few: { sallyport: { cost: 4 } } } },
    { run: 'run 2' },
  );

  const both = merged(old, fresh);
  t.same(
    both.runs.map(({ id }) => id),
    ['run 1', 'run 2'],
  );
  t.same(
    both.scenarios.map(({ name, cells }) => [name, ...cells.map(({ id, run }) => `${id} of ${run}`)]),
    [
      ['bulk', 'up of run 2', 'down of run 1'],
      ['login', 'few of run 2'],
    ],
  );
  t.same(
    both.scenarios[0]?.cells[0]?.peers.map(({ peer }) => peer),
    ['sallyport'],
    'a cell is replaced with all its peers',
  );

  const interrupted = resultsOf({ bulk: { up: { sallyport: { cost: 9 } } } }, { run: 'run 2' });
  for (const { cells } of interrupted.scenarios) for (const cell of cells) cell.complete = false;
  t.same(merged(old, interrupted), old, 'an unfinished cell is not taken, nor its run');
  const whole = resultsOf({ bulk: { up: { go: { cost: 1 } }, down: { go: { cost: 1 } } } }, { run: 'run 3' });
  t.same(
    merged(old, whole).runs.map(({ id }) => id),
    ['run 3'],
    'a run of which nothing is left goes',
  );
});

t.test('a results file', async (t) => {
  const file = join(tempDir(t), 'in/a/folder/results.json');
  const results = allMet();
  writeResults(file, results);
  t.same(readResults(file), results);
  t.equal(readFileSync(file, 'utf8'), textOf(results));
  writeFileSync(file, textOf(results).replace('"version": 1', '"version": 2'));
  t.throws(() => readResults(file), /results\.json is no results file:\n.*version/s);
  writeFileSync(file, '{');
  t.throws(() => readResults(file), /results\.json: .*JSON/);
});

t.test('the chart', async (t) => {
  const results = allMet();
  const svg = chart(results);
  t.equal(svg, chart(Results.parse(JSON.parse(textOf(results)))), 'the same for the same results');
  t.match(svg, /<title>sallyport: 0\.500 \(0\.500 s\/GB\)<\/title>/);
  t.match(svg, /<title>sallyport: 1\/200 \(8\.00 KiB\)<\/title>/);
  t.match(svg, /<title id="title">/);
  t.match(svg, 'prefers-color-scheme: dark');
  t.notMatch(svg, /NaN|Infinity|undefined/);
  t.notMatch(chart(EMPTY), /NaN|Infinity|undefined/, 'nor without any figure');
});

t.test("the README's figures", async (t) => {
  const readme = readFileSync(join(projectRoot, 'README.md'), 'utf8');
  const text = readmeWith(readme, allMet());
  t.match(
    text.replaceAll('\n', ' '),
    "Sallyport moves a gigabyte with 50 % and logs a client in with 1/20 of the CPU that OpenSSH's sshd needs on the same machine, " +
      'and holds an idle connection in 1/200 of its memory.',
  );
  t.equal(readmeWith(text, allMet()), text, 'twice is once');
  t.throws(() => readmeWith('no markers', allMet()), /README\.md has no lines/);
});

t.test('what is published', async (t) => {
  const read = (path: string): string => readFileSync(join(projectRoot, path), 'utf8');
  t.equal(read('bench/results.schema.json'), resultsSchema(), 'the schema is that of the code: npm run bench:report');
  const isThere = (path: string): boolean => existsSync(join(projectRoot, path));
  const published = isThere('bench/results.json');
  for (const path of ['bench/RESULTS.md', 'bench/results.svg'])
    t.equal(isThere(path), published, `${path} stands beside results.json or not at all`);
  if (!published) return;
  const results = readResults(join(projectRoot, 'bench/results.json'));
  t.equal(
    results.runs.some(({ options }) => options.quick),
    false,
    'no figures of a quick run',
  );
  t.equal(read('bench/RESULTS.md'), resultsPage(results, isThere('bench/NOTES.md') ? read('bench/NOTES.md') : ''));
  t.equal(read('bench/results.svg'), chart(results));
  t.equal(read('README.md'), readmeWith(read('README.md'), results));
});
