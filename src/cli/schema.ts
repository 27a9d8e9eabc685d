/** SCHEMA: prints the JSON Schema of the config, for editors, or the page of all keys, for people. Its types, for the
 *  compiler, are made for this project's own source. */
import { configPage, configSchema } from '../shared/config_schema.js';
import { configTypes } from '../shared/config_types.js';

/** @returns the exit code */
export function schema(options: { readonly markdown?: boolean; readonly types?: boolean }): number {
  process.stdout.write(textFor(options));
  return 0;
}

function textFor({ markdown, types }: { readonly markdown?: boolean; readonly types?: boolean }): string {
  if (markdown) return configPage();
  return types ? configTypes() : `${JSON.stringify(configSchema(), null, 2)}\n`;
}
