/** SCHEMA: the command prints the schema, as JSON and nothing else. */
import t from 'tap';
import { configSchema } from '../../src/shared/config_schema.js';
import { configTypes } from '../../src/shared/config_types.js';
import { cliEntry } from '../support/paths.js';
import { run } from '../support/process.js';

t.test('valid JSON, the same as the library makes', async (t) => {
  const { code, stdout, stderr } = await run(t, process.execPath, [cliEntry, 'schema']);
  t.match({ code, stderr }, { code: 0, stderr: '' });
  t.same(JSON.parse(stdout), JSON.parse(JSON.stringify(configSchema())));
});

t.test('the types are for `npm run docs`, and no business of users', async (t) => {
  t.match(await run(t, process.execPath, [cliEntry, 'schema', '--types']), { code: 0, stdout: configTypes() });
  const { stdout } = await run(t, process.execPath, [cliEntry, 'schema', '--help']);
  t.match(stdout, /--markdown/);
  t.notMatch(stdout, /--types/);
});
