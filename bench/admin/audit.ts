/** AUDIT: what `log.audit` costs under a flood of opens, and whether each of its lines is written or counted as lost.
 *
 *    npm run build && node build/bench/admin/audit.js [--workers 1] [--rounds 5] [--logins 60] [--concurrency 64]
 *
 *  Tunnels are opened, have a byte echoed and are closed, as fast as it goes, on 16 connections; beside them one login comes after the
 *  other. In turns with the audit and without it, in one server, by a reload: the ratio of one pair of turns holds where the figures
 *  drift. Each channel is two lines, `channel.opened` and `channel.closed`. Linux. */
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { parseArgs } from 'node:util';
import { EchoTarget } from '../support/echo_target.js';
import { LoadPool } from '../support/load_pool.js';
import { linesIn, type Part, quantile, startHouse } from './house.js';

const { values } = parseArgs({
  options: {
    workers: { type: 'string', default: '1' },
    rounds: { type: 'string', default: '5' },
    logins: { type: 'string', default: '60' },
    concurrency: { type: 'string', default: '64' },
  },
});
const [workers, rounds, logins, concurrency] = [
  Number(values.workers),
  Number(values.rounds),
  Number(values.logins),
  Number(values.concurrency),
];

/** Opens of one order; the flood ends with the one under way. */
const CHUNK = 1_000;

interface Turn {
  readonly opensPerSecond: number;
  readonly loginMs: { readonly p50: number; readonly p99: number };
  readonly cpuMsPerOpen: { readonly primary: number; readonly worker: number };
  readonly pauseMs: number;
}

const house = await startHouse(workers);
const [flood, guests] = [new LoadPool(house.server, house.bench), new LoadPool(house.server, house.bench)];
const echo = await EchoTarget.listen();
const file = join(house.dir, 'audit.log');
try {
  await guests.logins({ count: 300, concurrency: 4 });
  await flood.hold({ count: 16, concurrency: 4 });
  await flood.opens({ count: 4 * CHUNK, concurrency }, echo.port);
  let made = 0;
  const turn = async (audit: string | null): Promise<Turn> => {
    await house.reload({ log: { level: 'info', ...(audit === null ? {} : { audit }) } });
    await house.readings();
    const before = made;
    const startedMs = performance.now();
    const asked = guests.logins({ count: logins, concurrency: 1 });
    let isOver = false;
    const over = (): void => {
      isOver = true;
    };
    asked.then(over, over); // a fault is thrown where it is awaited
    while (!isOver) made += (await flood.opens({ count: CHUNK, concurrency }, echo.port)).length;
    const tookSeconds = (performance.now() - startedMs) / 1_000;
    const opens = made - before;
    const parts = await house.readings();
    await delay(2_000); // lines on their way
    if (audit === null) made = before; // nobody writes those down
    const ms = (await asked).toSorted((a, b) => a - b);
    return {
      opensPerSecond: opens / tookSeconds,
      loginMs: { p50: quantile(ms, 0.5), p99: quantile(ms, 0.99) },
      cpuMsPerOpen: { primary: cpuMs(parts, 'primary') / opens, worker: cpuMs(parts, 'worker') / opens },
      pauseMs: Math.max(...parts.filter(({ is }) => is === 'primary').map(({ longestMs }) => longestMs)),
    };
  };
  print(['audit', 'opens/s', 'login p50 ms', 'p99', 'primary us/open', 'workers us/open', 'pause of the primary ms']);
  for (let round = 0; round < rounds; round++) {
    const pair: [string, Turn][] = [];
    // Each round begins with the other one.
    for (const audit of round % 2 === 0 ? [null, file] : [file, null])
      pair.push([audit === null ? 'off' : 'on', await turn(audit)]);
    for (const [name, one] of pair) print([name, ...row(one)]);
    const [on, off] = ['on', 'off'].map((name) => pair.find(([which]) => which === name)?.[1]);
    if (on !== undefined && off !== undefined)
      print(
        [
          'ratio',
          ...[
            on.opensPerSecond / off.opensPerSecond,
            on.loginMs.p50 / off.loginMs.p50,
            on.loginMs.p99 / off.loginMs.p99,
          ],
          ...[on.cpuMsPerOpen.primary / off.cpuMsPerOpen.primary, on.cpuMsPerOpen.worker / off.cpuMsPerOpen.worker],
        ].map((cell) => (typeof cell === 'number' ? cell.toFixed(2) : cell)),
      );
  }
  const metrics = await house.get('/metrics');
  const count = (series: string): number =>
    Number(
      metrics
        .split('\n')
        .find((line) => line.startsWith(`${series} `))
        ?.split(' ')[1] ?? Number.NaN,
    );
  const written = linesIn(file, '"event":"channel.');
  const lost = count('sallyport_log_lines_lost_total{file="audit"}');
  const untold = count('sallyport_events_lost_total');
  console.log(`${made} channels, so ${2 * made} lines: ${written} written, ${lost} lost, ${untold} events lost before`);
} catch (error) {
  console.error(house.lastWords());
  throw error;
} finally {
  echo.close();
  await Promise.all([flood.stop(), guests.stop()]);
  await house.stop();
}

function cpuMs(parts: readonly Part[], which: Part['is']): number {
  return parts.filter(({ is }) => is === which).reduce((sum, part) => sum + part.cpuMs, 0);
}

function row({ opensPerSecond, loginMs, cpuMsPerOpen, pauseMs }: Turn): readonly string[] {
  return [
    ...[opensPerSecond.toFixed(0), loginMs.p50.toFixed(1), loginMs.p99.toFixed(1)],
    ...[(cpuMsPerOpen.primary * 1_000).toFixed(0), (cpuMsPerOpen.worker * 1_000).toFixed(0), pauseMs.toFixed(1)],
  ];
}

function print(columns: readonly string[]): void {
  console.log(`| ${columns.join(' | ')} |`);
}
