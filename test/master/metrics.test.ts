/** METRICS of the primary: what workers tell adds up, whoever dies or says nothing. */
import t, { type Test } from 'tap';
import { Metrics, type Standing } from '../../src/master/metrics.js';
import type { ToWorker, WorkerCounts } from '../../src/shared/ipc.js';
import { LoopLag } from '../../src/shared/loop_lag.js';
import { METRICS } from '../../src/shared/metrics.js';
import { FakeClock } from '../support/fake_clock.js';

const NOBODY: Standing = {
  ...{ connections: 0, waiting: 0, unauthenticated: 0, penalised: 0, workers: [] },
  refused: {
    AT_CAPACITY: 0,
    STARTUPS: 0,
    SOURCE_STARTUPS: 0,
    PENALTY: 0,
    NO_WORKER: 0,
    HANDOFF_FAILED: 0,
    DRAINING: 0,
  },
  linesLost: { log: 0, audit: 0 },
};

function room(standing: Partial<Standing> = {}) {
  const clock = new FakeClock();
  const told: [number, ToWorker][] = [];
  const metrics = new Metrics({
    clock,
    standing: () => ({ ...NOBODY, ...standing }),
    tell: (worker, message) => told.push([worker, message]),
    loopLag: new LoopLag(),
    ownLoops: true,
  });
  return { metrics, clock, told };
}

function counts(bytesIn: number, gauges: Readonly<Record<string, number>> = {}): WorkerCounts {
  return { counters: { 'sallyport_channel_bytes_total in': bytesIn }, histograms: {}, gauges };
}

async function turn(): Promise<void> {
  await new Promise((resolve) => setImmediate(resolve));
}

t.test('the numbers of a dead worker stay, what it had does not', async (t) => {
  const { metrics } = room();
  metrics.counted(1, { type: 'counted', count: null, counts: counts(10, { 'sallyport_channels direct-tcpip': 3 }) });
  metrics.counted(2, { type: 'counted', count: null, counts: counts(5, { 'sallyport_channels direct-tcpip': 4 }) });
  t.match(metrics.known(), { bytesIn: 15, channels: 7 });
  metrics.workerLost(1);
  t.match(metrics.known(), { bytesIn: 15, channels: 4 });
});

t.test('who asks gets what there is at this moment, of those that answer within a second', async (t) => {
  const { metrics, clock, told } = room();
  metrics.counted(1, { type: 'counted', count: null, counts: counts(1) });
  metrics.counted(2, { type: 'counted', count: null, counts: counts(2) });
  const first = metrics.totals();
  const second = metrics.totals();
  await turn();
  t.same(
    told,
    [1, 2].map((worker) => [worker, { type: 'count', count: 1 }]),
    'those who ask together ask once',
  );
  metrics.counted(2, { type: 'counted', count: null, counts: counts(10) });
  metrics.counted(1, { type: 'counted', count: 1, counts: counts(100) });
  const late = metrics.totals();
  await turn();
  t.equal(told.length, 2, 'the next round begins after this one');
  clock.advance(1_000);
  t.equal((await first).bytesIn, 113, 'worker 2 hangs: what it has told before counts');
  t.equal((await second).bytesIn, 113);
  await turn();
  t.equal(told.length, 4);
  metrics.counted(1, { type: 'counted', count: 2, counts: counts(0) });
  metrics.counted(2, { type: 'counted', count: 1, counts: counts(1_000) });
  metrics.workerLost(2);
  t.equal((await late).bytesIn, 1_113, 'an answer that came too late is counted, and a dead worker not waited for');
  t.equal(clock.pending, 0);
});

t.test('a worker of an earlier version, which would not understand, is not asked', async (t) => {
  const { metrics, told } = room();
  t.match(await metrics.totals(), { channels: 0, bytesIn: 0 });
  t.same(told, []);
});

t.test('a worker of a later version: what we know of it counts', async (t) => {
  const { metrics, clock } = room();
  const gauges = { 'sallyport_channels direct-tcpip': 1, sallyport_of_tomorrow: 1, sallyport_channels: 1 };
  metrics.counted(1, { type: 'counted', count: null, counts: { ...counts(1, gauges), ...{ more: [] } } });
  t.match(metrics.known(), { bytesIn: 1, channels: 1 });
  const text = metricsText(t, metrics);
  await turn();
  clock.advance(1_000);
  t.notMatch(await text, /tomorrow/);
});

