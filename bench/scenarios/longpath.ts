/** LONGPATH: what is left of the throughput when server and client are far from each other: a window's worth of
 *  bytes per round trip, whatever the processors could do. */
import { transfer } from '../support/flow.js';
import { Helper } from '../support/helper.js';
import { PairTarget } from '../support/pair_target.js';
import { type ForwardingClient, forwardTo } from '../support/ssh_client.js';
import type { Bench, Cell, RunningServer, Sample, Scenario } from '../types.js';

interface LongPathCell extends Cell {
  readonly roundTripMs: number;
  readonly direction: 'up' | 'down';
  readonly bytes: number;
}

/** A 2 MiB window at 100 ms is 20 MB/s: some three seconds. */
const MEGABYTES_BY_ROUND_TRIP_MS = { 50: 128, 100: 64 } as const;

export const longpath: Scenario<LongPathCell> = {
  name: 'longpath',
  about:
    'The OpenSSH client reaches the server through a relay that delays each direction by half the round trip, and ' +
    'limits nothing else; a pattern goes up or down one tunnel, timed from the first byte sent to the end of the ' +
    'stream received.',
  metrics: [{ name: 'megabytesPerSecond', unit: 'MB/s', higherIsBetter: true, headline: true }],

  cells: (quick) =>
    ([50, 100] as const).slice(0, quick ? 1 : 2).flatMap((roundTripMs) =>
      (['up', 'down'] as const).map((direction) => ({
        id: `${roundTripMs} ms, ${direction}`,
        roundTripMs,
        direction,
        bytes: quick ? 4e6 : MEGABYTES_BY_ROUND_TRIP_MS[roundTripMs] * 1e6,
      })),
    ),

  measure: (server, cell, bench) => measureLongPath(server, cell, bench),
};

async function measureLongPath(server: RunningServer, cell: LongPathCell, bench: Bench): Promise<Sample> {
  const target = await PairTarget.listen();
  let relay: Helper | undefined;
  let client: ForwardingClient | undefined;
  try {
    relay = await Helper.start('delay_relay', [server.port, cell.roundTripMs]);
    client = await forwardTo(server, bench, { targetPort: target.port, viaPort: relay.port });
    const { near, far } = await target.connect(client.port);
    const startedMs = performance.now();
    await (cell.direction === 'up' ? transfer(near, far, cell.bytes) : transfer(far, near, cell.bytes));
    const seconds = (performance.now() - startedMs) / 1000;
    return { megabytesPerSecond: cell.bytes / 1e6 / seconds };
  } finally {
    target.close();
    await client?.stop();
    await relay?.stop();
  }
}
