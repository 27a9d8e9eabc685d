/** One primary takes another's place, both in this process, with workers that speak lines: what it knows of the workers that
 *  come over, and from when on. */
import t, { type Test } from 'tap';
import {
  type FakePeer,
  startPrimaryUnderTest,
  type UnderTest,
  type UnderTestOptions,
} from '../support/primary_under_test.js';
import { tempDir } from '../support/temp.js';

const OK = '{"ok":true,"port":0}';
const GRANTED = '{"ok":true,"port":4712}';
const TAKEN = '{"ok":false,"reason":"TAKEN"}';
const LIMIT = '{"ok":false,"reason":"LIMIT"}';

/** Nothing here waits for time. */
const PATIENT = { muster: { releasedMs: 60_000 } } as const;

/** Its worker has come to another primary, whose settings it is told. */
async function hasMoved(t: Test, peer: FakePeer): Promise<void> {
  t.match(await peer.line(), /^reload /);
}

async function servers(t: Test, config: UnderTestOptions['config'] = {}) {
  const shared = { stateDir: tempDir(t), workers: 1, ...config };
  const first = await startPrimaryUnderTest(t, { config: shared, workersOutlive: true });
  const next = (options: Pick<UnderTestOptions, 'config' | 'timing'> = {}): Promise<UnderTest> =>
    startPrimaryUnderTest(t, {
      timing: options.timing ?? PATIENT,
      config: { ...shared, ...options.config },
      workersOutlive: true,
      takeover: true,
    });
  return { first, next };
}

t.test('nothing is granted that a worker may hold which has not reported yet', async (t) => {
  const { first, next } = await servers(t);
  const old = await first.connect();
  await old.worker();
  t.equal(await old.ask('login alice 5'), OK);
  t.equal(await old.ask('lease alice 5 4712'), GRANTED);
  const pid = first.pidOf(1);
  process.kill(pid, 'SIGSTOP');
  const second = await next();
  const [one, two] = [await second.connect(), await second.connect()];
  for (const peer of [one, two]) await peer.worker();
  const asked = [one.ask('lease bob 5 4712'), two.ask('login alice 1')];
  process.kill(pid, 'SIGCONT');
  t.same(await Promise.all(asked), [TAKEN, LIMIT]);
  t.match(second.heard.list('worker.adopted'), [{ connections: 1, forwards: 1 }]);
  t.equal(await one.ask('login alice 2'), OK, 'from then on it is answered at once');
});

t.test(
  'who reports too late finds that its port was granted once more: both are counted until they let go',
  async (t) => {
    const { first, next } = await servers(t);
    const old = await first.connect();
    await old.worker();
    await old.ask('login alice 5');
    await old.ask('lease alice 5 4712');
    const pid = first.pidOf(1);
    process.kill(pid, 'SIGSTOP');
    const second = await next({ timing: { muster: { releasedMs: 1 } } });
    const [bob, carol] = [await second.connect(), await second.connect()];
    for (const peer of [bob, carol]) await peer.worker();
    t.equal(await bob.ask('lease bob 5 4712'), GRANTED);
    process.kill(pid, 'SIGCONT');
    const told = await second.heard.until(
      () => second.heard.texts.find((text) => text.includes('granted once more')),
      'the conflict',
    );
    t.match(told, `port 4712 was granted once more before process ${pid} came with it: it is free again when alice (`);
    await hasMoved(t, old);
    t.equal(await old.ask('release 4712'), 'released');
    t.equal(await old.ask('lease alice 1 4713'), '{"ok":true,"port":4713}', 'it is not counted for her any more');
    t.equal(await carol.ask('lease carol 5 4712'), TAKEN, 'bob has it still');
    t.equal(await bob.ask('release 4712'), 'released');
    t.equal(await carol.ask('lease carol 5 4712'), GRANTED);
  },
);

t.test('what a client asks while its worker has no primary is answered by the next one', async (t) => {
  const { first, next } = await servers(t);
  const [old, other] = [await first.connect(), await first.connect()];
  for (const peer of [old, other]) await peer.worker();
  t.equal(await other.ask('login bob 5'), OK);
  t.equal(await other.ask('lease bob 5 4712'), GRANTED);
  const pid = first.pidOf(1);
  process.kill(pid, 'SIGSTOP');
  const moved = [old.ask('lease alice 5 4713'), other.ask('lease bob 5 4712')];
  const second = await next();
  process.kill(pid, 'SIGCONT');
  t.match(await Promise.all(moved), [/^reload /, /^reload /]);
  t.equal(await old.line(), '{"ok":true,"port":4713}');
  t.equal(await other.line(), TAKEN, 'by one that knows what is held');
  t.match(second.heard.list('worker.adopted'), [{ pid }]);
});

t.test('connections that come over count for the sources that they are from', async (t) => {
  const { first, next } = await servers(t, { penalties: { exempt: [] }, limits: { startupsPerSource: 1 } });
  const stranger = await first.connect();
  await stranger.worker();
  const second = await next();
  await second.heard.wait('worker.adopted');
  t.match(second.primary.status(), { known: 0, unauthenticated: 1 });
  const refused = await second.connect();
  t.match(await refused.line(), /^Exceeded MaxStartups/);
  t.match(await second.heard.wait('connection.refused'), { reason: 'SOURCE_STARTUPS' });
  await hasMoved(t, stranger);
  t.equal(await stranger.ask('login alice 5'), OK);
  t.match(second.primary.status(), { known: 1, unauthenticated: 0 });
  const third = await next();
  await third.heard.wait('worker.adopted', ({ connections }) => connections === 1);
  t.match(third.primary.status(), { known: 1, unauthenticated: 0 }, 'who has logged in there is known here');
});

t.test('the workers that come over retire by the config of the server that takes them in', async (t) => {
  const { first, next } = await servers(t);
  const old = await first.connect();
  await old.worker();
  const pid = first.pidOf(1);
  const second = await next({ config: { timeouts: { retire: '1s', drain: '0s' } } });
  await hasMoved(t, old);
  t.equal(await old.line(), undefined, 'its connection is drained after that time');
  t.match(await second.heard.wait('worker.exited', (event) => event.pid === pid), { reason: 'DRAINED' });
});

t.test('one that has nothing left goes as soon as it has come', async (t) => {
  const { first, next } = await servers(t);
  const pid = first.pidOf(1);
  const second = await next();
  t.match(await second.heard.wait('worker.exited', (event) => event.pid === pid), { reason: 'DRAINED' });
});
