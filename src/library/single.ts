/** SINGLE: a whole server in this process: a primary with one worker that shares its process.
 *  Owns the running primary. */
import { FileWatch } from '../master/file_watch.js';
import { Orders } from '../master/orders.js';
import { reload } from '../master/reload.js';
import type { Reading } from '../master/settings.js';
import { type Prepared, preparePrimary } from '../master/start.js';
import { TunnelError } from '../shared/errors.js';
import type { WatchedFiles } from '../shared/file_signature.js';
import type { ListenerAddress } from '../shared/ipc.js';
import { LineMemory } from '../shared/line_memory.js';
import { after } from '../shared/timer.js';
import { unheardKeys } from './hook_names.js';
import { inProcessFork } from './in_process.js';
import { type KeyLines, type Loaded, loadObject, withoutAdmin } from './load_config.js';
import { readAgain } from './reading.js';
import { HEARING, SERVED, type Served } from './served.js';
import { serve } from './serving.js';

export interface SingleServer {
  readonly addresses: readonly ListenerAddress[];
  /** @throws TunnelError that says why not; then all is as it was */
  reload(options: object): Promise<void>;
  /** Never rejects. May be called again, with `now`, to wait no longer. */
  close(now: boolean): Promise<void>;
}

/** @throws TunnelError CONFIG_INVALID, HOST_KEY_INVALID, LISTEN_FAILED; then nothing is left running */
export async function startSingle(server: Served, options: object): Promise<SingleServer> {
  const keyLines: KeyLines = new LineMemory();
  const { config, errors, warnings, files } = loadFor(server, options, keyLines);
  if (config === null) throw new TunnelError('CONFIG_INVALID', errors.join('\n'));
  const orders = new Orders();
  let current = options;
  const readFrom = (next: object) => (): Promise<Reading> => readAgain(loadFor(server, next, keyLines), 'options');
  const prepared: Prepared = await preparePrimary({
    config,
    handler: null,
    written: options,
    fork: inProcessFork((start, link) => serve(server, start, link, options)),
    workersOutlive: false,
    takeover: false,
    fds: [],
    warnings,
    listener: server[HEARING],
    steering: {
      drain: () => void stop(false),
      reload: () => orders.ask(() => reload(primary, log, readFrom(current), { took })),
    },
  });
  const { primary, log, close, end } = prepared;
  const addresses = await primary.start().catch(async (error: unknown) => {
    await close();
    throw error;
  });
  orders.begin();
  const fileWatch = new FileWatch({
    after,
    onChange: () => orders.give('files', () => reload(primary, log, readFrom(current), { filesOnly: true, took })),
  });
  const took = (now: WatchedFiles): void => fileWatch.watch(now, primary.settings.config.auth.rereadFilesMs);
  took(files);
  let draining: Promise<void> | null = null;
  let killed = false;
  const stop = async (now: boolean): Promise<void> => {
    fileWatch.end();
    draining ??= primary.drain().then(async (clean) => {
      await end(clean && !killed);
      await server[SERVED].closed();
      server[HEARING].ended();
    });
    if (now) {
      killed = true;
      await primary.kill();
    }
    await draining;
  };
  return {
    addresses,
    async reload(next) {
      const outcome = await orders.ask(() => reload(primary, log, readFrom(next), { took }));
      if (!outcome.ok) throw outcome.error;
      current = next;
    },
    close: stop,
  };
}

/** The options of a server that serves in one process. */
function loadFor(server: Served, options: object, keyLines: KeyLines): Loaded {
  const { hooksDecide } = server[SERVED];
  const written = new Map<string, unknown>(Object.entries(options).filter(([, value]) => value !== undefined));
  const loaded = withoutAdmin(loadObject(options, 'options', { hooksDecide, keyLines }), options);
  const misplaced = [
    ...(written.has('handler') ? ['options: handler: this object is the handler; startCluster takes a module'] : []),
    ...(hooksDecide ? ['users', 'defaults'] : [])
      .filter((key) => written.has(key))
      .map((key) => `options: ${key}: here the hooks decide; ConfiguredServer serves ${key}`),
    ...(loaded.config === null ? [] : unheardKeys(hooksDecide, loaded.config).map((text) => `options: ${text}`)),
  ];
  const { config, warnings } = loaded;
  if (config === null || misplaced.length > 0)
    return { ...loaded, config: null, errors: [...loaded.errors, ...misplaced] };
  const several = written.has('workers') && config.workers !== 1;
  const more = several ? ['options: workers: listen() serves in one process, startCluster in many'] : [];
  return { ...loaded, config: { ...config, workers: 1 }, warnings: [...warnings, ...more] };
}
