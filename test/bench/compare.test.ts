/** COMPARE: what is called a difference between two builds, and where the other build comes from. */
import { execFileSync } from 'node:child_process';
import { existsSync, mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import { baseBuild } from '../../bench/compare/base_build.js';
import { comparisons, comparisonText, judge, twoSidedSignTest } from '../../bench/compare/verdict.js';
import { broken, resultsOf } from '../support/results_under_test.js';
import { tempDir } from '../support/temp.js';

t.test('a sign test over rounds', async (t) => {
  t.equal(twoSidedSignTest(6, 0), 2 / 64);
  t.equal(twoSidedSignTest(9, 1), 20 / 512);
  t.equal(judge([1.1, 1.2, 1.1, 1.3, 1.01, 1.2]), 'better');
  t.equal(judge([0.9, 0.8, 0.9, 0.7, 0.99, 0.8]), 'worse');
  t.equal(judge([1.1, 1.2, 1.1, 1.3, 1.01, 0.9]), 'noise');
  t.equal(judge([1.1, 1.2, 1.1, 1.3, 1.01, 0.9, 1.1, 1.1, 1.1]), 'better', 'of nine one may disagree');
  t.equal(judge([2, 2, 2, 2, 2]), 'too few rounds');
  t.equal(judge([1, 1, 1, 1, 1, 1]), 'noise', 'rounds that are equal say neither');
  t.equal(judge([]), 'no number');
});

t.test('rounds are compared in pairs', async (t) => {
  const results = resultsOf({
    bulk: {
      up: { sallyport: { cost: [1, 2, 4], aside: 1 }, 'sallyport@base': { cost: [2, 2, 2], aside: 1 } },
      down: { sallyport: broken('verification'), 'sallyport@base': { cost: 1 } },
    },
  });
  const found = comparisons(results, 'sallyport', 'sallyport@base');
  t.match(found, [
    { cell: 'up', metric: 'cost', ratios: [2, 1, 0.5], judgement: 'too few rounds' },
    { cell: 'up', metric: 'speed', ratios: [], judgement: 'no number' },
    { cell: 'down', metric: 'cost', judgement: 'no number' },
    { cell: 'down', metric: 'speed', judgement: 'no number' },
  ]);
  t.match(comparisonText(found, 'v1'), /\| bulk: up +\| +cost \| +1\.00 \| +0\.500\.\.2\.00 \| too few rounds \|/);
});

/** A project whose compiler writes what the commit says. */
function repository(dir: string): string {
  const root = join(dir, 'repository');
  const compiler = join(root, 'node_modules/typescript/bin');
  mkdirSync(compiler, { recursive: true });
  writeFileSync(
    join(compiler, 'tsc'),
    `const fs = require('node:fs');
     const said = fs.readFileSync('says', 'utf8');
     if (said === 'broken') { console.log('says(1,1): error'); process.exit(1); }
     fs.mkdirSync('build/src/cli', { recursive: true });
     fs.writeFileSync('build/src/cli/main.js', said);`,
  );
  writeFileSync(join(root, '.gitignore'), 'node_modules\nbuild\n');
  writeFileSync(join(root, 'package-lock.json'), '{}');
  const git = (...args: string[]): void => {
    const who = ['-c', 'user.name=t', '-c', 'user.email=t@localhost', '-c', 'commit.gpgsign=false'];
    execFileSync('git', [...who, ...args], { cwd: root, stdio: 'ignore' });
  };
  git('init', '--quiet');
  for (const text of ['old', 'broken']) {
    writeFileSync(join(root, 'says'), text);
    git('add', '.');
    git('commit', '--quiet', '-m', text);
    git('tag', text);
  }
  return root;
}

function worktrees(root: string): number {
  return execFileSync('git', ['worktree', 'list'], { cwd: root, encoding: 'utf8' }).trim().split('\n').length;
}

t.test('a base is a git ref that is built, or the folder of a build', async (t) => {
  const dir = tempDir(t);
  const root = repository(dir);
  const said: string[] = [];
  const base = baseBuild('old', root, (text) => said.push(text));
  t.ok(existsSync(join(base.root, 'build/src/cli/main.js')));
  t.match(base.title, /^old \([0-9a-f]{10}\)$/);
  t.same(said, ['building old'], 'with the packages that are here, as the lock file is the same');
  t.ok(existsSync(join(root, 'node_modules')), 'which are still here');

  const folder = baseBuild(base.root, root, () => {});
  t.equal(folder.root, base.root);
  folder.remove();
  t.ok(existsSync(base.root), 'a folder that was given stays');
  base.remove();
  t.notOk(existsSync(base.root), 'a worktree goes');
  t.ok(existsSync(join(root, 'node_modules/typescript')), 'without what it linked to');

  t.throws(() => baseBuild('broken', root, () => {}), /^broken cannot be built: says\(1,1\): error$/);
  t.throws(() => baseBuild('nonsense', root, () => {}), /^nonsense is neither a git ref nor a folder$/);
  t.throws(() => baseBuild(dir, root, () => {}), /is a folder without build\/src\/cli\/main\.js/);
  t.equal(worktrees(root), 1, 'nothing is left');
});
