/** PROBE: preloaded into each process of a server that is measured (`--import`, with PROBE_DIR set): how long its event loop stood
 *  still, and what CPU it took, since it was asked last. Owns a socket, PROBE_DIR/PID.sock, that answers one line to whoever
 *  connects. What it costs itself, a timer of each millisecond, is in all figures alike. */
import { createServer } from 'node:net';
import { join } from 'node:path';
import { monitorEventLoopDelay } from 'node:perf_hooks';
import { isMainThread } from 'node:worker_threads';

export interface Reading {
  readonly pid: number;
  /** The longest time between two turns in which a timer of 1 ms could fire. */
  readonly longestMs: number;
  readonly cpuMs: number;
}

const dir = process.env.PROBE_DIR;
if (dir !== undefined && isMainThread) {
  const delays = monitorEventLoopDelay({ resolution: 1 });
  delays.enable();
  let before = process.cpuUsage();
  const server = createServer((socket) => {
    const { user, system } = process.cpuUsage(before);
    const reading: Reading = {
      pid: process.pid,
      longestMs: delays.max / 1e6,
      cpuMs: (user + system) / 1_000,
    };
    socket.on('error', () => {}).end(JSON.stringify(reading));
    delays.reset();
    before = process.cpuUsage();
  });
  server.listen(join(dir, `${process.pid}.sock`)).unref();
}
