/** WORKER PROCESS: one forked process behind a narrow interface.
 *  Owns the child and its channel. Promises that `gone` comes once, after the last message was read: an `accepted` may
 *  still lie in the channel when the exit is known already, and a socket taken for untouched would be served twice. */
import cluster, { type Worker } from 'node:cluster';
import { fileURLToPath } from 'node:url';
import { reasonOf } from '../shared/errors.js';
import { closeHandle, sendHandle, type TcpHandle } from '../shared/handles.js';
import { isToPrimary, type ToPrimary, type ToWorker } from '../shared/ipc.js';

/** How a worker ended, as text for the log: `exit code 1`, `signal SIGKILL`. */
export type ExitText = string;

export interface WorkerEvents {
  message(message: ToPrimary): void;
  gone(how: ExitText): void;
}

export interface WorkerProcess {
  /** 0 when the fork itself failed. */
  readonly pid: number;
  /** Dropped when the worker is gone. */
  send(message: ToWorker): void;
  /** `failed`: nothing was sent. The caller keeps its copy of the handle. */
  sendWithHandle(message: ToWorker, handle: TcpHandle, failed: () => void): void;
  /** The worker has taken this handle: our copy of it is not needed any more. */
  taken(handle: TcpHandle): void;
  /** SIGKILL: it works on a stopped and on a busy process too. */
  kill(): void;
  /** Ends the channel and nothing else: the worker looks for another primary, and does not keep this process alive. */
  release(): void;
}

export type Fork = (events: WorkerEvents) => WorkerProcess;

export interface ForkOptions {
  readonly entry: URL;
  /** Default: Node's options of the primary. */
  readonly execArgv?: readonly string[];
  /** Beside what the primary's environment holds. */
  readonly env?: Readonly<Record<string, string>>;
}

/** What may pass between the exit of a child and the end of its channel. */
const CHANNEL_END_MS = 1_000;

/** Forks workers by node:cluster with JSON messages. Cluster's settings are one per process, hence set at each fork. */
export function clusterFork({ entry, execArgv, env }: ForkOptions): Fork {
  return (events) => {
    cluster.setupPrimary({
      exec: fileURLToPath(entry),
      args: [],
      serialization: 'json',
      silent: false,
      ...(execArgv === undefined ? {} : { execArgv: [...execArgv] }),
    });
    try {
      return overWorker(cluster.fork(env), events);
    } catch (error) {
      return neverBorn(events, reasonOf(error));
    }
  };
}

function overWorker(worker: Worker, events: WorkerEvents): WorkerProcess {
  const child = worker.process;
  let over = false;
  const gone = (how: ExitText): void => {
    if (over) return;
    over = true;
    events.gone(how);
  };
  worker.on('message', (messages: unknown) => {
    if (!Array.isArray(messages)) return; // of a module in the worker that speaks for itself
    for (const message of messages) if (!over && isToPrimary(message)) events.message(message);
  });
  // A channel that breaks in the middle of a send says so here; what matters of it comes as `gone`.
  worker.on('error', (error) => {
    if (child.pid === undefined) gone(reasonOf(error));
  });
  child.once('exit', (code, signal) => {
    const how = signal === null ? `exit code ${code}` : `signal ${signal}`;
    const timer = setTimeout(() => gone(how), CHANNEL_END_MS); // a grandchild may hold the channel open
    child.once('close', () => {
      clearTimeout(timer);
      gone(how);
    });
  });
  return {
    pid: child.pid ?? 0,
    send(message) {
      if (worker.isConnected()) worker.send(message, ignore);
    },
    sendWithHandle(message, handle, failed) {
      if (!worker.isConnected()) {
        failed();
        return;
      }
      sendHandle(worker, message, handle, (error) => {
        if (error !== null) failed();
      });
    },
    taken: closeHandle, // close(2) only: the worker's copy lives
    kill() {
      child.kill('SIGKILL');
    },
    release() {
      if (worker.isConnected()) child.disconnect();
      child.unref();
    },
  };
}

/** The process table or the descriptors are full: the same as a worker that died at once. */
function neverBorn(events: WorkerEvents, how: ExitText): WorkerProcess {
  setImmediate(() => events.gone(how));
  return {
    pid: 0,
    send: ignore,
    sendWithHandle: (_message, _handle, failed) => failed(),
    taken: closeHandle,
    kill: ignore,
    release: ignore,
  };
}

function ignore(): void {}
