/** A43: the wall clock jumps by ten years, forwards and back, in the primary and in every worker. No connection ends, no
 *  deadline comes early or never, logins go on. A suspend and an NTP step are the same to a process: CLOCK_REALTIME moves,
 *  CLOCK_MONOTONIC, by which every timer of Node's and every duration here is measured, goes on (or stands still with the
 *  machine). The clock of the test machine stays what it is: `Date` is exchanged in the processes alone, since nothing else
 *  in them tells the wall clock, which wall_clock.test.ts looks after: only dates that a user has written need it. */
import t from 'tap';
import { MSG, message } from '../../src/shared/protocol.js';
import { hostile } from '../support/hostile.js';
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
