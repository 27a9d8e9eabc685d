/** SCHEMA: the command prints the schema, as JSON and nothing else. */
import t from 'tap';
import { configSchema } from '../../src/shared/config_schema.js';
import { cliEntry } from '../support/paths.js';
import { run } from '../support/process.js';

t.test('valid JSON, the same as the library makes', async (t) => {
  const { code, stdout, stderr } = await run(t, process.execPath, [cliEntry, 'schema']);
  t.match({ code, stderr }, { code: 0, stderr: '' });
  t.same(JSON.parse(stdout), JSON.parse(JSON.stringify(configSchema())));
});
