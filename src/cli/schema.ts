/** SCHEMA: prints the JSON Schema of the config, for editors, or the page of all keys, for people. */
import { configPage, configSchema } from '../shared/config_schema.js';

/** @returns the exit code */
export function schema(options: { readonly markdown?: boolean }): number {
  process.stdout.write(options.markdown ? configPage() : `${JSON.stringify(configSchema(), null, 2)}\n`);
  return 0;
}
