/** EXPOSITION: metrics as Prometheus reads them. The only room that knows prom-client, which is loaded when somebody asks for
 *  metrics for the first time.
 *  Owns nothing: the numbers are added up elsewhere (metrics.ts), across processes and by the list of shared/metrics.ts, and
 *  prom-client is given them as one process's. */
import type { Metric } from '../shared/metrics.js';

/** A metric and its series. Of a histogram the numbers are the observations in each bucket, those beyond, and the sum. */
export interface Family {
  readonly metric: Metric;
  readonly series: readonly (readonly [labels: readonly string[], value: number | readonly number[]])[];
}

export interface Exposition {
  readonly contentType: string;
  readonly body: string;
}

export async function exposition(families: readonly Family[]): Promise<Exposition> {
  const { AggregatorRegistry } = await import('prom-client');
  const registry = AggregatorRegistry.aggregate([families.map(asJson)]);
  return { contentType: registry.contentType, body: await registry.metrics() };
}

interface Value {
  readonly value: number;
  readonly labels: Readonly<Record<string, string | number>>;
  readonly metricName: string;
}

/** As prom-client's `getMetricsAsJSON` has it. */
function asJson({ metric, series }: Family): object {
  const { name, help, type, labels: described } = metric;
  const names = Object.keys(described);
  const values = series.flatMap(([given, value]) => {
    const labels = Object.fromEntries(names.map((label, at) => [label, given[at] ?? '']));
    return typeof value === 'number' ? [{ value, labels, metricName: name }] : histogram(metric, labels, value);
  });
  return { name, help, type, values, aggregator: 'first' };
}

function histogram({ name, buckets = [] }: Metric, labels: Value['labels'], numbers: readonly number[]): Value[] {
  const values: Value[] = [];
  let observed = 0;
  for (const [at, le] of [...buckets, '+Inf'].entries()) {
    observed += numbers[at] ?? 0;
    values.push({ value: observed, labels: { ...labels, le }, metricName: `${name}_bucket` });
  }
  const sum = numbers[buckets.length + 1] ?? 0;
  values.push({ value: sum, labels, metricName: `${name}_sum` });
  values.push({ value: observed, labels, metricName: `${name}_count` });
  return values;
}
