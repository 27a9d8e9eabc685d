/** BULK: how much server CPU a gigabyte costs, and how fast it goes. */
import type { Socket } from 'node:net';
import { receivePattern, requireEqual, sendPattern, Target } from '../support/flow.js';
import { cpuSeconds } from '../support/process_tree.js';
import { forwardTo, open } from '../support/ssh_client.js';
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
    'The OpenSSH client forwards a port; a pattern goes up (client to target) or down and is counted and hashed where it arrives.',
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
  const transfers: Promise<void>[] = [];
  const waiting: ((socket: Socket) => void)[] = [];
  const target = await Target.listen((socket) => waiting.shift()?.(socket));
  const client = await forwardTo(server, bench, { targetPort: target.port, cipher: cell.cipher });
  const sockets: Socket[] = [];
  try {
    // Connected one by one, so that each local socket has its own partner.
    const pairs: { near: Socket; far: Socket }[] = [];
    for (let i = 0; i < tunnels; i++) {
      const far = new Promise<Socket>((resolve) => waiting.push(resolve));
      const near = (await open(client.port)).pause();
      pairs.push({ near, far: await far });
    }
    for (const { near, far } of pairs) sockets.push(near, far);
    const cpuBefore = cpuSeconds(server.roots);
    const startedMs = performance.now();
    for (const { near, far } of pairs) {
      const [from, to] = direction === 'up' ? [near, far] : [far, near];
      transfers.push(transfer(from, to, share));
    }
    await Promise.all(transfers);
    const seconds = (performance.now() - startedMs) / 1000;
    const cpu = cpuSeconds(server.roots) - cpuBefore;
    const bytes = share * tunnels;
    return { cpuSecondsPerGB: cpu / (bytes / GB), megabytesPerSecond: bytes / 1e6 / seconds };
  } finally {
    for (const socket of sockets) socket.destroy();
    await client.stop();
    target.close();
  }
}

async function transfer(from: Socket, to: Socket, bytes: number): Promise<void> {
  const [sent, received] = await Promise.all([sendPattern(from, bytes), receivePattern(to)]);
  requireEqual(sent, received);
}
