/** IDLE: memory of a connection that is logged in and does nothing. */
import { LoadPool } from '../support/load_pool.js';
import { requireOpenFiles } from '../support/open_files.js';
import { pssBytes } from '../support/process_tree.js';
import { atRest, restingPssBytes } from '../support/rest.js';
import type { Bench, Cell, RunningServer, Sample, Scenario } from '../types.js';

interface IdleCell extends Cell {
  readonly connections: number;
}

const KIB = 1024;
/** Before the first look: what a server loads and compiles at its first logins is not the next one's cost. */
const WARM_UP = { count: 64, concurrency: 4 } as const;

export const idle: Scenario<IdleCell> = {
  name: 'idle',
  about:
    'Connections log in and stay, without a channel. Memory of the server (PSS: shared pages in shares) before and after, ' +
    'each when it stands still, divided by their number. All of them must end when they are told to.',
  metrics: [{ name: 'pssKiBPerConnection', unit: 'KiB', higherIsBetter: false, headline: true }],
  freshServer: true,

  cells: (quick) =>
    quick
      ? [{ id: '20 held', connections: 20 }]
      : [
          { id: '1,000 held', connections: 1_000 },
          { id: '2,000 held', connections: 2_000 },
          { id: '10,000 held', connections: 10_000, needs: ['shared-process'] },
        ],

  measure: (server, cell, bench) => measureIdle(server, cell, bench),
};

async function measureIdle(server: RunningServer, { connections }: IdleCell, bench: Bench): Promise<Sample> {
  requireOpenFiles(connections);
  const load = new LoadPool(server, bench);
  try {
    await load.logins(WARM_UP);
    const empty = await atRest(server.roots);
    const before = await restingPssBytes(server.roots, bench.quick);
    await load.hold({ count: connections, concurrency: 4 });
    const after = await restingPssBytes(server.roots, bench.quick);
    // It throws for a connection that was lost while it was held.
    await load.release();
    await atRest(server.roots, empty);
    bench.progress(
      `idle: ${mib(before)} MiB before, ${mib(after)} with them, ${mib(pssBytes(server.roots))} behind them`,
    );
    return { pssKiBPerConnection: (after - before) / KIB / connections };
  } finally {
    await load.stop();
  }
}

function mib(bytes: number): string {
  return (bytes / KIB / KIB).toFixed(1);
}
