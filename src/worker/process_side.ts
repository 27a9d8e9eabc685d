/** PROCESS SIDE: what a worker has of its process: the channel to the primary, signals, the event loop's delay.
 *  Owns the signal handlers. Signals are the primary's affair: Ctrl-C and `systemctl stop` reach the whole group, and a
 *  worker that obeyed them would cut the tunnels that the primary means to drain. */
import cluster from 'node:cluster';
import { LoopLag } from '../shared/loop_lag.js';
import { findNextPrimary } from './next_primary.js';
import type { WorkerProcessSide } from './run.js';

const IGNORED: readonly NodeJS.Signals[] = ['SIGINT', 'SIGTERM', 'SIGHUP', 'SIGUSR2'];
const TERMINATE: readonly NodeJS.Signals[] = ['SIGINT', 'SIGTERM'];

/** Takes hold of this process; for a worker's entry, before anything else. */
export function takeProcess(): WorkerProcessSide {
  for (const signal of IGNORED) process.on(signal, ignore);
  // Else node:cluster ends this process in the moment in which the primary dies.
  if (cluster.worker !== undefined) cluster.worker.exitedAfterDisconnect = true;
  const lag = new LoopLag();
  lag.start();
  return {
    nowNs: () => process.hrtime.bigint(),
    loopLagMs: () => lag.takeMs(),
    exit: (code) => process.exit(code),
    orphan: {
      pid: process.pid,
      findPrimary: findNextPrimary,
      onTerminate(listener) {
        for (const signal of TERMINATE) process.on(signal, listener);
      },
    },
    channel: {
      get connected() {
        return process.connected;
      },
      send: (messages, done) => process.send?.(messages, undefined, undefined, done),
      onMessage: (listener) => process.on('message', listener),
      onDisconnect: (listener) => process.once('disconnect', listener),
    },
  };
}

/** A fault that nobody caught ends the worker in order, and counts as a defect. Unhandled rejections arrive
 *  here too. Without a primary the text goes to stderr. */
export function onFault(handle: (thrown: unknown) => void): void {
  process.on('uncaughtException', (thrown) => {
    if (!process.connected) console.error(thrown);
    handle(thrown);
  });
}

function ignore(): void {}
