/** QUICK: the short form of the suite, for correctness only: every scenario runs, every sample is verified, nothing of it is
 *  left running. No figure is looked at: on a machine that runs other tests meanwhile it would mean nothing. */
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import t, { type Test } from 'tap';
import { PEERS } from '../../bench/peers/index.js';
import { planOf } from '../../bench/plan.js';
import { readResults } from '../../bench/report/results.js';
import { SCENARIOS } from '../../bench/scenarios/index.js';
import { rosterOf } from '../../bench/session.js';
import { treeOf } from '../../bench/support/process_tree.js';
import { projectRoot } from '../support/paths.js';
import { type Running, start } from '../support/process.js';
import { need } from '../support/programs.js';
import { tempDir } from '../support/temp.js';

const MAIN = join(projectRoot, 'build/bench/main.js');
const MEASURED = ['sallyport', 'openssh'];
/** What the other servers are asked for: that they start, let in and carry, both ways. Their limits are not ours to test. */
const FOR_OTHERS = ['bulk', 'login', 'forwards'];

function bench(t: Test, args: readonly string[]): Running {
  const program = start(t, process.execPath, [MAIN, '--quick', ...args], { cwd: tempDir(t) });
  t.teardown(() => program.stop()); // a SIGKILL would leave its servers
  return program;
}

async function measured(t: Test, scenarios: readonly string[], names: readonly string[]): Promise<void> {
  const file = join(tempDir(t), 'results.json');
  const program = bench(t, [...scenarios, '--peers', names.join(','), '--out', file]);
  const exit = await program.exited;
  t.equal(exit.code, 0, program.describe());
  const results = readResults(file);
  t.match(results.runs, [{ complete: true, options: { quick: true } }]);
  const peers = PEERS.filter(({ name }) => names.includes(name));
  const wanted = SCENARIOS.filter(({ name }) => scenarios.length === 0 || scenarios.includes(name));
  for (const plan of planOf({ scenarios: wanted, peers, repeats: 1, quick: true, cells: [] }))
    for (const { name } of plan.peers) {
      const scenario = results.scenarios.find((record) => record.name === plan.scenario.name);
      const cell = scenario?.cells.find(({ id }) => id === plan.cell.id);
      const record = cell?.peers.find(({ peer }) => peer === name);
      t.match(record, { failures: [] }, `${plan.scenario.name}, ${plan.cell.id}, ${name}`);
      const values = record?.samples[0]?.values ?? {};
      const known = plan.scenario.metrics.map((metric) => metric.name);
      t.ok(
        Object.keys(values).length > 0 && Object.keys(values).every((metric) => known.includes(metric)),
        'its metrics',
      );
    }
}

t.test('every scenario, on ours and on sshd', { timeout: 280_000 }, async (t) => {
  if (need(t, ['ssh', 'sshd', 'ssh-keygen'])) await measured(t, [], MEASURED);
});

t.test('the other servers that are here', { timeout: 280_000 }, async (t) => {
  if (!need(t, ['ssh', 'ssh-keygen'])) return;
  const { here } = await rosterOf(PEERS.filter(({ name }) => !MEASURED.includes(name)));
  await measured(
    t,
    FOR_OTHERS,
    here.map(({ peer }) => peer.name),
  );
});

t.test('Ctrl-C ends every process, and what was measured is there', { timeout: 60_000 }, async (t) => {
  if (!need(t, ['ssh', 'sshd', 'ssh-keygen'])) return;
  const file = join(tempDir(t), 'results.json');
  const program = bench(t, ['bulk', '--peers', MEASURED.join(','), '--repeats', '200', '--cells', 'up', '--out', file]);
  await program.waitFor(/round 2 of 200/);
  const pids = treeOf([program.pid]);
  t.ok(pids.length > 2, 'the suite and its servers');
  process.kill(program.pid, 'SIGINT');
  t.equal((await program.exited).code, 130, program.describe());
  t.same(
    pids.filter((pid) => existsSync(`/proc/${pid}`)),
    [],
    'they are gone',
  );
  const results = readResults(file);
  t.match(results, { runs: [{ complete: false }], scenarios: [{ cells: [{ complete: false }] }] });
  t.ok((results.scenarios[0]?.cells[0]?.peers[0]?.samples.length ?? 0) > 0, 'with its samples');

  const again = bench(t, ['--resume', file]);
  t.equal((await again.exited).code, 2);
  t.match(again.stderr, /--resume goes on with what its file says/, 'beside --quick');
});
