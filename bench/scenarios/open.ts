/** OPEN: how fast a tunnel is opened while a thousand others stand. */
import { percentile } from '../../src/load/percentiles.js';
import { EchoTarget } from '../support/echo_target.js';
import { LoadPool } from '../support/load_pool.js';
import { atRest } from '../support/rest.js';
import { type Bench, type Cell, type RunningServer, type Sample, type Scenario, VerificationFailed } from '../types.js';

interface OpenCell extends Cell {
  readonly connections: number;
  readonly tunnelsEach: number;
  readonly opens: number;
  readonly concurrency: number;
}

export const open: Scenario<OpenCell> = {
  name: 'open',
  about:
    'Tunnels stand on a few connections. More are opened beside them, each is used for one byte that comes back, and closed.',
  metrics: [
    { name: 'cpuMicrosPerOpen', unit: 'us', higherIsBetter: false, headline: true },
    { name: 'opensPerSecond', unit: '1/s', higherIsBetter: true, headline: true },
    { name: 'p50Ms', unit: 'ms', higherIsBetter: false },
    { name: 'p99Ms', unit: 'ms', higherIsBetter: false },
  ],

  cells: (quick) =>
    quick
      ? [{ id: '20 open, 4 at a time', connections: 4, tunnelsEach: 5, opens: 40, concurrency: 4 }]
      : [{ id: '1,000 open, 16 at a time', connections: 4, tunnelsEach: 250, opens: 4_000, concurrency: 16 }],

  measure: (server, cell, bench) => measureOpens(server, cell, bench),
};

async function measureOpens(server: RunningServer, cell: OpenCell, bench: Bench): Promise<Sample> {
  const { connections, tunnelsEach, opens, concurrency } = cell;
  const target = await EchoTarget.listen();
  const load = new LoadPool(server, bench);
  try {
    await load.hold({ count: connections, concurrency: connections });
    await load.tunnels(tunnelsEach, target.port);
    await load.opens({ count: Math.ceil(opens / 20), concurrency }, target.port); // warm-up
    const before = await atRest(server.roots);
    const startedMs = performance.now();
    const ms = await load.opens({ count: opens, concurrency }, target.port);
    const seconds = (performance.now() - startedMs) / 1000;
    const after = await atRest(server.roots, before);
    if (target.connections !== connections * tunnelsEach)
      throw new VerificationFailed(
        `${connections * tunnelsEach} tunnels were to stand meanwhile, ${target.connections} did at the end`,
      );
    return {
      cpuMicrosPerOpen: ((after.cpuSeconds - before.cpuSeconds) * 1e6) / opens,
      opensPerSecond: opens / seconds,
      p50Ms: percentile(ms, 50),
      p99Ms: percentile(ms, 99),
    };
  } finally {
    await load.stop();
    target.close();
  }
}
