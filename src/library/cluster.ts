/** CLUSTER: a server on every core, started by a program: this process is the primary, and each worker runs the program's
 *  own TunnelServer subclass.
 *  Owns the running primary. */
import { resolve } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import type { Started } from '../master/main.js';
import type { ConfigOptions } from '../shared/config_options.js';
import { reasonOf, TunnelError } from '../shared/errors.js';
import type { HandlerStart, ListenerAddress } from '../shared/ipc.js';
import { EventHub } from './events.js';
import { HEARING } from './served.js';
import type { CloseOptions } from './tunnel_server.js';

export interface ClusterOptions extends Omit<ConfigOptions, 'handler'> {
  /** Module whose default export is a TunnelServer subclass; each worker makes one, with these options, which therefore have
   *  to survive JSON. A text is a path from the working folder, or a file: URL. Default: the config-driven server. */
  readonly handler?: URL | string | undefined;
  /** True: SIGTERM and SIGINT drain, a second one ends everything at once, as with `sallyport serve`. False: signals are your
   *  program's. A worker ignores them in any case. Default true. */
  readonly signals?: boolean | undefined;
}

/** A running cluster. Its events are those of all workers, and of the primary. */
export class Cluster extends EventHub {
  readonly #started: Started;
  /** Where it listens, with the ports that port 0 became. */
  readonly addresses: readonly ListenerAddress[];
  /** Resolves when the cluster has ended, by `close` or by a signal: true after a clean drain, false where connections were
   *  ended by force. Never rejects. */
  readonly ended: Promise<boolean>;

  /** @internal Clusters are made by startCluster. */
  constructor(started: Started) {
    super();
    this.#started = started;
    this.addresses = started.addresses;
    this.ended = started.exitCode.then((code) => {
      this[HEARING].ended();
      return code === 0;
    });
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
  const { handler, signals, ...rest } = copyOf(options);
  // Only here: a worker loads this module with the library, and needs nothing of the primary's.
  const [{ startPrimary }, { loadObject }] = await Promise.all([
    import('../master/main.js'),
    import('./load_config.js'),
  ]);
  const url = handler === undefined ? undefined : urlOf(handler);
  const { config, errors, warnings } = loadObject(
    { ...rest, ...(url === undefined ? {} : { handler: fileURLToPath(url) }) },
    'options',
  );
  if (config === null) throw new TunnelError('CONFIG_INVALID', errors.join('\n'));
  const start: HandlerStart | null = url === undefined ? null : { url, options: rest };
  let cluster: Cluster | undefined;
  const started = await startPrimary({
    config,
    handler: start,
    workerEntry: WORKER_ENTRY,
    warnings,
    listener: {
      event: (event) => cluster?.[HEARING].event(event),
      lost: (count) => cluster?.[HEARING].lost(count),
    },
    ...(signals === undefined ? {} : { signals }),
  });
  cluster = new Cluster(started);
  return cluster;
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
      `options: handler: is a ${typeof handler}, allowed: the file: URL of a module whose default export is the class`,
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
