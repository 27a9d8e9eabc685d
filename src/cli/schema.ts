/** SCHEMA: prints the JSON Schema of the config, for editors, that of a webhook's questions and answers, or the page of all
 *  keys, for people. Its types, for the compiler, and the page of metrics are made for this project's own files. */
import { configPage, configSchema } from '../shared/config_schema.js';
import { configTypes } from '../shared/config_types.js';
import { metricsPage } from '../shared/metrics_page.js';
import { webhookSchema } from '../shared/webhook_schema.js';

export interface SchemaOptions {
  readonly markdown?: boolean;
  readonly types?: boolean;
  readonly metrics?: boolean;
  readonly webhook?: boolean;
}

/** @returns the exit code */
export function schema(options: SchemaOptions): number {
  process.stdout.write(textFor(options));
  return 0;
}

function textFor({ markdown, types, metrics, webhook }: SchemaOptions): string {
  if (markdown) return configPage();
  if (types) return configTypes();
  if (metrics) return metricsPage();
  return `${JSON.stringify(webhook ? webhookSchema() : configSchema(), null, 2)}\n`;
}
