/** METRICS PAGE: docs/metrics.md, made of the list. Owns nothing. */
import { METRICS, type Metric } from './metrics.js';

export function metricsPage(): string {
  return `# Metrics

\`GET /metrics\` of the admin socket, in the text format of Prometheus. Counts are those of the whole server, all workers together; they begin
at 0 with the primary, and those of a worker that died stay. Workers are asked for each scrape, so that it is exact; one that does not answer
within a second is as it was a second before. No label names a user, a peer or a destination: the [audit](running.md#logs-and-audit) does.
[contrib/grafana.json](../contrib/grafana.json) is a dashboard of these. This page is made of the table in \`src/shared/metrics.ts\`.

| name | type | unit | labels | what |
|---|---|---|---|---|
${Object.values<Metric>(METRICS).map(row).join('\n')}

Buckets of histograms, in seconds:

${Object.values<Metric>(METRICS).flatMap(bucketLine).join('\n')}
`;
}

function row({ name, type, unit, labels, help }: Metric): string {
  const cells = [`\`${name}\``, type, unit === 'none' ? '' : unit, labelText(labels), `${help}.`];
  return `| ${cells.join(' | ')} |`;
}

function labelText(labels: Metric['labels']): string {
  return Object.entries(labels)
    .map(([name, values]) => `\`${name}\`: ${typeof values === 'string' ? values : values.join(', ')}`)
    .join('; ');
}

function bucketLine({ name, buckets }: Metric): string[] {
  return buckets === undefined ? [] : [`- \`${name}\`: ${buckets.join(', ')}`];
}
