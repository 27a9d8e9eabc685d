/** FLOOD: what a flood of connections that never log in costs the server, and what it costs those who do log in meanwhile.
 *
 *    npm run build && node build/bench/hostile/flood.js [--seconds 30] [--rate 1000] [--workers 1] [--kinds close,hold,kex,pq]
 *
 *  Each cell has a server of its own with the default limits and penalties (exempt is 127.0.0.1 alone). Logins are tried
 *  all the while: from an exempt address, from one that has logged in before the flood, and from ever new ones. CPU is that of
 *  all the server's processes, those logins included; the cell `none` has the logins alone. Linux. */
import { fork } from 'node:child_process';
import { once } from 'node:events';
import { setTimeout as delay } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { cpuSeconds, ownCpuSeconds } from '../support/process_tree.js';
import { type Endpoint, logIn, startEndpoint } from './endpoint.js';
import type { FloodKind, FloodReport, FloodSources } from './flood_load.js';

const EXEMPT = '127.0.0.1';
const KNOWN = '127.0.0.9';
/** Logins of each sort a second, at most. */
const LOGINS_PER_SECOND = 5;

interface Cell {
  readonly kind: FloodKind | 'none';
  readonly sources: FloodSources | '-';
}

interface Tally {
  tried: number;
  ok: number;
  slowestMs: number;
}

const { values } = parseArgs({
  options: {
    seconds: { type: 'string', default: '30' },
    rate: { type: 'string', default: '1000' },
    workers: { type: 'string', default: '1' },
    kinds: { type: 'string', default: 'close,hold,kex,pq' },
    sources: { type: 'string', default: 'one,many,new' },
  },
});

const seconds = Number(values.seconds);
const cells: Cell[] = [{ kind: 'none', sources: '-' }];
for (const kind of ['close', 'hold', 'kex', 'pq'] as const)
  for (const sources of ['one', 'many', 'new'] as const)
    if (values.kinds.split(',').includes(kind) && values.sources.split(',').includes(sources))
      cells.push({ kind, sources });

print(['flood', 'from', 'made/s', 'primary', 'all', 'exempt', 'known', 'new', 'slowest ms', 'refused', 'log lines']);
for (const cell of cells) print(await measure(cell));

async function measure({ kind, sources }: Cell): Promise<readonly string[]> {
  const endpoint = await startEndpoint({ workers: Number(values.workers), penalties: { exempt: [EXEMPT] } });
  try {
    await warmUp(endpoint);
    const before = [ownCpuSeconds(endpoint.pid), cpuSeconds([endpoint.pid])] as const;
    const startedMs = performance.now();
    const tallies = logins(endpoint, startedMs + seconds * 1_000);
    const report = kind === 'none' ? { made: 0, failed: 0 } : await flood(endpoint.port, kind, sources);
    const [exempt, known, fresh] = await tallies;
    const tookSeconds = (performance.now() - startedMs) / 1_000;
    const cores = (after: number, start: number): string => ((after - start) / tookSeconds).toFixed(2);
    const primary = cores(ownCpuSeconds(endpoint.pid), before[0]);
    const all = cores(cpuSeconds([endpoint.pid]), before[1]);
    await delay(1_500); // the log's last numbers
    const { refused, lines } = endpoint.log;
    return [
      ...[kind, sources, ((report.made - report.failed) / tookSeconds).toFixed(0), primary, all],
      ...[exempt, known, fresh].map(({ ok, tried }) => `${ok}/${tried}`),
      Math.max(exempt.slowestMs, known.slowestMs).toFixed(0),
      [...refused].map(([reason, count]) => `${reason} ${count}`).join(', ') || '-',
      String(lines),
    ];
  } finally {
    await endpoint.stop();
  }
}

/** The first logins of a worker are those that V8 compiles. */
async function warmUp(endpoint: Endpoint): Promise<void> {
  for (let count = 0; count < 300; count++) await logIn(endpoint, EXEMPT);
  if ((await logIn(endpoint, KNOWN)) === undefined) throw new Error('the first login from an address failed');
}

async function flood(port: number, kind: FloodKind, sources: FloodSources | '-'): Promise<FloodReport> {
  const file = fileURLToPath(new URL('./flood_load.js', import.meta.url));
  const child = fork(file, [String(port), kind, sources, values.rate, values.seconds], {
    stdio: ['ignore', 'pipe', 'inherit', 'ipc'],
  });
  let text = '';
  child.stdout?.setEncoding('utf8').on('data', (more: string) => {
    text += more;
  });
  await once(child, 'close');
  return JSON.parse(text);
}

/** Each sort by itself, one after the other: a client that waits does not come twice. */
async function logins(endpoint: Endpoint, untilMs: number): Promise<readonly [Tally, Tally, Tally]> {
  return await Promise.all([
    oneAfterAnother(endpoint, untilMs, () => EXEMPT),
    oneAfterAnother(endpoint, untilMs, () => KNOWN),
    oneAfterAnother(endpoint, untilMs, (round) => `127.3.${(round >> 8) & 0xff}.${round & 0xff}`),
  ]);
}

async function oneAfterAnother(
  endpoint: Endpoint,
  untilMs: number,
  sourceOf: (round: number) => string,
): Promise<Tally> {
  const tally = { tried: 0, ok: 0, slowestMs: 0 };
  while (performance.now() < untilMs) {
    const pause = delay(1_000 / LOGINS_PER_SECOND);
    const ms = await logIn(endpoint, sourceOf(tally.tried++));
    if (ms !== undefined) {
      tally.ok++;
      tally.slowestMs = Math.max(tally.slowestMs, ms);
    }
    await pause;
  }
  return tally;
}

function print(columns: readonly string[]): void {
  const widths = [6, 5, 7, 8, 5, 8, 8, 8, 10, 0, 0];
  console.log(columns.map((text, index) => text.padEnd(widths[index] ?? 0)).join('  '));
}
