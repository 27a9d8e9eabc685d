/** LIBRARY: a server made by a program, in one process or in a cluster, so that one test can ask the same of both.
 *  Owns the server until the test ends; it must then end cleanly. */
import type { Test } from 'tap';
import { type ServerOptions, startCluster, TunnelServer } from '../../src/index.js';
import type { EventHub, TunnelEvent } from '../../src/library/events.js';
import { loadHandler } from '../../src/library/handler.js';
import type { EventName } from '../../src/shared/events.js';
import type { ListenerAddress } from '../../src/shared/ipc.js';
import { DEADLINE_MS, deferred, within } from './deadline.js';
import { type Login, makeLogin, type SshEndpoint } from './server.js';
import { tempDir } from './temp.js';

export const MODES = ['single', 'cluster'] as const;
export type Mode = (typeof MODES)[number];

export interface Served extends SshEndpoint {
  readonly hub: EventHub;
  readonly close: () => Promise<void>;
  /** Every event so far. */
  readonly told: TunnelEvent[];
  /** The first event of this name that fits, past or to come. */
  wait<N extends EventName>(
    name: N,
    fits?: (event: Extract<TunnelEvent, { event: N }>) => boolean,
  ): Promise<Extract<TunnelEvent, { event: N }>>;
}

/** URL of a module below test/support/handlers. */
export function handlerUrl(name: string): URL {
  return new URL(`./handlers/${name}.js`, import.meta.url);
}

export async function serveIn(
  t: Test,
  mode: Mode,
  handler: URL,
  options: ServerOptions & { readonly workers?: number } = {},
): Promise<Served> {
  const whole = {
    listen: ['127.0.0.1:0'],
    stateDir: `${tempDir(t)}/state`,
    log: { level: 'silent' as const },
    timeouts: { drain: '2s' as const, ...options.timeouts },
    ...options,
  };
  if (mode === 'single') {
    const { workers: _, ...single } = whole;
    const server = await loadHandler(handler.href, single);
    if (!(server instanceof TunnelServer)) throw new Error('of another copy');
    const watched = watch(server);
    return await finish(t, server, await server.listen(), watched, () => server.close());
  }
  const cluster = await startCluster({ workers: 2, ...whole, handler, signals: false });
  return await finish(t, cluster, cluster.addresses, watch(cluster), () => cluster.close());
}

/** OpenSSH logins of these names with one key each. */
export async function logins<N extends string>(t: Test, ...names: readonly N[]): Promise<Record<N, Login>> {
  const dir = tempDir(t);
  const made = await Promise.all(names.map((name) => makeLogin(t, dir, name)));
  return Object.fromEntries(made.map((login) => [login.name, login])) as Record<N, Login>;
}

interface Watched {
  readonly told: TunnelEvent[];
  readonly waiters: Set<(event: TunnelEvent) => void>;
}

function watch(hub: EventHub): Watched {
  const watched: Watched = { told: [], waiters: new Set() };
  const hear = (event: TunnelEvent): void => {
    watched.told.push(event);
    for (const look of [...watched.waiters]) look(event);
  };
  for (const category of ['server', 'source', 'worker', 'connection', 'auth', 'channel', 'forward'] as const)
    hub.on(category, hear);
  return watched;
}

async function finish(
  t: Test,
  hub: EventHub,
  addresses: readonly ListenerAddress[],
  { told, waiters }: Watched,
  close: () => Promise<void>,
): Promise<Served> {
  t.teardown(() => within(close(), 'end of the server'));
  const [address] = addresses;
  if (address?.kind !== 'tcp') throw new Error('no TCP listener');
  return {
    host: address.address,
    port: address.port,
    hub,
    told,
    close,
    async wait(name, fits = () => true) {
      type Wanted = Parameters<typeof fits>[0];
      const { promise, resolve } = deferred<Wanted>();
      const look = (event: TunnelEvent): void => {
        if (event.event === name && fits(event as Wanted)) resolve(event as Wanted);
      };
      waiters.add(look);
      told.forEach(look);
      try {
        return await within(promise, name, DEADLINE_MS, () => JSON.stringify(told.slice(-20), null, 1));
      } finally {
        waiters.delete(look);
      }
    },
  };
}
