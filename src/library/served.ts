/** SERVED: how whoever runs a server reaches into it. Under registered symbols: no field of a subclass's can meet them, and a
 *  second copy of the package (a global command with a local install, a loader that makes CommonJS of it) has the same ones.
 *  Owns nothing. */
import type { Config } from '../shared/config.js';
import type { AuditEvent } from '../shared/events.js';
import type { ListenerAddress } from '../shared/ipc.js';
import type { LoginStep } from '../worker/auth/hooks.js';
import type { CryptoPool } from '../worker/pool/pool.js';
import type { ServerHooks, Taken } from '../worker/server.js';
import type { CodeDesk } from './codes.js';

/** On a class: its version of `Inside`. On a server: its `Inside`. */
export const SERVED = Symbol.for('sallyport.served');
/** Changes whenever `Inside` or `Hearing` does. */
export const SERVED_VERSION = 3;
/** On whatever has listeners: its `Hearing`. */
export const HEARING = Symbol.for('sallyport.hearing');

/** The ear of a program's listeners. */
export interface Hearing {
  event(event: AuditEvent): void;
  lost(count: number): void;
  /** No event follows. */
  ended(): void;
}

/** The inside of a TunnelServer. */
export interface Inside {
  /** False: the users of the config do, so a config without any lets nobody in. */
  readonly hooksDecide: boolean;
  /** Called in each process that serves before the first connection, and again for each reload and each `listen()`.
   *  @param written the config as it was written: tells what was said from what is a default
   *  @returns what the config before this one gave and this one does not */
  configure(config: Config, listeners: readonly ListenerAddress[], written: object): Taken;
  /** The server listens no longer. */
  closed(): Promise<void>;
  listeners(): readonly ListenerAddress[];
  /** Called in each process that serves, before `configure`. */
  serves(desk: CodeDesk): void;
  /** Who knows which codes were used. */
  codes(): CodeDesk;
  /** What an operator should hear of this step of a login that has succeeded; null: nothing, or it was said before. */
  hint(step: LoginStep): string | null;
  /** Its threads are started by the first password. */
  pool(): CryptoPool;
}

/** A TunnelServer as whoever runs it sees it. */
export interface Served extends ServerHooks {
  readonly [SERVED]: Inside;
  readonly [HEARING]: Hearing;
}
