/** ECHO: what a keystroke feels: one byte there and back through a tunnel, alone and beside a bulk flow. */
import { percentile } from '../../src/load/percentiles.js';
import { Helper } from '../support/helper.js';
import { PairTarget } from '../support/pair_target.js';
import { roundTrips, type Trips } from '../support/round_trips.js';
import { type ForwardingClient, forwardTo } from '../support/ssh_client.js';
import type { Bench, Cell, RunningServer, Sample, Scenario } from '../types.js';

type Direction = 'up' | 'down';

interface EchoCell extends Cell {
  /** Absent: nothing beside it. */
  readonly flow?: { readonly direction: Direction; readonly connection: 'same' | 'other' };
  readonly trips: Trips;
}

const FLOWS = [
  { name: 'beside a bulk flow', connection: 'same' },
  { name: "beside another user's bulk flow", connection: 'other' },
  // As installed: with a worker per core the two mostly have a process each, as with a server that forks.
  { name: "beside another user's bulk flow on 2 workers", connection: 'other', workers: 2 },
] as const;

export const echo: Scenario<EchoCell> = {
  name: 'echo',
  about:
    'One byte at a time goes through a tunnel of the OpenSSH client, comes back and is compared; the bulk flow is a ' +
    'second channel of the same connection or of another one, and is counted and hashed where it arrives.',
  metrics: [
    { name: 'p50Microseconds', unit: 'us', higherIsBetter: false, headline: true },
    { name: 'p99Microseconds', unit: 'us', higherIsBetter: false, headline: true },
    // Low latency would be easy for one who starves the flow. Absent where there is none.
    { name: 'flowMegabytesPerSecond', unit: 'MB/s', higherIsBetter: true },
  ],

  cells(quick) {
    const trips = quick ? { durationMs: 300, atLeast: 20 } : { durationMs: 4_000, atLeast: 500 };
    const cells: EchoCell[] = [{ id: 'alone', trips }];
    for (const { name, connection, ...server } of FLOWS)
      for (const direction of ['up', 'down'] as const)
        cells.push({ id: `${name}, ${direction}`, trips, flow: { direction, connection }, ...server });
    return cells;
  },

  measure: (server, cell, bench) => measureEcho(server, cell, bench),
};

async function measureEcho(server: RunningServer, cell: EchoCell, bench: Bench): Promise<Sample> {
  const target = await PairTarget.listen();
  const clients: ForwardingClient[] = [];
  let flow: Helper | undefined;
  try {
    if (cell.flow !== undefined) flow = await Helper.start('bulk_flow', [cell.flow.direction]);
    const beside = flow !== undefined && cell.flow?.connection === 'same' ? [flow.port] : [];
    const client = await forwardTo(server, bench, { targetPort: target.port, moreTargetPorts: beside });
    clients.push(client);
    const { near, far } = await target.connect(client.port);
    far.on('data', (bytes) => far.write(bytes)).resume();
    if (flow !== undefined) {
      let flowPort = client.morePorts[0];
      if (flowPort === undefined) {
        const other = await forwardTo(server, bench, { targetPort: flow.port });
        clients.push(other);
        flowPort = other.port;
      }
      await flow.ask('begin', flowPort);
    }
    const microseconds = await roundTrips(near, cell.trips);
    const flowed = await flow?.ask('end');
    return {
      p50Microseconds: percentile(microseconds, 50),
      p99Microseconds: percentile(microseconds, 99),
      ...(flowed?.megabytesPerSecond === undefined ? {} : { flowMegabytesPerSecond: flowed.megabytesPerSecond }),
    };
  } finally {
    target.close();
    for (const client of clients) await client.stop();
    await flow?.stop();
  }
}
