/** SINGLE: a whole server in this process: a primary with one worker that shares its process.
 *  Owns the running primary. */
import { LOG_FLUSH_MS, preparePrimary } from '../master/start.js';
import { TunnelError } from '../shared/errors.js';
import type { ListenerAddress } from '../shared/ipc.js';
import { inProcessFork } from './in_process.js';
import { loadObject } from './load_config.js';
import { HEARING, SERVED, type Served } from './served.js';
import { serve } from './serving.js';

export interface SingleServer {
  readonly addresses: readonly ListenerAddress[];
  /** Never rejects. May be called again, with `now`, to wait no longer. */
  close(now: boolean): Promise<void>;
}

/** @throws TunnelError CONFIG_INVALID, HOST_KEY_INVALID, LISTEN_FAILED; then nothing is left running */
export async function startSingle(server: Served, options: object): Promise<SingleServer> {
  const { hooksDecide } = server[SERVED];
  const written = new Map<string, unknown>(Object.entries(options).filter(([, value]) => value !== undefined));
  const { config, errors, warnings } = loadObject(options, 'options', { hooksDecide });
  const misplaced = [
    ...(written.has('handler') ? ['options: handler: this object is the handler; startCluster takes a module'] : []),
    ...(hooksDecide ? ['users', 'defaults'] : [])
      .filter((key) => written.has(key))
      .map((key) => `options: ${key}: here the hooks decide; ConfiguredServer serves ${key}`),
  ];
  if (config === null || misplaced.length > 0)
    throw new TunnelError('CONFIG_INVALID', [...errors, ...misplaced].join('\n'));
  const several = written.has('workers') && config.workers !== 1;
  const { primary, log, end } = await preparePrimary({
    config: { ...config, workers: 1 },
    handler: null,
    fork: inProcessFork((start, link) => serve(server, start, link, options)),
    workersOutlive: false,
    fds: [],
    warnings: several
      ? [...warnings, 'options: workers: listen() serves in one process, startCluster in many']
      : warnings,
    listener: server[HEARING],
  });
  const addresses = await primary.start().catch(async (error: unknown) => {
    await log.close(LOG_FLUSH_MS);
    throw error;
  });
  let draining: Promise<void> | null = null;
  let killed = false;
  return {
    addresses,
    async close(now) {
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
    },
  };
}
