/** A43: the wall clock jumps by ten years, forwards and back, in the primary and in every worker. No connection ends, no
 *  deadline comes early or never, logins go on. A suspend and an NTP step are the same to a process: CLOCK_REALTIME moves,
 *  CLOCK_MONOTONIC, by which every timer of Node's and every duration here is measured, goes on (or stands still with the
 *  machine). The clock of the test machine stays what it is: `Date` is exchanged in the processes alone, since nothing else
 *  in them tells the wall clock, which the second test looks after: only dates that a user has written need it. */
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import { MSG, message } from '../../src/shared/protocol.js';
import { hostile } from '../support/hostile.js';
import { projectRoot } from '../support/paths.js';
import { dataMessage, openDirectChannel, passwordRequest, type RawClient } from '../support/raw_client.js';

/** A module that moves `Date` by ten years at each SIGWINCH: first forwards, then twice as much back, and so on. */
const JUMPING = `
const Real = Date, YEARS = 10 * 365.25 * 86400e3;
let shift = 0;
globalThis.Date = class extends Real {
  constructor(...args) { args.length === 0 ? super(Real.now() + shift) : super(...args); }
  static now() { return Real.now() + shift; }
};
process.on('SIGWINCH', () => { shift = shift > 0 ? -YEARS : YEARS; });
`;
const YEAR_MS = 365.25 * 86_400_000;
const env = { NODE_OPTIONS: `--import=data:text/javascript,${encodeURIComponent(JUMPING)}` };

async function echoes(client: RawClient, channel: Awaited<ReturnType<typeof openDirectChannel>>): Promise<string> {
  client.send(dataMessage(channel, 'still here'));
  return String((await client.take(MSG.CHANNEL_DATA)).subarray(9));
}

hostile(
  t,
  'A43',
  'the clock jumps by ten years, forwards and back',
  { env, config: { timeouts: { drain: '2s', keepalive: '1s', keepaliveCount: 100 }, auth: { loginGraceTime: '10m' } } },
  async (t, { server, login, stranger, echoPort }) => {
    const before = await login();
    const channel = await openDirectChannel(before, echoPort);
    const underWay = stranger();
    await underWay.ready;
    underWay.send(message(MSG.SERVICE_REQUEST, 'ssh-userauth'));
    await underWay.take(MSG.SERVICE_ACCEPT);
    const from = server.events.mark();
    for (const [jump, years] of [10, -10].entries()) {
      for (const pid of [server.pid, ...server.workerPids]) process.kill(pid, 'SIGWINCH');
      const reloaded = await server.reload({ ...server.config, limits: { connections: 100 + jump } });
      const off = (Date.parse(String(reloaded.time)) - Date.now()) / YEAR_MS;
      t.equal(Math.round(off), years, `the log is ${years} years off`);
      t.equal(await echoes(before, channel), 'still here');
      const client = await login();
      await client.take(MSG.GLOBAL_REQUEST); // a keepalive: its timer goes on
      t.equal(await echoes(client, await openDirectChannel(client, echoPort)), 'still here');
    }
    underWay.send(passwordRequest('nobody', 'wrong'));
    await underWay.take(MSG.USERAUTH_FAILURE);
    t.same(server.events.list('connection.closed', {}, from), []);
    const opened = server.events.list('channel.opened', {}, from);
    t.ok(opened.length >= 2);
    await before.roundTrip();
    before.socket.end();
    const closed = await server.events.wait('connection.closed', { user: 'alice' }, from);
    t.ok(Number(closed.durationMs) < 600_000, 'nor does a duration know of it');
  },
);

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
