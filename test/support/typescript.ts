/** TYPESCRIPT: the project's compiler on a folder with a tsconfig.json. Owns nothing.
 *  tap adds its own hooks to NODE_OPTIONS of every child; under them the compiler's entry does not load. */
import { join } from 'node:path';
import type { Test } from 'tap';
import { projectRoot } from './paths.js';
import { type Outcome, run } from './process.js';

export async function compile(t: Test, folder: string): Promise<Outcome> {
  const tsc = join(projectRoot, 'node_modules/.bin/tsc');
  return await run(t, 'env', ['-u', 'NODE_OPTIONS', process.execPath, tsc, '-p', folder], { deadlineMs: 120_000 });
}
