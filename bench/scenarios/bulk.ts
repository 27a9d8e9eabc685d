/** BULK: how much server CPU a gigabyte costs, and how fast it goes. */
import { transfer } from '../support/flow.js';
import { type Pair, PairTarget } from '../support/pair_target.js';
import { cpuSeconds } from '../support/process_tree.js';
import { forwardTo } from '../support/ssh_client.js';
import type { Bench, Cell, RunningServer, Sample, Scenario } from '../types.js';

type Direction = 'up' | 'down';

interface BulkCell extends Cell {
  readonly cipher: string;
  readonly direction: Direction;
  readonly tunnels: number;
  readonly bytes: number;
}

const CIPHERS = [
  'aes128-gcm@openssh.com',
  'aes256-gcm@openssh.com',
  'chacha20-poly1305@openssh.com',
  'aes128-ctr',
  'aes256-ctr',
] as const;
const GB = 1e9;

export const bulk: Scenario<BulkCell> = {
  name: 'bulk',
  about:
    'The OpenSSH client forwards a port; a pattern goes up (client to target) or down and is counted and hashed ' +
    'where it arrives.',
  metrics: [
    { name: 'cpuSecondsPerGB', unit: 's/GB', higherIsBetter: false, headline: true },
    { name: 'megabytesPerSecond', unit: 'MB/s', higherIsBetter: true, headline: true },
  ],

  cells(quick) {
    const cells: BulkCell[] = [];
    for (const cipher of quick ? CIPHERS.slice(0, 1) : CIPHERS)
      for (const direction of ['up', 'down'] as const)
        for (const tunnels of quick ? [2] : [1, 8])
          cells.push({
            id: `${cipher.replace('@openssh.com', '')} ${direction}, ${tunnels} tunnel${tunnels === 1 ? '' : 's'}`,
            cipher,
            direction,
            tunnels,
            bytes: quick ? 8e6 : 1.5e9,
          });
    return cells;
  },

  measure: (server, cell, bench) => measureBulk(server, cell, bench),
};

async function measureBulk(server: RunningServer, cell: BulkCell, bench: Bench): Promise<Sample> {
  const { direction, tunnels } = cell;
  const share = Math.round(cell.bytes / tunnels);
  const target = await PairTarget.listen();
  const client = await forwardTo(server, bench, { targetPort: target.port, cipher: cell.cipher }).catch((error) => {
    target.close();
    throw error;
  });
  try {
    const pairs: Pair[] = [];
    for (let i = 0; i < tunnels; i++) pairs.push(await target.connect(client.port));
    const cpuBefore = cpuSeconds(server.roots);
    const startedMs = performance.now();
    await Promise.all(
      pairs.map(({ near, far }) => (direction === 'up' ? transfer(near, far, share) : transfer(far, near, share))),
    );
    const seconds = (performance.now() - startedMs) / 1000;
    const cpu = cpuSeconds(server.roots) - cpuBefore;
    const bytes = share * tunnels;
    return { cpuSecondsPerGB: cpu / (bytes / GB), megabytesPerSecond: bytes / 1e6 / seconds };
  } finally {
    target.close();
    await client.stop();
  }
}
