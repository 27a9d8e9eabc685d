/** PRIMARY: the life of a server: start, reload, another in its place, drain, end.
 *  Owns the rooms and joins them; no process signal and no environment in here. */
import type { Config } from '../shared/config.js';
import type { EventSink } from '../shared/events.js';
import { requireHandles } from '../shared/handles.js';
import type { ListenerAddress } from '../shared/ipc.js';
import { LoopLag } from '../shared/loop_lag.js';
import { Admin } from './admin/admin.js';
import type { Feed } from './admin/feed.js';
import type { Steering } from './admin/served.js';
import { Bandwidth } from './bandwidth.js';
import type { Clock } from './clock.js';
import { Entrance } from './entrance.js';
import type { Log } from './event_log.js';
import { HANDOFF_TIMING, type HandoffTiming } from './handoff.js';
import { Hints } from './hints.js';
import { LEASE_DESK_TIMING, LeaseDesk, type LeaseDeskTiming } from './lease_desk.js';
import { Ledger } from './ledger.js';
import { type ListenerOptions, openListeners, peerText, type ServerListeners } from './listener.js';
import { Metrics } from './metrics.js';
import { MUSTER_TIMING, type MusterTiming } from './muster.js';
import { unclearProxies } from './proxies.js';
import { Renewal, type RenewalOptions } from './renewal.js';
import { type RouterRooms, route } from './router.js';
import type { Settings } from './settings.js';
import type { PrimaryStatus } from './status.js';
import { Succession } from './succession.js';
import { Supervisor } from './supervisor.js';
import { Survey } from './survey.js';
import { UsedCodes } from './used_codes.js';
import type { Fork } from './worker_process.js';
import { SUPERVISOR_TIMING, type SupervisorTiming } from './worker_status.js';
import { Workforce } from './workforce.js';

export interface PrimaryTiming {
  readonly handoff: HandoffTiming;
  readonly supervisor: SupervisorTiming;
  readonly leaseDesk: LeaseDeskTiming;
  readonly muster: MusterTiming;
}

export const PRIMARY_TIMING: PrimaryTiming = {
  handoff: HANDOFF_TIMING,
  supervisor: SUPERVISOR_TIMING,
  leaseDesk: LEASE_DESK_TIMING,
  muster: MUSTER_TIMING,
};

/** Keeps a process alive that waits for children which do not hold it. */
const HOLD_MS = 2 ** 30;

export interface PrimaryOptions extends Settings {
  readonly fork: Fork;
  /** Workers are processes that may outlive their primary: they are told where to look for the next one, and those of an
   *  earlier one are taken in. */
  readonly workersOutlive: boolean;
  /** Takes the place of the server that runs on this stateDir and these addresses, where one does. */
  readonly takeover: boolean;
  /** Inherited listening sockets. */
  readonly fds: readonly number[];
  /** Sockets that may wait for a worker. */
  readonly maxWaiting: number;
  readonly log: Log;
  readonly clock: Clock;
  /** From 0 up to but not including 1. */
  readonly random: () => number;
  readonly timing?: PrimaryTiming;
  /** What the admin API needs of whoever starts the primary; without it there is none, whatever the config says. */
  readonly admin?: { readonly feed: Feed; readonly steering: Steering };
}

export class Primary {
  /** What the server has counted. */
  readonly metrics: Metrics;
  /** What is connected, and what goes through it. */
  readonly survey: Survey;
  readonly #options: PrimaryOptions;
  readonly #renewal: Renewal;
  readonly #ledger: Ledger;
  readonly #entrance: Entrance;
  readonly #desk: LeaseDesk;
  readonly #bandwidth = new Bandwidth();
  readonly #usedCodes = new UsedCodes();
  readonly #hints = new Hints();
  readonly #supervisor: Supervisor;
  readonly #workforce: Workforce;
  readonly #rooms: RouterRooms;
  /** Null where no other process can follow this one. */
  readonly #succession: Succession | null;
  /** Keeps this process alive while another server has its place; null while none has. */
  #holding: NodeJS.Timeout | null = null;
  #superseded: () => void = nothing;
  /** Resolves when another server has taken this one's place, and all workers of this one have ended. */
  readonly superseded = new Promise<void>((resolve) => {
    this.#superseded = resolve;
  });
  /** Null where nobody can ask for one. */
  readonly #admin: Admin | null;
  #listeners: ServerListeners | undefined;
  #draining = false;

