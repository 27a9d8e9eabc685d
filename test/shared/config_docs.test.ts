/** CONFIG DOCS: docs/config.md and src/shared/config_options.ts are made from the table. `npm run docs` writes them; this
 *  test holds them to the table. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import { configPage } from '../../src/shared/config_schema.js';
import { configTypes } from '../../src/shared/config_types.js';
import { projectRoot } from '../support/paths.js';

t.test('docs/config.md tells what the table says', async (t) => {
  t.equal(readFileSync(join(projectRoot, 'docs', 'config.md'), 'utf8'), configPage(), 'run `npm run docs`');
});

t.test('the types of the options tell what the table says', async (t) => {
  const text = readFileSync(join(projectRoot, 'src', 'shared', 'config_options.ts'), 'utf8');
  t.equal(text, configTypes(), 'run `npm run docs`');
});
