/** LOGIN: what a login costs the server, by ed25519 key over curve25519-sha256, one at a time and many. */
import { percentile } from '../../src/load/percentiles.js';
import { EchoTarget } from '../support/echo_target.js';
import { LoadPool } from '../support/load_pool.js';
import { atRest } from '../support/rest.js';
import type { Bench, Cell, RunningServer, Sample, Scenario } from '../types.js';

interface LoginCell extends Cell {
  readonly count: number;
  readonly concurrency: number;
  readonly tunnel: boolean;
}

/** Before the clock runs: the clients' code gets warm, and the server's. Just-in-time compilers take some thousand logins; a
 *  server that has none is warm long before, and one login of sshd costs what a hundred of others do: hence the time. */
const WARM_UP = { logins: 2_000, batch: { count: 64, concurrency: 4 }, maxMs: 6_000 } as const;

export const login: Scenario<LoginCell> = {
  name: 'login',
  about:
    'Clients log in by ed25519 key and leave. A login counts when the server has shown its host key and said success; in ' +
    'the last cell when it has confirmed a tunnel as well. CPU is read when the processes of the logins have gone.',
  metrics: [
    { name: 'cpuMsPerLogin', unit: 'ms', higherIsBetter: false, headline: true },
    { name: 'loginsPerSecond', unit: '1/s', higherIsBetter: true },
    { name: 'p50Ms', unit: 'ms', higherIsBetter: false },
    { name: 'p99Ms', unit: 'ms', higherIsBetter: false },
  ],

  cells: (quick) => [
    { id: 'one at a time', count: quick ? 5 : 300, concurrency: 1, tunnel: false },
    { id: '16 at a time', count: quick ? 20 : 1_000, concurrency: 16, tunnel: false, needs: ['many-logins'] },
    {
      id: 'login and one tunnel, 16 at a time',
      count: quick ? 20 : 1_000,
      concurrency: 16,
      tunnel: true,
      needs: ['many-logins'],
    },
  ],

  measure: (server, cell, bench) => measureLogins(server, cell, bench),
};

async function measureLogins(server: RunningServer, cell: LoginCell, bench: Bench): Promise<Sample> {
  const { count, tunnel } = cell;
  const target = await EchoTarget.listen();
  const load = new LoadPool(server, bench);
  try {
    if (!bench.quick) await warmUp(load);
    const before = await atRest(server.roots);
    const startedMs = performance.now();
    const ms = await load.logins(cell, tunnel ? target.port : null);
    const seconds = (performance.now() - startedMs) / 1000;
    const after = await atRest(server.roots, before);
    return {
      cpuMsPerLogin: ((after.cpuSeconds - before.cpuSeconds) * 1000) / count,
      loginsPerSecond: count / seconds,
      p50Ms: percentile(ms, 50),
      p99Ms: percentile(ms, 99),
    };
  } finally {
    await load.stop();
    target.close();
  }
}

async function warmUp(load: LoadPool): Promise<void> {
  const untilMs = performance.now() + WARM_UP.maxMs;
  for (let done = 0; done < WARM_UP.logins && performance.now() < untilMs; done += WARM_UP.batch.count)
    await load.logins(WARM_UP.batch);
}
