/** FORWARDS: memory of a bound port (`ssh -R`). */
import { requireEcho } from '../support/echo_target.js';
import { LoadPool } from '../support/load_pool.js';
import { requireOpenFiles } from '../support/open_files.js';
import { atRest, restingPssBytes } from '../support/rest.js';
import { type Bench, type Cell, type RunningServer, type Sample, type Scenario, VerificationFailed } from '../types.js';

interface ForwardsCell extends Cell {
  readonly connections: number;
  readonly portsEach: number;
}

const KIB = 1024;
/** Bound and given back with their connections before the first look. */
const WARM_UP_PORTS_EACH = 2;
const SAMPLED_PORTS = 20;

export const forwards: Scenario<ForwardsCell> = {
  name: 'forwards',
  about:
    'A few connections ask for ports on localhost that the server chooses. Its memory before and after, divided by their ' +
    'number. Through a sample of them a word must come back.',
  metrics: [{ name: 'pssKiBPerPort', unit: 'KiB', higherIsBetter: false, headline: true }],
  freshServer: true,

  cells: (quick) => [
    quick
      ? { id: '10 ports, 2 connections', connections: 2, portsEach: 5, needs: ['chosen-port'] }
      : {
          id: '2,000 ports, 10 connections',
          connections: 10,
          portsEach: 200,
          needs: ['chosen-port'],
        },
  ],

  measure: (server, cell, bench) => measureForwards(server, cell, bench),
};

async function measureForwards(server: RunningServer, cell: ForwardsCell, bench: Bench): Promise<Sample> {
  const { connections, portsEach } = cell;
  const count = connections * portsEach;
  requireOpenFiles(count);
  const load = new LoadPool(server, bench);
  try {
    const empty = await atRest(server.roots);
    const held = { count: connections, concurrency: Math.min(4, connections) };
    await load.hold(held);
    await load.forwards(WARM_UP_PORTS_EACH);
    await load.release();
    await atRest(server.roots, empty);

    await load.hold(held);
    const before = await restingPssBytes(server.roots, bench.quick);
    const ports = await load.forwards(portsEach);
    const after = await restingPssBytes(server.roots, bench.quick);
    if (new Set(ports).size !== count)
      throw new VerificationFailed(`${count} ports were asked for, ${new Set(ports).size} different ones were given`);
    const step = Math.max(1, Math.floor(count / SAMPLED_PORTS));
    for (let i = 0; i < count; i += step) await requireEcho(ports[i] ?? 0);
    return { pssKiBPerPort: (after - before) / KIB / count };
  } finally {
    await load.stop();
  }
}
