/** SCALE: what a second worker brings, and what the process costs that hands connections to them. */
import { LoadPool } from '../support/load_pool.js';
import { sharesAtRest, spent } from '../support/process_shares.js';
import type { Bench, Cell, RunningServer, Sample, Scenario } from '../types.js';

interface ScaleCell extends Cell {
  readonly workers: number;
  readonly logins: number;
}

export const scale: Scenario<ScaleCell> = {
  name: 'scale',
  about:
    'As many logins for each worker, 16 at a time, on a server with one and with two, all warm. Logins per CPU-second of the ' +
    'workers must stay what they were; per second of wall time they can only grow where the clients leave a core free.',
  metrics: [
    { name: 'loginsPerWorkerCpuSecond', unit: '1/s', higherIsBetter: true, headline: true },
    { name: 'loginsPerSecond', unit: '1/s', higherIsBetter: true },
    { name: 'primaryPercentOfWorkers', unit: '%', higherIsBetter: false, headline: true },
  ],
  peers: ['sallyport'],

  cells: (quick) =>
    [1, 2].map((workers) => ({
      id: workers === 1 ? '1 worker' : `${workers} workers`,
      workers,
      logins: (quick ? 20 : 2_000) * workers,
    })),

  measure: (server, cell, bench) => measureScale(server, cell, bench),
};

const CONCURRENCY = 16;

async function measureScale(server: RunningServer, { logins }: ScaleCell, bench: Bench): Promise<Sample> {
  const load = new LoadPool(server, bench);
  try {
    // As many again: a worker's code is compiled by its own logins, and each has half of them where there are two.
    await load.logins({ count: logins, concurrency: CONCURRENCY });
    const before = await sharesAtRest(server);
    const startedMs = performance.now();
    await load.logins({ count: logins, concurrency: CONCURRENCY });
    const seconds = (performance.now() - startedMs) / 1000;
    const { primarySeconds, workersSeconds } = spent(before, await sharesAtRest(server, before));
    return {
      loginsPerWorkerCpuSecond: logins / workersSeconds,
      loginsPerSecond: logins / seconds,
      primaryPercentOfWorkers: (primarySeconds / workersSeconds) * 100,
    };
  } finally {
    await load.stop();
  }
}