t.test('every name of the list is there from the start, with its help and its type', async (t) => {
  const { metrics } = room();
  const text = await metricsText(t, metrics);
  for (const { name, type } of Object.values(METRICS)) t.match(text, `# TYPE ${name} ${type}\n`);
  t.match(text, /^sallyport_channel_bytes_total\{direction="in"\} 0$/m);
  t.match(text, /^sallyport_login_seconds_bucket\{le="\+Inf"\} 0$/m);
  t.match(text, /^sallyport_build_info\{version="\d+\.\d+\.\d+",node="v\d+\.\d+\.\d+"\} 1$/m);
});

t.test('the primary counts its own', async (t) => {
  const refused = { ...NOBODY.refused, STARTUPS: 4 };
  const worker = {
    id: 1,
    pid: 1,
    load: { connections: 0, channels: 0, bufferedBytes: 0, loopLagMs: 0 },
    silentMs: 0,
    upMs: 0,
  };
  const { metrics } = room({
    ...{ connections: 9, unauthenticated: 5, waiting: 2, penalised: 6, refused },
    workers: [{ ...worker, state: 'ready' }],
    linesLost: { log: 7, audit: 8 },
  });
  const conn = { conn: 1, peer: 'p' };
  metrics.event({ event: 'connection.accepted', ...conn, worker: 1 });
  metrics.event({ event: 'connection.refused', reason: 'STARTUPS', count: 4 });
  metrics.event({ event: 'source.penalised', source: 's', reason: 'NO_AUTH', durationMs: 1 });
  metrics.event({ event: 'worker.exited', worker: 1, pid: 1, reason: 'CRASHED', detail: '' });
  metrics.event({ event: 'worker.exited', worker: 1, pid: 1, reason: 'DRAINED', detail: '' });
  metrics.handedOver(3);
  metrics.loaded(20);
  metrics.eventsLost(11);
  metrics.workerStarted(true);
  const text = await metricsText(t, metrics);
  for (const line of [
    'sallyport_connections{state="waiting"} 2',
    'sallyport_connections{state="login"} 3',
    'sallyport_connections{state="open"} 4',
    'sallyport_connections_accepted_total 1',
    'sallyport_refusals_total{what="connection",reason="STARTUPS"} 4',
    'sallyport_penalties_total{reason="NO_AUTH"} 1',
    'sallyport_penalised_sources 6',
    'sallyport_worker_restarts_total{reason="CRASHED"} 1',
    'sallyport_workers{state="ready"} 1',
    'sallyport_handoff_seconds_bucket{le="0.0025"} 0',
    'sallyport_handoff_seconds_bucket{le="0.005"} 1',
    'sallyport_handoff_seconds_sum 0.003',
    'sallyport_handoff_seconds_count 1',
    'sallyport_event_loop_lag_seconds_count{process="worker"} 1',
    'sallyport_events_lost_total 11',
    'sallyport_log_lines_lost_total{file="log"} 7',
    'sallyport_log_lines_lost_total{file="audit"} 8',
    'sallyport_native_binding 1',
  ])
    t.ok(text.split('\n').includes(line), line);
  t.notMatch(text, /reason="DRAINED"/);
  t.same(metrics.known().refusals, [{ what: 'connection', reason: 'STARTUPS', count: 4 }]);
});

async function metricsText(t: Test, metrics: Metrics): Promise<string> {
  const { contentType, body } = await metrics.render();
  t.match(contentType, /^text\/plain; version=0\.0\.4/);
  return body;
}

t.test('a round that fails is the matter of those who had asked, and of nobody after them', async (t) => {
  const clock = new FakeClock();
  let fails = true;
  const metrics: Metrics = new Metrics({
    ...{ clock, standing: () => NOBODY, loopLag: new LoopLag(), ownLoops: true },
    tell(worker, message) {
      if (fails) throw new Error('no channel');
      if (message.type === 'count')
        metrics.counted(worker, { type: 'counted', count: message.count, counts: counts(5) });
    },
  });
  metrics.counted(1, { type: 'counted', count: null, counts: counts(1) });
  await t.rejects(metrics.totals(), /no channel/);
  fails = false;
  t.equal((await metrics.totals()).bytesIn, 6);
});
