/** WALL CLOCK: it may jump by years, so that no deadline and no duration hangs on it (what that saves is A43's to show). Who needs a date
 *  all the same stands here with the reason; whoever is not here uses performance.now() or a timer. */
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import { projectRoot } from './support/paths.js';

/** Who may ask for the wall clock, and what for. */
const ASKERS = new Map([
  ['src/cli/explain.ts', 'whether a key or a code is valid now'],
  ['src/dashboard/main.ts', 'the page in a browser: when its numbers were true'],
  ['src/library/codes.ts', 'a code is of its half minute (RFC 6238)'],
  ['src/library/configured.ts', 'whether a key or a certificate is valid now'],
  ['src/library/events.ts', 'the time of an event, for a program'],
  ['src/library/load_config.ts', 'whether a host certificate is valid now, and for how long yet'],
  ['src/library/webhook_login.ts', 'until when an answer with a ttl holds'],
  ['src/load/run.ts', 'when a load test began, in its report'],
  ['src/master/admin/admin.ts', 'since when it serves, and of when a sample of its history is'],
  ['src/master/admin/feed.ts', 'the time of an event, for a reader'],
  ['src/master/host_keys.ts', 'whether a half-written file in the folder of keys is an old one, by its date'],
  ['src/master/metrics.ts', 'the time of the start, for Prometheus'],
  ['src/worker/expiry.ts', 'whether a session is past the end that its key or certificate names'],
  ['src/worker/story.ts', 'since when a connection is open, for an operator'],
  // src/master/event_log.ts: pino writes the time of a line
]);

t.test('nobody asks for the wall clock but where a date is written or read', async (t) => {
  const asks = /\bDate\.now\b|\bnew Date\(\)|(?<!new )\bDate\(|process\.hrtime\(\)/;
  const found = readdirSync(join(projectRoot, 'src'), { recursive: true, encoding: 'utf8' })
    .map((name) => `src/${name}`)
    .filter((path) => path.endsWith('.ts') && asks.test(readFileSync(join(projectRoot, path), 'utf8')));
  t.same(found.sort(), [...ASKERS.keys()]);
});
