/** CONFIG DOCS: docs/config.md is made from the table. `npm run docs` writes it; this test holds it to the table. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import { configPage } from '../../src/shared/config_schema.js';
import { projectRoot } from '../support/paths.js';

t.test('docs/config.md tells what the table says', async (t) => {
  t.equal(readFileSync(join(projectRoot, 'docs', 'config.md'), 'utf8'), configPage(), 'run `npm run docs`');
});
