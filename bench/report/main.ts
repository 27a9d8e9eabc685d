/** REPORT: `npm run bench:report [--merge FILE...]`. Writes what is made from bench/results.json: RESULTS.md, results.svg,
 *  the README's figures, and results.schema.json from the schema. Owns argv and those files. */
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { reasonOf } from '../../src/shared/errors.js';
import { OWN_ROOT } from '../peers/sallyport.js';
import { chart } from './chart.js';
import { resultsPage } from './markdown.js';
import { readmeWith } from './readme.js';
import { EMPTY, merged, readResults, writeResults } from './results.js';
import { type Results, resultsSchema } from './schema.js';

const RESULTS = join(OWN_ROOT, 'bench/results.json');

function main(args: readonly string[]): void {
  const { values } = parseArgs({ args: [...args], options: { merge: { type: 'string', multiple: true } } });
  writeFileSync(join(OWN_ROOT, 'bench/results.schema.json'), resultsSchema());
  let results = existsSync(RESULTS) ? readResults(RESULTS) : EMPTY;
  for (const file of values.merge ?? []) results = merged(results, forPublication(file));
  if (results.runs.length === 0) throw new Error('nothing is measured yet: npm run bench, then --merge its file');
  if (values.merge !== undefined) writeResults(RESULTS, results);
  for (const [path, text] of reportFiles(results)) {
    writeFileSync(join(OWN_ROOT, path), text);
    process.stdout.write(`${path}\n`);
  }
}

/** Paths from the project's root, and what stands there. */
function reportFiles(results: Results): [path: string, text: string][] {
  const read = (path: string): string => readFileSync(join(OWN_ROOT, path), 'utf8');
  const notes = existsSync(join(OWN_ROOT, 'bench/NOTES.md')) ? read('bench/NOTES.md') : '';
  return [
    ['bench/RESULTS.md', resultsPage(results, notes)],
    ['bench/results.svg', chart(results)],
    ['README.md', readmeWith(read('README.md'), results)],
  ];
}

/** @throws when its figures mean nothing */
function forPublication(file: string): Results {
  const results = readResults(file);
  if (results.runs.some(({ options }) => options.quick))
    throw new Error(`${file} is of a --quick run: its figures mean nothing`);
  return results;
}

try {
  main(process.argv.slice(2));
} catch (error) {
  process.stderr.write(`error: ${reasonOf(error)}\n`);
  process.exitCode = 1;
}
