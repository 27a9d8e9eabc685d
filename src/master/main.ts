/** PRIMARY'S MAIN: starts the primary in this process and ties it to what a process has: signals, inherited sockets.
 *  Owns the exit code: 0 after a clean drain, 1 after anything else. */
import type { WatchedFiles } from '../shared/file_signature.js';
import type { ListenerAddress } from '../shared/ipc.js';
import { after } from '../shared/timer.js';
import { Echo } from './echo.js';
import { FileWatch } from './file_watch.js';
import { Orders } from './orders.js';
import { reload } from './reload.js';
import { ServiceManager, serviceSettings } from './service_manager.js';
import type { Reading, ReloadOutcome } from './settings.js';
import { type Prepared, type PrimarySetup, preparePrimary } from './start.js';
import { clusterFork } from './worker_process.js';

export interface StartOptions extends Omit<PrimarySetup, 'fork' | 'fds' | 'workersOutlive' | 'takeover' | 'steering'> {
  /** The module that workers run. */
  readonly workerEntry: URL;
  /** Node's options for workers; default: those of this process. */
  readonly execArgv?: readonly string[];
  /** Called once all addresses listen and all workers are ready. */
  readonly onListening?: (addresses: readonly ListenerAddress[]) => void;
  /** Reads again what the settings were made of: for SIGHUP all of it, or, where only the files have changed that the config
   *  names, those. */
  readonly read?: (what: 'all' | 'files') => Promise<Reading>;
  /** The files that were read for `config`, as they were then: they are read again when they change. Default: none. */
  readonly files?: WatchedFiles;
  /** Default false. True: takes the place of a server that runs on the same stateDir and addresses, with all that it holds. */
  readonly takeover?: boolean;
  /** Default false. True: systemd is told how the server is, where it has started it with Type=notify. */
  readonly notify?: boolean;
  /** Default true: SIGTERM and SIGINT drain, the second one ends at once; SIGHUP reloads; SIGUSR2 replaces the workers. False:
   *  they are the caller's. */
  readonly signals?: boolean;
}

export interface Started {
  /** Where it listens now, or has listened last. Empty when it was told to stop before that. */
  readonly addresses: readonly ListenerAddress[];
  /** Settles when the server has ended; never rejects. Nothing of it is left running then. */
  readonly exitCode: Promise<number>;
  /** As SIGHUP, with what this reads. Never rejects. */
  reload(read: () => Promise<Reading>): Promise<ReloadOutcome>;
  /** As SIGTERM. */
  drain(): void;
  /** As a second SIGTERM. */
  kill(): void;
}

/** The log goes to stderr.
 *  @throws TunnelError HOST_KEY_INVALID, HANDLER_INVALID, LISTEN_FAILED or WORKER_START_FAILED, each with a text for the
 *  operator */
export async function startPrimary(options: StartOptions): Promise<Started> {
  const {
    workerEntry,
    execArgv = workerExecArgv(),
    onListening,
    signals = true,
    takeover = false,
    notify = false,
    read = nothingToRead,
    files = new Map(),
    ...setup
  } = options;
  const wishes = new Wishes();
  const orders = new Orders();
  const reloadAll = async (inForce: (changed: readonly string[]) => void = nothing): Promise<ReloadOutcome> => {
    service?.reloading();
    const outcome = await reload(primary, log, () => read('all'), { took, inForce });
    service?.reloaded(outcome.ok ? null : outcome.error);
    return outcome;
  };
  const prepared: Prepared = await preparePrimary({
    ...setup,
    steering: {
      drain: () => wishes.begin(),
      reload: () =>
        new Promise((resolve) => {
          const inForce = (changed: readonly string[]): void => resolve({ ok: true, changed });
          void orders.ask(() => reloadAll(inForce)).then(resolve);
        }),
    },
    fork: clusterFork({ entry: workerEntry, env: workerEnv(), execArgv }),
    workersOutlive: true,
    takeover,
    fds: takeInheritedSockets(),
  });
  const { primary, log } = prepared;
  const service = notify ? takeServiceManager(prepared) : null;
  const fileWatch = new FileWatch({
    after,
    onChange: () => orders.give('files', () => reload(primary, log, () => read('files'), { filesOnly: true, took })),
  });
  const took = (now: WatchedFiles): void => fileWatch.watch(now, primary.settings.config.auth.rereadFilesMs);
  const signalled: Signalled = {
    stop: () => wishes.stop(),
    reload: () => orders.give('reload', () => reloadAll()),
    replace: () => orders.give('replace', () => primary.replaceWorkers()),
  };
  void wishes.asked.then(() => {
    orders.end();
    fileWatch.end();
    service?.stopping();
  });
  const forget = signals ? listenToSignals(signalled) : nothing;
  let addresses: readonly ListenerAddress[];
  try {
    addresses = await Promise.race([primary.start(), wishes.asked.then(() => [])]);
  } catch (error) {
    forget();
    service?.close();
    await prepared.close();
    throw error;
  }
  if (addresses.length > 0) onListening?.(addresses);
  if (addresses.length > 0) service?.ready(addresses);
  orders.begin();
  if (addresses.length > 0) took(files);
  return {
    get addresses() {
      return addresses.length > 0 ? primary.addresses : addresses;
    },
    exitCode: serve(prepared, wishes).finally(() => {
      forget();
      fileWatch.end();
      service?.close();
    }),
    reload: (read) => orders.ask(() => reload(primary, log, read, { took })),
    drain: () => wishes.stop(),
    kill: () => {
      wishes.stop();
      wishes.stop();
    },
  };
}

