/** SCENE: what a fault works with: the server, the clients that are there, and how to say whom it touches.
 *  Owns the causes that touch the server as a whole: a login that fails needs one of them. */
import type { Client } from './client.js';
import type { Dice } from './dice.js';
import type { Cause } from './flow.js';
import type { LoggedWorker } from './log_book.js';
import type { Server } from './server.js';
import type { Setting } from './setting.js';

/** A cause that begins now, and by default ends at once. */
export interface CauseOptions {
  readonly effect: Cause['effect'];
  readonly lasting?: boolean;
  readonly endsAsEof?: boolean;
  /** At work until `end` is called. */
  readonly open?: boolean;
}

export interface Scene {
  readonly dice: Dice;
  readonly server: Server;
  readonly serverPort: number;
  readonly setting: Setting;
  /** Logged in or about to, or gone: whom something touches that is done to the server. */
  readonly clients: () => readonly Client[];
  /** Logged in, and nothing was done to them that ends them. */
  readonly healthy: () => readonly Client[];
  readonly serverCauses: Cause[];
  /** Of a worker: whoever comes to it while they are at work is touched as well as those who were there. */
  readonly workerCauses: Cause[];
  /** Set while something happens to the server as a whole: one such thing at a time. */
  busy: boolean;
  readonly defect: (text: string) => void;
}

export function cause(name: string, options: CauseOptions): Cause {
  const { effect, lasting = false, endsAsEof = false, open = false } = options;
  const nowMs = performance.now();
  return { name, effect, beganMs: nowMs, endedMs: open ? null : nowMs, lasting, endsAsEof };
}

export function end(cause: Cause): void {
  cause.endedMs = performance.now();
}

/** Said before it is done: what comes of it is later. */
export function hit(clients: readonly Client[], cause: Cause): Cause {
  for (const client of clients) client.causes.push(cause);
  return cause;
}

/** Clients whose connection this worker has, and those of which nobody knows yet who has them. */
export function clientsOf(scene: Scene, worker: LoggedWorker): Client[] {
  return scene.clients().filter(({ peer }) => {
    const holder = peer === null ? undefined : scene.server.pidOf(peer);
    return holder === undefined || holder === worker.pid;
  });
}
