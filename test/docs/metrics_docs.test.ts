/** METRICS DOCS: docs/metrics.md is made of the list (`npm run docs`), and the dashboard asks for what is in it. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import { METRICS, type Metric } from '../../src/shared/metrics.js';
import { metricsPage } from '../../src/shared/metrics_page.js';
import { projectRoot } from '../support/paths.js';

function read(...path: readonly string[]): string {
  return readFileSync(join(projectRoot, ...path), 'utf8');
}

t.test('docs/metrics.md tells what the list says', async (t) => {
  t.equal(read('docs', 'metrics.md'), metricsPage(), 'run `npm run docs`');
});

/** Every query of the dashboard, its variables included. */
function queries(value: unknown): string[] {
  if (typeof value !== 'object' || value === null) return [];
  return Object.entries(value).flatMap(([key, of]) =>
    (key === 'expr' || key === 'query') && typeof of === 'string' ? [of] : queries(of),
  );
}

/** A series as a query names it: of a histogram, of which there are three. */
function metricOf(name: string): Metric | undefined {
  const all = Object.values<Metric>(METRICS);
  const part = /^(.*)_(bucket|sum|count)$/.exec(name)?.[1];
  return all.find((metric) => metric.name === (metric.type === 'histogram' ? part : name));
}

t.test('contrib/grafana.json uses names and labels of the list, and all that an operator looks at', async (t) => {
  const asked = queries(JSON.parse(read('contrib', 'grafana.json'))).filter((query) => query.includes('sallyport_'));
  t.ok(asked.length > 20, `${asked.length} queries`);
  const used = new Set<string>();
  for (const query of asked) {
    const metrics = [...query.matchAll(/sallyport_\w+/g)].map(([name]) => {
      const metric = metricOf(name);
      t.ok(metric, `${name} is in the list`);
      if (metric !== undefined) used.add(metric.name);
      return metric;
    });
    const known = ['job', 'instance', 'le', ...metrics.flatMap((metric) => Object.keys(metric?.labels ?? {}))];
    const matched = [...query.matchAll(/(\w+)=~?"/g)].map(([, label]) => label);
    const grouped = [...query.matchAll(/by \(([^)]*)\)/g)].flatMap(([, labels]) => labels?.split(/, */) ?? []);
    for (const label of [...matched, ...grouped]) t.ok(known.includes(label ?? ''), `${label} of ${query}`);
  }
  const all = Object.values(METRICS).map(({ name }) => name);
  const left = all.filter((name) => !used.has(name));
  t.same(left, [METRICS.connectionsAccepted.name, METRICS.startTime.name], 'not shown');
});
