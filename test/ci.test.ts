/** CI: the gate installs every program that a test may ask for. What is there by chance on one machine hides that it is missing. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import { projectRoot } from './support/paths.js';
import { DEBIAN_PACKAGES } from './support/programs.js';

t.test('.ci/run installs the packages of all programs', async (t) => {
  const [, list = ''] = /^packages=\(\n([^)]*)\)/m.exec(readFileSync(join(projectRoot, '.ci/run'), 'utf8')) ?? [];
  const installed = new Set(list.split(/\s+/));
  t.same(
    [...new Set(DEBIAN_PACKAGES)].filter((name) => !installed.has(name)),
    [],
  );
});
