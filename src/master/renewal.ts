/** RENEWAL: other settings and other workers for a server that runs.
 *  Owns the settings in force. Promises that a change of them is whole or does not happen, and that there are never fewer
 *  ready workers than before. */
import { isDeepStrictEqual } from 'node:util';
import type { Config } from '../shared/config.js';
import { reasonOf, TunnelError } from '../shared/errors.js';
import type { ListenerAddress, StartMessage, ToWorker, WorkerSettings } from '../shared/ipc.js';
import type { AdminChange } from './admin/admin.js';
import type { AuditChange } from './audit.js';
import type { Log } from './event_log.js';
import { changeListeners, type ListenerOptions, type ServerListeners } from './listener.js';
import { cannotChange, type Settings } from './settings.js';
import type { Supervisor } from './supervisor.js';

export interface RenewalRooms {
  readonly supervisor: Supervisor;
  readonly log: Log;
  /** undefined while the server does not listen yet, and when it ends. */
  listeners(): ServerListeners | undefined;
  /** For workers that outlive their primary; see StartMessage. */
  control(): string | null;
  /** The server's own sockets in stateDir. */
  ownSockets(): readonly ListenerAddress[];
  /** Opens the place of the admin API that this config wants. Null: there is none.
   *  @throws TunnelError LISTEN_FAILED; then all is as it was */
  changeAdmin(next: Config): Promise<AdminChange> | null;
  /** Another server is about to take this one's place. */
  isFollowed(): boolean;
  listenerOptions(settings: Settings): ListenerOptions;
  /** This config is in force; the server listens on all of these, and since just now on the fresh ones. */
  changed(config: Config, all: readonly ListenerAddress[], fresh: readonly ListenerAddress[]): void;
}

export interface RenewalOptions {
  /** The handler's code is the same: the workers stay. Default false. */
  readonly filesOnly?: boolean;
  /** Called in the moment in which the settings are in force. */
  readonly inForce?: () => void;
}

export class Renewal {
  readonly #rooms: RenewalRooms;
  #settings: Settings;

  constructor(settings: Settings, rooms: RenewalRooms) {
    this.#settings = settings;
    this.#rooms = rooms;
  }

  /** In force: those of the start, or of the last reload. */
  get settings(): Settings {
    return this.#settings;
  }

  startMessage(worker: number): StartMessage {
    return this.#startMessage(worker, this.#settings, this.#rooms.listeners()?.addresses ?? []);
  }

  /** For a worker that another primary has started, by settings of its own. */
  reloadMessage(): ToWorker {
    return this.#reloadMessage(this.#rooms.listeners()?.addresses ?? []);
  }

  /** Every worker serves whoever comes by the new settings, and ends what they take away from those who are there. A handler's
   *  code cannot change in a running process: there, a first new worker shows whether it starts, and the other workers are
   *  replaced after it.
   *  @throws TunnelError CONFIG_INVALID, LISTEN_FAILED, HANDLER_INVALID, WORKER_START_FAILED; then all is as it was */
  async reload(next: Settings, { filesOnly = false, inForce }: RenewalOptions = {}): Promise<void> {
    const { supervisor, log, listenerOptions, changed, changeAdmin } = this.#rooms;
    const wrong = cannotChange(this.#settings.config, next.config);
    if (wrong.length > 0) throw new TunnelError('CONFIG_INVALID', wrong.join('\n'));
    const listeners = this.#listeners();
    const before = listeners.addresses;
    const options = listenerOptions(next);
    const change = await changeListeners(listeners, options);
    const isInherited = options.fds.length > 0 && !isDeepStrictEqual(addressesOf(this.#settings), addressesOf(next));
    const { retireMs } = next.config.timeouts;
    const [first] = this.#serving();
    const byModule = !filesOnly && (this.#settings.handler !== null || next.handler !== null);
    let successor: number | undefined;
    let admin: AdminChange | null = null;
    let logs: AuditChange | undefined;
    try {
      logs = await log.prepare(next.config.log);
      admin = await changeAdmin(next.config);
      if (byModule && first !== undefined)
        successor = await supervisor.succeed(first, retireMs, (worker) =>
          this.#startMessage(worker, next, change.addresses),
        );
      this.#listeners();
    } catch (error) {
      logs?.drop();
      await Promise.all([change.drop(), admin?.drop()]);
      throw error;
    }
    // Nothing fails from here on.
    change.keep();
    admin?.keep();
    this.#settings = next;
    logs.keep();
    const own = listeners.addresses;
    changed(
      next.config,
      own,
      own.filter((address) => !before.includes(address)),
    );
    supervisor.tellAll(this.#reloadMessage(own));
    supervisor.resize(next.config.workers, retireMs);
    if (isInherited)
      log.warn(
        'listen has changed, and nothing with it: this server has its sockets from the service manager (systemctl restart the .socket unit)',
      );
    inForce?.();
    // Also those that took a dead one's place meanwhile, by the settings of before.
    if (byModule) await this.#replace(this.#serving().filter((worker) => worker !== successor));
  }

  /** Replaces the workers one by one: each serves until its successor is ready, then until its last connection has ended. The
   *  first successor that does not start ends it, and the workers that are left stay. Never rejects. */
  replaceWorkers(): Promise<void> {
    return this.#replace(this.#serving());
  }

  async #replace(old: readonly number[]): Promise<void> {
    const { supervisor, log, listeners } = this.#rooms;
    if (old.length === 0) return;
    log.info(`replacing ${old.length} workers, one by one`);
    try {
      for (const worker of old) await supervisor.succeed(worker, this.#settings.config.timeouts.retireMs);
    } catch (error) {
      if (listeners() === undefined) return; // the server ends
      log.error(`the replacement of the workers has stopped, and those that are left stay: ${reasonOf(error)}`);
      return;
    }
    log.info('the workers are replaced; the old ones end with their last connections');
  }

  /** @throws TunnelError CONFIG_INVALID while the server ends, or another takes over: that one has read its settings already, and
   *  would undo the change without a word */
  #listeners(): ServerListeners {
    if (this.#rooms.isFollowed())
      throw new TunnelError('CONFIG_INVALID', 'another server is taking over from this one: reload that one instead');
    const listeners = this.#rooms.listeners();
    if (listeners === undefined) throw new TunnelError('CONFIG_INVALID', 'the server is ending: nothing is changed');
    return listeners;
  }

  /** Workers that serve, or soon will. */
  #serving(): readonly number[] {
    const serving = this.#rooms.supervisor.workers().filter(({ state }) => state === 'ready' || state === 'starting');
    return serving.map(({ id }) => id);
  }

  #startMessage(workerId: number, settings: Settings, own: readonly ListenerAddress[]): StartMessage {
    const control = this.#rooms.control();
    return { type: 'start', ...this.#workerSettings(settings, own), workerId, control, handler: settings.handler };
  }

  #reloadMessage(own: readonly ListenerAddress[]): ToWorker {
    const settings = this.#settings;
    return { type: 'reload', ...this.#workerSettings(settings, own), written: settings.written };
  }

  #workerSettings({ config, hostKeys }: Settings, own: readonly ListenerAddress[]): WorkerSettings {
    const ownListeners = [...own, ...this.#rooms.ownSockets()];
    const admin = { ...config.admin, tokenFile: null }; // nobody there needs it, and their modules could read it
    return { config: { ...config, admin }, hostKeys, ownListeners, eventLevel: this.#rooms.log.eventLevel };
  }
}

function addressesOf({ config }: Settings): readonly string[] {
  return config.listen.map(({ address }) => address);
}
