/** IN PROCESS: a worker that is no process of its own but shares the primary's.
 *  Owns the two ends of a channel that is made of function calls. Everything on either side of it is what a cluster runs,
 *  so that one process and many cannot mean different things. */
import type { Fork } from '../master/worker_process.js';
import type { ToPrimary } from '../shared/ipc.js';
import { runWorker, type ServerFactory } from '../worker/run.js';

/** Each message arrives after the step that sent it, in order, as it would over a pipe. */
export function inProcessFork(createServer: ServerFactory): Fork {
  return (events) => {
    let connected = true;
    let onMessage: (message: unknown, handle: unknown) => void = ignore;
    const toWorker = (message: unknown, handle?: unknown): void =>
      queueMicrotask(() => {
        if (connected) onMessage(message, handle);
      });
    const send = (messages: readonly ToPrimary[], done: () => void): void =>
      queueMicrotask(() => {
        try {
          for (const message of messages) if (connected) events.message(message);
        } finally {
          done();
        }
      });
    queueMicrotask(() =>
      runWorker(
        {
          nowNs: () => process.hrtime.bigint(),
          loopLagMs: () => 0, // there is no other worker to prefer
          exit(code) {
            queueMicrotask(() => {
              connected = false;
              events.gone(`exit code ${code}`);
            });
          },
          orphan: null,
          channel: {
            get connected() {
              return connected;
            },
            send,
            onMessage: (listener) => {
              onMessage = listener;
            },
            onDisconnect: ignore, // the primary does not die alone
          },
        },
        createServer,
      ),
    );
    return {
      pid: process.pid,
      send: toWorker,
      sendWithHandle: (message, handle) => toWorker(message, handle),
      taken: ignore, // the handle itself went over, not a copy
      kill: () => toWorker({ type: 'drain', deadlineMs: 0 }),
      release: ignore, // it does not outlive the primary
    };
  };
}

function ignore(): void {}
