/** CLUSTER: a server on every core, started by a program: this process is the primary, and each worker runs the program's
 *  own TunnelServer subclass.
 *  Owns the running primary. */
import { resolve } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import type { Started } from '../master/main.js';
import type { ConfigOptions } from '../shared/config_options.js';
import { reasonOf, TunnelError } from '../shared/errors.js';
import type { HandlerStart, ListenerAddress } from '../shared/ipc.js';
import { LineMemory } from '../shared/line_memory.js';
import { kindOf } from '../worker/auth/hooks.js';
import { EventHub } from './events.js';
import type { KeyLines, Loaded } from './load_config.js';
import { HEARING } from './served.js';
import type { CloseOptions } from './tunnel_server.js';

export interface ClusterOptions extends Omit<ConfigOptions, 'handler'> {
  /** Module whose default export is a TunnelServer subclass; each worker makes one, with these options, which therefore have
   *  to survive JSON. A text is a path from the working folder, or a file: URL. Default: the config-driven server. */
  readonly handler?: URL | string | undefined;
  /** True: SIGTERM and SIGINT drain, a second one ends everything at once, SIGHUP reloads and SIGUSR2 replaces the workers, as
   *  with `sallyport serve`. False: signals are your program's. A worker ignores them in any case. Default true. */
  readonly signals?: boolean | undefined;
}

/** Where a reload without an argument reads: the options of the start, or of the last reload that brought others. */
interface Source {
  options: ClusterOptions;
  readonly keyLines: KeyLines;
}

/** A running cluster. Its events are those of all workers, and of the primary. */
export class Cluster extends EventHub {
  readonly #started: Started;
  readonly #source: Source;
  /** Resolves when the cluster has ended, by `close` or by a signal: true after a clean drain, false where connections were
   *  ended by force. Never rejects. */
  readonly ended: Promise<boolean>;

  /** @internal Clusters are made by startCluster. */
  constructor(started: Started, source: Source) {
    super();
    this.#source = source;
    this.#started = started;
    this.ended = started.exitCode.then((code) => {
      this[HEARING].ended();
      return code === 0;
    });
  }

  /** Where it listens, with the ports that port 0 became. */
  get addresses(): readonly ListenerAddress[] {
    return this.#started.addresses;
  }

  /** Serves by other options from now on, or, without an argument, reads the files that they name again: keys, host keys, and
   *  the handler's module. As one step or not at all. With a handler the workers are replaced one by one: its code is loaded
   *  anew, and the old workers go on with their connections.
   *  @throws TunnelError CONFIG_INVALID, HOST_KEY_INVALID, HANDLER_INVALID, LISTEN_FAILED, WORKER_START_FAILED; then all is as
   *  it was */
  async reload(options: ClusterOptions = this.#source.options): Promise<void> {
    const copy = copyOf(options);
    const { keyLines } = this.#source;
    const { readAgain } = await import('./reading.js');
    const outcome = await this.#started.reload(async () =>
      readAgain((await loadCluster(copy, keyLines)).loaded, 'options'),
    );
    if (!outcome.ok) throw outcome.error;
    this.#source.options = copy;
  }

  /** Ends the cluster, as `TunnelServer.close` does. */
  async close(options: CloseOptions = {}): Promise<void> {
    if (options.now === true) this.#started.kill();
    else this.#started.drain();
    await this.ended;
  }
}

/** @internal The module that workers run, for this program's own commands too. */
export const WORKER_ENTRY = new URL('../worker/main.js', import.meta.url);

/** Starts a server with `workers` worker processes (default: one per core). This process accepts connections and keeps the
 *  counts that hold over all workers; it never reads a byte of a connection.
 *
 *  @returns the cluster, once it listens on all addresses and every worker is ready
 *  @throws TunnelError CONFIG_INVALID (every mistake, one a line), HANDLER_INVALID (with the stack), HOST_KEY_INVALID,
 *  LISTEN_FAILED, WORKER_START_FAILED; then nothing is left running */
export async function startCluster(options: ClusterOptions = {}): Promise<Cluster> {
  const copy = copyOf(options);
  // Only here: a worker loads this module with the library, and needs nothing of the primary's.
  const [{ startPrimary }, { readAgain }] = await Promise.all([import('../master/main.js'), import('./reading.js')]);
  const keyLines: KeyLines = new LineMemory();
  const { loaded, handler } = await loadCluster(copy, keyLines);
  const { config, errors, warnings, files } = loaded;
  if (config === null) throw new TunnelError('CONFIG_INVALID', errors.join('\n'));
  const source: Source = { options: copy, keyLines };
  let cluster: Cluster | undefined;
  const started = await startPrimary({
    config,
    handler,
    workerEntry: WORKER_ENTRY,
    warnings,
    files,
    read: async () => readAgain((await loadCluster(source.options, keyLines)).loaded, 'options'),
    listener: {
      event: (event) => cluster?.[HEARING].event(event),
      lost: (count) => cluster?.[HEARING].lost(count),
    },
    ...(copy.signals === undefined ? {} : { signals: copy.signals }),
  });
  cluster = new Cluster(started, source);
  return cluster;
}

async function loadCluster(
  { handler, signals: _, ...options }: ClusterOptions,
  keyLines: KeyLines,
): Promise<{
  readonly loaded: Loaded;
  readonly handler: HandlerStart | null;
}> {
  const { loadObject, withoutAdmin } = await import('./load_config.js');
  const url = handler === undefined ? undefined : urlOf(handler);
  const path = url === undefined ? {} : { handler: fileURLToPath(url) };
  const loaded = withoutAdmin(loadObject({ ...options, ...path }, 'options', { keyLines }), options);
  return { loaded: { ...loaded, options }, handler: url === undefined ? null : { url, options } };
}

/** What the workers get, also those that are started much later, whatever the program does to its object meanwhile. */
function copyOf(options: ClusterOptions): ClusterOptions {
  if (typeof options !== 'object' || options === null)
    throw new TunnelError('CONFIG_INVALID', "options: are none, allowed: an object of the config's keys");
  const { handler, signals, users, ...rest } = options;
  try {
    const pairs = users instanceof Map ? Object.fromEntries(users) : users;
    const copy: ClusterOptions = JSON.parse(JSON.stringify({ ...rest, users: pairs }));
    return { ...copy, handler, signals };
  } catch (cause) {
    throw new TunnelError('CONFIG_INVALID', `options: do not survive JSON (${reasonOf(cause)})`, { cause });
  }
}

function urlOf(handler: unknown): string {
  if (!(handler instanceof URL) && typeof handler !== 'string')
    throw new TunnelError(
      'CONFIG_INVALID',
      `options: handler: is ${kindOf(handler)}, allowed: the file: URL of a module whose default export is the class`,
    );
  const url =
    handler instanceof URL ? handler : URL.canParse(handler) ? new URL(handler) : pathToFileURL(resolve(handler));
  if (url.protocol !== 'file:')
    throw new TunnelError(
      'CONFIG_INVALID',
      `options: handler: ${url.protocol} is no place for a module, allowed: a file: URL`,
    );
  return url.href;
}