async function serve({ primary, end }: Prepared, wishes: Wishes): Promise<number> {
  await Promise.race([wishes.asked, primary.superseded]);
  const clean = await Promise.race([primary.drain(), wishes.urged.then(() => false)]);
  if (!clean) await primary.kill();
  await end(clean);
  return clean ? 0 : 1;
}

/** How often somebody has asked for the end. */
class Wishes {
  #ask: () => void = nothing;
  #urge: () => void = nothing;
  #count = 0;
  /** The first time. */
  readonly asked = new Promise<void>((resolve) => {
    this.#ask = resolve;
  });
  /** The second time: at once. */
  readonly urged = new Promise<void>((resolve) => {
    this.#urge = resolve;
  });

  /** Asks for it, if nobody has; never urges. */
  begin(): void {
    if (this.#count === 0) this.stop();
  }

  stop(): void {
    this.#count++;
    if (this.#count === 1) this.#ask();
    else this.#urge();
  }
}

async function nothingToRead(): Promise<Reading> {
  return { ok: false, reason: 'CONFIG_INVALID', errors: ['there is no config file to be read again'] };
}

/** What signals ask for. */
interface Signalled {
  readonly stop: () => void;
  readonly reload: () => void;
  readonly replace: () => void;
}

/** @returns how to let them be again */
function listenToSignals({ stop, reload, replace }: Signalled): () => void {
  const echo = new Echo();
  const unlessEcho = (signal: NodeJS.Signals) => (): void => {
    if (echo.takes(signal, performance.now())) stop();
  };
  const handlers: ReadonlyArray<readonly [NodeJS.Signals, () => void]> = [
    ['SIGTERM', unlessEcho('SIGTERM')],
    ['SIGINT', unlessEcho('SIGINT')],
    ['SIGHUP', reload],
    ['SIGUSR2', replace],
  ];
  for (const [signal, handler] of handlers) process.on(signal, handler);
  return () => {
    for (const [signal, handler] of handlers) process.off(signal, handler);
  };
}

/** systemd's `Type=notify` (sd_notify(3)). @returns null where nobody wants to be told */
function takeServiceManager({ primary, log }: Prepared): ServiceManager | null {
  const settings = serviceSettings(process.env, process.pid);
  for (const name of ['NOTIFY_SOCKET', 'WATCHDOG_USEC', 'WATCHDOG_PID']) delete process.env[name];
  if (settings === null) return null;
  return new ServiceManager({
    ...settings,
    isReplaced: () => primary.isReplaced,
    status() {
      const { connections, workers } = primary.status();
      const channels = workers.reduce((sum, { load }) => sum + load.channels, 0);
      return `${connections} connections, ${channels} channels, ${workers.length} workers`;
    },
    trouble: (text) => log.warn(text),
    nowNs: () => process.hrtime.bigint(),
    every(everyMs, action) {
      const timer = setInterval(action, everyMs).unref();
      return () => clearInterval(timer);
    },
  });
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

/** What a worker's young generation may grow to, in MiB and thrice. At V8's default of 16 a burst of logins leaves 30 MB behind
 *  that idle connections never need (DECISIONS 36). An operator's own value holds. */
const WORKER_SEMI_SPACE = '--max-semi-space-size=4';

function workerExecArgv(): string[] {
  const inherited = inheritedExecArgv();
  const isSet = [...inherited, process.env.NODE_OPTIONS ?? ''].some((text) => /semi[-_]space/.test(text));
  return isSet ? inherited : [WORKER_SEMI_SPACE, ...inherited];
}

/** Node's options of this process for its workers: all but a program typed on the command line (`node -e`), which every
 *  worker would run in place of its own. */
function inheritedExecArgv(): string[] {
  const typed = process.execArgv.findIndex((option) => /^(-e|-p|-pe|--eval|--print)$/.test(option));
  return process.execArgv.filter(
    (option, index) => !(typed >= 0 && (index === typed || index === typed + 1)) && !option.startsWith('--input-type'),
  );
}

/** libuv lets look-ups of names take half of its threads: 16 make room for the 8 that a worker's resolver allows, where
 *  the default of 4 would let two dead names stop all others. An operator's own value holds. */
function workerEnv(): Record<string, string> {
  return { UV_THREADPOOL_SIZE: process.env.UV_THREADPOOL_SIZE ?? '16' };
}

function nothing(): void {}
