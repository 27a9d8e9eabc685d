/** LOOKS: what it costs a server to be looked at, and whether its tunnels notice.
 *
 *    npm run build && node build/bench/admin/looks.js [--connections 18000] [--workers 2] [--rounds 3] [--seconds 5]
 *
 *  So many connections are held, logged in and idle. Then in turns, for some seconds each: nobody looks; one kind of look each second.
 *  A tunnel beside them sends a byte there and back every 2 ms. CPU is that of each process (a look's: what it took beyond the turn
 *  in which nobody looked, by the number of looks); the pause is the longest of its event loop in all rounds. Linux. */
import { setTimeout as delay } from 'node:timers/promises';
import { parseArgs } from 'node:util';
import { EchoTarget } from '../support/echo_target.js';
import { LoadPool } from '../support/load_pool.js';
import { type House, quantile, startHouse } from './house.js';

const { values } = parseArgs({
  options: {
    connections: { type: 'string', default: '18000' },
    workers: { type: 'string', default: '2' },
    rounds: { type: 'string', default: '3' },
    seconds: { type: 'string', default: '5' },
  },
});
const [connections, workers, rounds, seconds] = [
  Number(values.connections),
  Number(values.workers),
  Number(values.rounds),
  Number(values.seconds),
];

/** Paths that are asked for at once; none: nobody looks. */
const KINDS: ReadonlyMap<string, readonly string[]> = new Map([
  ['nobody', []],
  ['1,000 of them', ['/connections?limit=1000']],
  ['all of them', ['/connections?limit=20000']],
  ['a search in vain', ['/connections?search=nowhere.example']],
  ['the page', ['/status', '/workers', '/forwards', '/connections?limit=1000']],
  ['top', ['/status', '/workers', '/connections?limit=5000']],
]);

interface Seen {
  looks: number;
  bytes: number;
  slowestMs: number;
  readonly cpuMs: { primary: number; worker: number };
  readonly pauseMs: { primary: number; worker: number };
  readonly echoesMs: number[];
}

const house = await startHouse(workers);
const load = new LoadPool(house.server, house.bench);
const echo = await EchoTarget.listen();
try {
  await load.logins({ count: 64, concurrency: 4 });
  await load.hold({ count: connections, concurrency: 8 });
  await delay(3_000);
  const seen = new Map([...KINDS.keys()].map((kind) => [kind, none()] as const));
  for (let round = 0; round < rounds; round++)
    for (const [kind, paths] of KINDS) await turn(house, paths, seen.get(kind) ?? none());
  print([
    'look',
    'KiB',
    'slowest ms',
    'primary ms',
    'workers ms',
    'pause primary',
    'worker',
    'echo p50 us',
    'p99',
    'max',
  ]);
  const rest = seen.get('nobody') ?? none();
  for (const [kind, one] of seen) print(row(kind, one, rest));
} catch (error) {
  console.error(house.lastWords());
  throw error;
} finally {
  echo.close();
  await load.stop();
  await house.stop();
}

async function turn(house: House, paths: readonly string[], seen: Seen): Promise<void> {
  await delay(500);
  await house.readings();
  const echoing = load.echoes(echo.port, seconds * 1_000, 2);
  echoing.catch(() => {}); // a fault is thrown where it is awaited, and must not end the run before
  const endMs = performance.now() + seconds * 1_000 - 300;
  while (performance.now() < endMs) {
    const pause = delay(1_000);
    const startedMs = performance.now();
    const answers = await Promise.all(paths.map((path) => house.get(`/api/v1${path}`)));
    if (paths.length > 0) {
      seen.looks++;
      seen.bytes = answers.reduce((sum, { length }) => sum + length, 0);
      seen.slowestMs = Math.max(seen.slowestMs, performance.now() - startedMs);
    }
    await pause;
  }
  seen.echoesMs.push(...(await echoing));
  for (const { is, cpuMs, longestMs } of await house.readings()) {
    seen.cpuMs[is] += cpuMs;
    seen.pauseMs[is] = Math.max(seen.pauseMs[is], longestMs);
  }
}

function none(): Seen {
  return {
    ...{ looks: 0, bytes: 0, slowestMs: 0, echoesMs: [] },
    ...{ cpuMs: { primary: 0, worker: 0 }, pauseMs: { primary: 0, worker: 0 } },
  };
}

function row(kind: string, { looks, bytes, slowestMs, cpuMs, pauseMs, echoesMs }: Seen, rest: Seen): readonly string[] {
  const each = (is: 'primary' | 'worker'): string =>
    looks === 0 ? '-' : ((cpuMs[is] - rest.cpuMs[is]) / looks).toFixed(1);
  const sorted = echoesMs.toSorted((a, b) => a - b);
  const us = (part: number): string => (quantile(sorted, part) * 1_000).toFixed(0);
  return [
    ...[kind, (bytes / 1_024).toFixed(0), slowestMs.toFixed(0), each('primary'), each('worker')],
    ...[pauseMs.primary.toFixed(1), pauseMs.worker.toFixed(1), us(0.5), us(0.99), us(1)],
  ];
}

function print(columns: readonly string[]): void {
  console.log(`| ${columns.join(' | ')} |`);
}
