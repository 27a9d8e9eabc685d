/** HANDOFF: what the process that accepts pays for each connection before a worker has it. */
import { LoadPool } from '../support/load_pool.js';
import { sharesAtRest, spent } from '../support/process_shares.js';
import type { Bench, Cell, RunningServer, Sample, Scenario } from '../types.js';

interface HandoffCell extends Cell {
  readonly visit: 'ident' | 'login';
  readonly count: number;
}

export const handoff: Scenario<HandoffCell> = {
  name: 'handoff',
  about:
    'Connections that exchange identification lines and leave, and connections that log in and leave: CPU time of the ' +
    'primary for each. Every visitor waits for the server’s line.',
  metrics: [
    { name: 'primaryMicrosPerConnection', unit: 'us', higherIsBetter: false, headline: true },
    { name: 'workersMicrosPerConnection', unit: 'us', higherIsBetter: false },
  ],
  peers: ['sallyport'],

  // A process' CPU time is told in steps of 10 ms: 5,000 connections of 80 us are 40 of them.
  cells: (quick) => [
    { id: 'ident and away', visit: 'ident', count: quick ? 50 : 5_000 },
    { id: 'login and away', visit: 'login', count: quick ? 20 : 3_000 },
  ],

  measure: (server, cell, bench) => measureHandoff(server, cell, bench),
};

const CONCURRENCY = 16;

async function measureHandoff(server: RunningServer, cell: HandoffCell, bench: Bench): Promise<Sample> {
  const load = new LoadPool(server, bench);
  const visits = (count: number): Promise<number[]> =>
    cell.visit === 'ident'
      ? load.visits({ count, concurrency: CONCURRENCY })
      : load.logins({ count, concurrency: CONCURRENCY });
  try {
    await visits(Math.ceil(cell.count / 10)); // warm-up
    const before = await sharesAtRest(server);
    await visits(cell.count);
    const { primarySeconds, workersSeconds } = spent(before, await sharesAtRest(server, before));
    return {
      primaryMicrosPerConnection: (primarySeconds * 1e6) / cell.count,
      workersMicrosPerConnection: (workersSeconds * 1e6) / cell.count,
    };
  } finally {
    await load.stop();
  }
}
