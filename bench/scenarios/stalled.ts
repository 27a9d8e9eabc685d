/** STALLED: memory of a server whose peers ask for everything and read nothing. It has to stay flat. */
import { setTimeout as delay } from 'node:timers/promises';
import { MAX_WINDOW_BYTES } from '../../src/load/client.js';
import { percentile } from '../../src/load/percentiles.js';
import { EchoTarget } from '../support/echo_target.js';
import { LoadPool } from '../support/load_pool.js';
import { OfferingTarget } from '../support/offering_target.js';
import { pssBytes } from '../support/process_tree.js';
import { atRest, restingPssBytes } from '../support/rest.js';
import { type Bench, type Cell, type RunningServer, type Sample, type Scenario, VerificationFailed } from '../types.js';

interface StalledCell extends Cell {
  readonly readers: number;
  /** null: what a client announces by itself. */
  readonly windowBytes: number | null;
}

const MIB = 1024 * 1024;
/** Node stops to read from a paused socket when the next piece has come, and a piece is this at most. */
const LAST_READ_BYTES = 64 * 1024;
/** More than all socket buffers on the way and OpenSSH's 16 MiB a channel hold; 200 times that still leaves the machine alive. */
const OFFERED_BYTES = 24 * MIB;
const LOOKS = 10;
const LOOK_EVERY_MS = 1_000;
const QUICK_LOOK_EVERY_MS = 100;
const ECHO_EVERY_MS = 20;
const ECHO_AT_REST_MS = 3_000;
const WARM_UP = { count: 64, concurrency: 4 } as const;

export const stalled: Scenario<StalledCell> = {
  name: 'stalled',
  about:
    'A target offers 24 MiB through a tunnel of each of many connections whose clients have stopped reading from their TCP ' +
    'sockets. Memory of the server over 10 s; a bystander has one byte echoed meanwhile, and again when all buffers on the ' +
    'way are full and the server rests. Each tunnel must have carried something and must stand at the end, and no client ' +
    'may have read.',
  metrics: [
    { name: 'growthMiB', unit: 'MiB', higherIsBetter: false, headline: true },
    { name: 'driftMiB', unit: 'MiB', higherIsBetter: false },
    { name: 'bystanderP99Ms', unit: 'ms', higherIsBetter: false },
    { name: 'bystanderAtRestP99Ms', unit: 'ms', higherIsBetter: false },
  ],
  freshServer: true,

  // A process of OpenSSH that fills a channel's buffer is busy all the time: 200 of them kept both cores for more than two
  // minutes, and a bystander's echo did not come in 30 s. Servers of that kind get 20 readers.
  cells: (quick) => {
    const normal = { id: 'normal windows', readers: quick ? 10 : 200, windowBytes: null };
    const wide = { id: 'windows of 4 GiB announced', readers: quick ? 10 : 200, windowBytes: MAX_WINDOW_BYTES };
    if (quick) return [normal, wide];
    return [
      normal,
      { ...wide, needs: ['shared-process'] },
      { ...wide, id: `${wide.id}, 20 readers`, readers: 20 },
      { ...wide, id: `${wide.id}, 1000 readers`, readers: 1_000, needs: ['shared-process'] },
    ];
  },

  measure: (server, cell, bench) => measureStalled(server, cell, bench),
};

async function measureStalled(server: RunningServer, cell: StalledCell, bench: Bench): Promise<Sample> {
  const everyMs = bench.quick ? QUICK_LOOK_EVERY_MS : LOOK_EVERY_MS;
  const [offering, echo] = await Promise.all([OfferingTarget.listen(OFFERED_BYTES), EchoTarget.listen()]);
  const load = new LoadPool(server, bench);
  try {
    await load.logins(WARM_UP);
    await atRest(server.roots);
    await load.hold({ count: cell.readers, concurrency: 4 });
    const before = await restingPssBytes(server.roots, bench.quick);
    await load.stall(offering.port, cell.windowBytes);
    await offering.reached(cell.readers);
    const readBefore = await load.bytesRead();
    const [looks, ms] = await Promise.all([
      looksAt(server.roots, everyMs),
      load.echoes(echo.port, LOOKS * everyMs, ECHO_EVERY_MS),
    ]);
    if (!bench.quick) await atRest(server.roots);
    const atRestMs = await load.echoes(echo.port, bench.quick ? QUICK_LOOK_EVERY_MS : ECHO_AT_REST_MS, ECHO_EVERY_MS);
    requireStalled(cell.readers, offering.taken, (await load.bytesRead()) - readBefore);
    return {
      growthMiB: (Math.max(...looks) - before) / MIB,
      driftMiB: ((looks.at(-1) ?? 0) - (looks[LOOKS / 2 - 1] ?? 0)) / MIB,
      bystanderP99Ms: percentile(ms, 99),
      bystanderAtRestP99Ms: percentile(atRestMs, 99),
    };
  } finally {
    await load.stop();
    offering.close();
    echo.close();
  }
}

async function looksAt(roots: readonly number[], everyMs: number): Promise<number[]> {
  const looks: number[] = [];
  while (looks.length < LOOKS) {
    await delay(everyMs);
    looks.push(pssBytes(roots));
  }
  return looks;
}

/** @throws VerificationFailed when the readers were not what the scenario says they are */
function requireStalled(readers: number, taken: readonly number[], bytesRead: number): void {
  if (taken.length !== readers)
    throw new VerificationFailed(`${readers} tunnels were to stand, ${taken.length} did at the end`);
  const empty = taken.filter((bytes) => bytes === 0).length;
  if (empty > 0) throw new VerificationFailed(`${empty} of ${readers} tunnels have carried nothing`);
  if (bytesRead > readers * LAST_READ_BYTES)
    throw new VerificationFailed(`clients that were not to read have read ${bytesRead} bytes`);
}
