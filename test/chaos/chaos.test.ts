/** CHAOS: two minutes of it, as `npm run chaos` makes them: one with one worker, one with two. A failure prints the seed that
 *  draws the same faults, flows and clients again. */
import { join } from 'node:path';
import t from 'tap';
import { within } from '../support/deadline.js';
import { flow, ONE_AND_TWO_WORKERS } from '../support/flow.js';
import { projectRoot } from '../support/paths.js';
import { start } from '../support/process.js';

/** A minute of faults, and what the last flows and the dead peers may take to end. */
const DEADLINE_MS = 260_000;

flow(
  t,
  'a minute of chaos loses nothing',
  { needs: ['ssh', 'ssh-keygen'], workers: ONE_AND_TWO_WORKERS, timeoutMs: DEADLINE_MS + 10_000 },
  async (t, workers) => {
    const args = [join(projectRoot, 'build/chaos/main.js'), '--minutes', '1', '--workers', String(workers)];
    const chaos = start(t, process.execPath, args);
    // It ends what it has started, which a SIGKILL would leave behind.
    t.teardown(async () => chaos.hasExited || (await chaos.stop('SIGTERM')));
    const exit = await within(chaos.exited, 'end of the run', DEADLINE_MS, () => chaos.describe());
    t.same(exit, { code: 0, signal: null }, chaos.describe());
    t.match(chaos.stdout, /^LOST +0$/m);
    t.match(chaos.stdout, /^defects +0$/m);
    for (const line of chaos.stdout.trimEnd().split('\n')) t.comment(line);
  },
);