  constructor(options: PrimaryOptions) {
    const { clock, config, timing = PRIMARY_TIMING } = options;
    this.#options = options;
    this.metrics = new Metrics({
      clock,
      standing: () => ({ ...this.status(), linesLost: options.log.linesLost }),
      tell: (worker, message) => this.#supervisor.tell(worker, message),
      loopLag: new LoopLag(),
      ownLoops: options.workersOutlive,
    });
    this.#ledger = new Ledger({ random: options.random });
    this.#supervisor = new Supervisor({
      workers: config.workers,
      fork: options.fork,
      startMessage: (workerId) => this.#renewal.startMessage(workerId),
      clock,
      timing: timing.supervisor,
      events: {
        message: (worker, message) => route(this.#rooms, worker, message),
        started: (worker, nativeBinding) => this.#workforce.started(worker, nativeBinding),
        lost: (worker, end, how) => this.#workforce.lost(worker, end, how),
        available: () => this.#entrance.handoff.pump(),
        trouble: (text) => options.log.error(text),
      },
    });
    this.survey = new Survey({
      workers: () => this.#supervisor.workers().flatMap(({ id, state }) => (state === 'starting' ? [] : [id])),
      look: (worker, look, query) => this.#supervisor.tell(worker, { type: 'look', look, query }),
      clock,
    });
    this.#admin = this.#newAdmin();
    this.#renewal = new Renewal(options, {
      supervisor: this.#supervisor,
      log: options.log,
      listeners: () => (this.#draining ? undefined : this.#listeners),
      control: () => this.#succession?.control ?? null,
      ownSockets: () => this.#ownSockets(),
      changeAdmin: (next) => this.#admin?.change(next) ?? null,
      isFollowed: () => this.#succession?.isUnderWay ?? false,
      listenerOptions: (settings) => this.#listenerOptions(settings),
      changed: (config, all, fresh) => {
        this.#entrance.door.configure(config);
        this.#reserve(all);
        this.#warnOfProxies(config);
        this.#tellListening(fresh);
      },
    });
    this.#entrance = new Entrance({
      ...options,
      ledger: this.#ledger,
      supervisor: this.#supervisor,
      isDraining: () => this.#draining,
      event: this.#event,
      handedOver: (tookMs) => this.metrics.handedOver(tookMs),
      timing: timing.handoff,
      lateMs: timing.supervisor.lateMs,
    });
    this.#desk = new LeaseDesk(
      this.#ledger,
      {
        probe: (worker, probe, id, timeoutMs) => this.#supervisor.tell(worker, { type: 'probe', probe, id, timeoutMs }),
        close: (worker, id, reason) => this.#supervisor.tell(worker, { type: 'close', id, reason }),
      },
      clock,
      timing.leaseDesk,
      () => this.#succession?.complete ?? null,
    );
    this.#workforce = new Workforce({
      supervisor: this.#supervisor,
      ledger: this.#ledger,
      entrance: this.#entrance,
      desk: this.#desk,
      usedCodes: this.#usedCodes,
      survey: this.survey,
      metrics: this.metrics,
      log: options.log,
      event: this.#event,
      clock,
      isReplaced: () => this.isReplaced,
      retireMs: () => this.#renewal.settings.config.timeouts.retireMs,
      reloadMessage: () => this.#renewal.reloadMessage(),
    });
    this.#succession = options.workersOutlive
      ? new Succession({
          stateDir: config.stateDir,
          listen: () => this.#renewal.settings.config.listen.map(({ address }) => address),
          listeners: () => this.#listeners,
          adopt: (adoption, lines) => this.#workforce.adopt(adoption, lines),
          letGo: (pid) => this.#letGo(pid),
          info: (text) => options.log.info(text),
          trouble: (text) => options.log.warn(text),
          clock,
          timing: timing.muster,
        })
      : null;
    this.#rooms = {
      ledger: this.#ledger,
      door: this.#entrance.door,
      desk: this.#desk,
      handoff: this.#entrance.handoff,
      proxied: (id, client) => this.#entrance.proxied(id, client),
      event: (event) => {
        if (this.#hints.isNews(event)) options.log.event(event);
      },
      metrics: this.metrics,
      seen: (worker, look, seen, isLast) => this.survey.seen(worker, look, seen, isLast),
      code: (use) => this.#usedCodes.judge(use, clock.nowMs()),
      complete: () => this.#succession?.complete ?? null,
      bandwidth: (worker, want) => this.#bandwidth.grant(worker, want, clock.nowMs()),
      tell: (worker, message) => this.#supervisor.tell(worker, message),
      lost: (worker, count) => {
        this.metrics.eventsLost(count);
        options.log.lost(worker, count);
      },
      trouble: (text) => options.log.error(text),
    };
  }

  /** Listens, then starts the workers; peers that come in between wait.
   *  @returns the addresses, with the ports that port 0 became
   *  @throws TunnelError LISTEN_FAILED or WORKER_START_FAILED; then nothing is left running */
  async start(): Promise<readonly ListenerAddress[]> {
    requireHandles();
    this.metrics.start();
    const options = this.#listenerOptions(this.#renewal.settings);
    const { takeover, fds } = this.#options;
    try {
      const taken = takeover && fds.length === 0 ? await this.#succession?.takeListeners() : null;
      const listeners = taken ?? (await openListeners(options));
      this.#listeners = listeners;
      await Promise.all([this.#succession?.locate(), this.#admin?.locate()]);
      this.#reserve(listeners.addresses);
      await this.#succession?.begin();
      await this.#admin?.open(taken !== null && taken !== undefined);
      this.#reserve(listeners.addresses); // once more, with the port that the kernel has chosen for the admin API
      if (this.#draining) {
        await this.#close(); // told to stop meanwhile
        return [];
      }
      await this.#supervisor.start();
      await this.#succession?.accept(listeners, options);
      await this.#admin?.openNow();
      this.#warnOfProxies(this.#renewal.settings.config);
      this.#tellListening(listeners.addresses);
      return listeners.addresses;
    } catch (error) {
      await this.kill();
      throw error;
    }
  }

  /** Puts other settings in force, as one step or not at all.
   *  @param inForce called in that moment
   *  @throws TunnelError that says why not; then all is as it was */
  reload(next: Settings, options: RenewalOptions = {}): Promise<void> {
    return this.#renewal.reload(next, options);
  }

  /** Replaces the workers one by one. Never rejects. */
  replaceWorkers(): Promise<void> {
    return this.#renewal.replaceWorkers();
  }

  #listenerOptions({ config }: Settings): ListenerOptions {
    const { fds, clock, log } = this.#options;
    return {
      listen: config.listen.map(({ address }) => address),
      fds,
      clock,
      events: {
        arrived: (socket) => this.#entrance.arrived(socket),
        trouble: (text) => log.warn(text),
      },
    };
  }

  #reserve(listeners: readonly ListenerAddress[]): void {
    this.#ledger.reserve([...listeners, ...this.#ownSockets()]);
  }

  /** Beside those at which it takes SSH connections. */
  #ownSockets(): readonly ListenerAddress[] {
    return [...(this.#succession?.ownSockets ?? []), ...(this.#admin?.own ?? [])];
  }

  #newAdmin(): Admin | null {
    const { admin, config, clock, log } = this.#options;
    if (admin === undefined) return null;
    const { feed, steering } = admin;
    return new Admin({
      config,
      served: {
        ...steering,
        feed,
        clock,
        survey: this.survey,
        metrics: this.metrics,
        status: () => this.status(),
        connections: () => this.#ledger.size,
        addresses: () => this.addresses,
        end: (id) => this.#end(id),
      },
      info: (text) => log.info(text),
      trouble: (text) => log.warn(text),
    });
  }

  /** Nobody's header counts there, and who comes by a proxy is refused: an operator has to know why. */
  #warnOfProxies({ listen }: Config): void {
    const names = this.#listeners?.names ?? [];
    const addresses = this.#listeners?.addresses ?? [];
    const entries = addresses.flatMap((address, index) =>
      address.kind === 'tcp' ? [{ ...address, name: names[index] ?? '' }] : [],
    );
    for (const text of unclearProxies(listen, entries)) this.#options.log.warn(text);
  }

  #tellListening(addresses: readonly ListenerAddress[]): void {
    for (const address of addresses)
      if (address.kind === 'tcp')
        this.#options.log.event({
          event: 'server.listening',
          address: peerText({ address: address.address, port: address.port }),
        });
  }

  /** Nothing new comes in; what runs may end until `timeouts.drain`. @returns true when all workers went by themselves */
  async drain(): Promise<boolean> {
    if (this.#isSuperseded()) return true;
    const { log } = this.#options;
    if (!this.#draining) log.event({ event: 'server.draining', detail: this.#drainText() });
    this.#draining = true;
    const closed = this.#close();
    this.#entrance.handoff.drain();
    const clean = await this.#supervisor.drain(this.#renewal.settings.config.timeouts.drainMs);
    this.#entrance.handoff.close();
    await closed;
    await this.#admin?.close(); // there until the end: who drains wants to see how it goes
    this.#entrance.door.close();
    this.metrics.stop();
    return clean;
  }

  /** Nobody comes in any more, neither peers nor orphans. */
  async #close(): Promise<void> {
    await Promise.all([this.#listeners?.close(), this.#succession?.close()]);
  }

  /** Another process accepts in this one's place. Sockets that wait for a worker get one of ours still; then the workers go on
   *  to the other, and this process has nothing more to do than to wait for their end: it may be what a service manager takes
   *  for the server. They go together, when no socket is on its way to any of them, which takes some milliseconds: what one that
   *  hangs does not take needs another one to go to.
   *  @returns their process numbers */
  async #letGo(pid: number): Promise<readonly number[]> {
    const { log } = this.#options;
    log.event({
      event: 'server.draining',
      detail: `process ${pid} has taken over, and goes on with ${this.#ledger.size} connections`,
    });
    this.#draining = true;
    this.#holding = setInterval(nothing, HOLD_MS);
    await Promise.all([this.#listeners?.close(), this.#admin?.close()]); // its place is the other's as well
    void this.#entrance.handoff
      .emptied()
      .then(() => {
        this.#entrance.door.close(); // what was counted last is told before the wait
        return this.#supervisor.release();
      })
      .then(() => {
        this.#superseded();
      });
    return this.#supervisor.workers().flatMap(({ state, pid }) => (state === 'starting' ? [] : [pid]));
  }

  #isSuperseded(): boolean {
    if (this.#holding === null) return false;
    clearInterval(this.#holding);
    return true;
  }

  /** For whoever waits at a terminal. */
  #drainText(): string {
    const { size } = this.#ledger;
    const seconds = Math.round(this.#renewal.settings.config.timeouts.drainMs / 1_000);
    const wait =
      size === 0
        ? 'no connections'
        : `${size === 1 ? '1 connection' : `${size} connections`} may end within ${seconds} s`;
    return `${wait}; a second signal ends everything at once`;
  }

  /** Ends everything at once. */
  async kill(): Promise<void> {
    if (this.#isSuperseded()) return; // what runs is another's
    this.#draining = true;
    const closed = this.#close();
    this.#entrance.handoff.close();
    this.#supervisor.kill();
    await this.#supervisor.drain(0);
    await closed;
    await this.#admin?.close();
    this.#entrance.door.close();
    this.metrics.stop();
  }

  /** Another process is the server by now; this one waits for its workers' end. */
  get isReplaced(): boolean {
    return this.#holding !== null;
  }

  /** Where it listens, or has listened. */
  get addresses(): readonly ListenerAddress[] {
    return this.#listeners?.addresses ?? [];
  }

  /** In force. */
  get settings(): Settings {
    return this.#renewal.settings;
  }

  status(): PrimaryStatus {
    return {
      draining: this.#draining,
      connections: this.#ledger.size,
      waiting: this.#entrance.handoff.size,
      handoff: { ...this.#entrance.handoff.counters },
      ...this.#entrance.door.status(),
      workers: this.#supervisor.workers(),
    };
  }

  /** @returns false when there is no such connection */
  #end(id: number): boolean {
    for (const connection of this.#ledger.connections()) {
      if (connection.id !== id || connection.worker === null) continue;
      this.#supervisor.tell(connection.worker, { type: 'close', id: connection.id, reason: 'KILLED' });
      return true;
    }
    return false;
  }

  /** The primary's own events, for the metrics and the log. Workers count theirs themselves. */
  readonly #event: EventSink = (event) => {
    this.metrics.event(event);
    this.#options.log.event(event);
  };
}

function nothing(): void {}
