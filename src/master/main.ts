/** PRIMARY'S MAIN: starts the primary in this process and ties it to what a process has: signals, inherited sockets,
 *  the limit of descriptors, stderr.
 *  Owns the exit code: 0 after a clean drain, 1 after anything else. */
import { readFileSync } from 'node:fs';
import { isatty } from 'node:tty';
import type { Config } from '../shared/config.js';
import type { ListenerAddress } from '../shared/ipc.js';
import { systemClock } from './clock.js';
import { EventLog } from './event_log.js';
import { loadHostKeys } from './host_keys.js';
import { Primary, type PrimaryTiming } from './primary.js';
import { clusterFork } from './worker_process.js';

export interface StartOptions {
  readonly config: Config;
  /** Default: the worker of this package. */
  readonly workerEntry?: URL;
  /** Node's options for workers; default: those of this process. */
  readonly execArgv?: readonly string[];
  readonly timing?: PrimaryTiming;
  /** Called once all addresses listen and all workers are ready. */
  readonly onListening?: (addresses: readonly ListenerAddress[]) => void;
}

export interface Started {
  /** Settles when the server has ended; never rejects. Nothing of it is left running then. */
  readonly exitCode: Promise<number>;
}

/** The log goes to stderr. SIGTERM and SIGINT drain, the second one ends at once.
 *  @throws TunnelError HOST_KEY_INVALID, LISTEN_FAILED or WORKER_START_FAILED, each with a text for the operator */
export async function startPrimary(options: StartOptions): Promise<Started> {
  const { config, workerEntry = WORKER_ENTRY, execArgv, timing, onListening } = options;
  const log = new EventLog({ ...config.log, terminal: isatty(STDERR_FD) });
  const hostKeys = await loadHostKeys(config.hostKeys, config.stateDir);
  const primary = new Primary({
    config,
    hostKeys,
    fork: clusterFork({ entry: workerEntry, env: workerEnv(), ...(execArgv === undefined ? {} : { execArgv }) }),
    fds: takeInheritedSockets(),
    maxWaiting: Math.max(MIN_WAITING, openFilesLimit() - RESERVED_FILES),
    log,
    clock: systemClock,
    random: Math.random,
    ...(timing === undefined ? {} : { timing }),
  });
  const signals = listenToSignals(log);
  let addresses: readonly ListenerAddress[];
  try {
    addresses = await Promise.race([primary.start(), signals.asked.then(() => [])]);
  } catch (error) {
    signals.forget();
    await log.flush(LOG_FLUSH_MS);
    throw error;
  }
  if (addresses.length > 0) onListening?.(addresses);
  return { exitCode: serve(primary, log, signals) };
}

const WORKER_ENTRY = new URL('../worker/main.js', import.meta.url);
const STDERR_FD = 2;
const LOG_FLUSH_MS = 1_000;
/** For channels to workers, logs, keys and the like. */
const RESERVED_FILES = 100;
const MIN_WAITING = 16;

async function serve(primary: Primary, log: EventLog, signals: Signals): Promise<number> {
  await signals.asked;
  const clean = await Promise.race([primary.drain(), signals.urged.then(() => false)]);
  if (!clean) await primary.kill();
  signals.forget();
  log.event({ event: 'server.stopped', reason: clean ? 'DRAINED' : 'KILLED' });
  await log.flush(LOG_FLUSH_MS);
  return clean ? 0 : 1;
}

interface Signals {
  /** The first SIGTERM or SIGINT. */
  readonly asked: Promise<void>;
  /** The second one. */
  readonly urged: Promise<void>;
  forget(): void;
}

function listenToSignals(log: EventLog): Signals {
  let ask: () => void = nothing;
  let urge: () => void = nothing;
  const asked = new Promise<void>((resolve) => {
    ask = resolve;
  });
  const urged = new Promise<void>((resolve) => {
    urge = resolve;
  });
  let count = 0;
  const stop = (): void => {
    count++;
    if (count === 1) ask();
    else urge();
  };
  const later = (signal: NodeJS.Signals): void => log.warn(`${signal} has no effect in this version yet`);
  const handlers: ReadonlyArray<readonly [NodeJS.Signals, (signal: NodeJS.Signals) => void]> = [
    ['SIGTERM', stop],
    ['SIGINT', stop],
    ['SIGHUP', later], // without a handler these two would end the process
    ['SIGUSR2', later],
  ];
  for (const [signal, handler] of handlers) process.on(signal, handler);
  return {
    asked,
    urged,
    forget() {
      for (const [signal, handler] of handlers) process.off(signal, handler);
    },
  };
}

/** systemd's socket activation (sd_listen_fds(3)): descriptors from 3 on, meant for the process that LISTEN_PID names.
 *  The variables are taken away, so that no child believes that they are meant for it. */
function takeInheritedSockets(): number[] {
  const { LISTEN_PID, LISTEN_FDS } = process.env;
  for (const name of ['LISTEN_PID', 'LISTEN_FDS', 'LISTEN_FDNAMES']) delete process.env[name];
  const count = Number(LISTEN_FDS);
  if (Number(LISTEN_PID) !== process.pid || !Number.isInteger(count) || count < 1) return [];
  return Array.from({ length: count }, (_, index) => FIRST_INHERITED_FD + index);
}

const FIRST_INHERITED_FD = 3;

/** libuv lets look-ups of names take half of its threads: 16 make room for the 8 that a worker's resolver allows, where
 *  the default of 4 would let two dead names stop all others. An operator's own value holds. */
function workerEnv(): Record<string, string> {
  return { UV_THREADPOOL_SIZE: process.env.UV_THREADPOOL_SIZE ?? '16' };
}

/** RLIMIT_NOFILE; Node has raised the soft limit to the hard one. */
function openFilesLimit(): number {
  try {
    const soft = /^Max open files\s+(\d+)/m.exec(readFileSync('/proc/self/limits', 'utf8'))?.[1];
    return soft === undefined ? DEFAULT_OPEN_FILES : Number(soft);
  } catch {
    return DEFAULT_OPEN_FILES; // no /proc: not Linux
  }
}

const DEFAULT_OPEN_FILES = 1_024;

function nothing(): void {}
