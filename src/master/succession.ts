/** SUCCESSION: how one primary follows another on a stateDir: by taking its place while it serves, or by taking in what it left
 *  behind when it died.
 *  Owns the order of the steps: the sockets of the one that runs are held while the workers start; only when all is ready does
 *  this one accept, and only then does the other let go. Until its workers have come, what they hold is not known (DECISIONS 60). */
import { mkdir, realpath } from 'node:fs/promises';
import { resolve } from 'node:path';
import { type Adoption, controlPath } from '../shared/adoption.js';
import { reasonOf } from '../shared/errors.js';
import type { ListenerAddress } from '../shared/ipc.js';
import type { JsonLines } from '../shared/json_lines.js';
import { takeoverPath } from '../shared/takeover.js';
import type { Cancel } from '../shared/timer.js';
import type { Clock } from './clock.js';
import { HandOver } from './hand_over.js';
import { holdListeners, type ListenerOptions, type ServerListeners } from './listener.js';
import { MUSTER_TIMING, Muster, type MusterTiming } from './muster.js';
import { Orphanage } from './orphanage.js';
import { Predecessor } from './take_over.js';

/** The places of a primary's own sockets. */
export async function ownSocketsIn(stateDir: string): Promise<readonly ListenerAddress[]> {
  const folder = await realpath(stateDir).catch(() => resolve(stateDir));
  return [controlPath(folder), takeoverPath(folder)].map((path) => ({ kind: 'unix', path }));
}

export interface SuccessionOptions {
  readonly stateDir: string;
  /** As the config has it. */
  listen(): readonly string[];
  listeners(): ServerListeners | undefined;
  adopt(adoption: Adoption, lines: JsonLines): void;
  /** Another process accepts. Resolves when nobody comes in here any more, with the process numbers of the workers that look for
   *  it. */
  letGo(pid: number): Promise<readonly number[]>;
  info(text: string): void;
  trouble(text: string): void;
  readonly clock: Clock;
  readonly timing?: MusterTiming;
}

/** How often the place of one is tried that has not let go of it. */
const OPEN_AGAIN_MS = 1_000;

export class Succession {
  readonly #options: SuccessionOptions;
  readonly #timing: MusterTiming;
  readonly #muster: Muster;
  readonly #orphanage: Orphanage;
  readonly #handOver: HandOver;
  #predecessor: Predecessor | null = null;
  #control: string | null = null;
  #ownSockets: readonly ListenerAddress[] = [];
  #cancelOpen: Cancel = nothing;
  #closed = false;

  constructor(options: SuccessionOptions) {
    this.#options = options;
    this.#timing = options.timing ?? MUSTER_TIMING;
    this.#muster = new Muster(options.clock);
    this.#orphanage = new Orphanage({
      adopt: (adoption, lines) => {
        options.adopt(adoption, lines);
        this.#muster.came(adoption.pid);
      },
      trouble: options.trouble,
    });
    this.#handOver = new HandOver({
      listen: () => options.listen(),
      listeners: () => options.listeners()?.all ?? [],
      letGo: async (pid) => {
        await this.#closeSockets(); // both places are the other's from here on
        return await options.letGo(pid);
      },
      trouble: options.trouble,
      clock: options.clock,
    });
  }

  /** Resolves when all workers of an earlier primary have reported what they hold, as far as can be waited for; null: they
   *  have. Nothing of which they may hold a part is to be granted before. */
  get complete(): Promise<void> | null {
    return this.#muster.complete;
  }

  /** Where workers that have lost their primary look for one; null when nowhere. */
  get control(): string | null {
    return this.#control;
  }

  /** By their real paths; known from `locate` on. A tenant whose patterns reach into stateDir must neither speak to a primary
   *  there nor listen in its place, and that whether these are open, another server's, or could not be opened. */
  get ownSockets(): readonly ListenerAddress[] {
    return this.#ownSockets;
  }

  /** Before anybody can ask for anything. Never rejects: whoever opens a socket there tells what is wrong with the folder. */
  async locate(): Promise<void> {
    await mkdir(resolve(this.#options.stateDir), { recursive: true, mode: 0o700 }).catch(nothing);
    this.#ownSockets = await ownSocketsIn(this.#options.stateDir);
  }

  /** Another server has asked for this one's place, and does not accept yet. */
  get isUnderWay(): boolean {
    return this.#handOver.isUnderWay;
  }

  /** @returns the sockets of the server that runs, held; null when there is none
   *  @throws TunnelError LISTEN_FAILED when it refuses */
  async takeListeners(): Promise<ServerListeners | null> {
    const { stateDir, listen, info, clock } = this.#options;
    this.#predecessor = await Predecessor.find(stateDir, listen(), clock);
    if (this.#predecessor !== null) return holdListeners(await this.#predecessor.listeners());
    info('no server runs here to take over from: this one begins anew');
    return null;
  }

  /** Before the workers start: they are told of `control`. */
  async begin(): Promise<void> {
    const { stateDir } = this.#options;
    if (this.#predecessor === null) {
      if (!(await this.#open()))
        this.#options.trouble(
          `${controlPath(stateDir)}: another server uses this stateDir; if this one's primary dies, its workers are on their own`,
        );
    } else this.#control = controlPath(await realpath(stateDir)); // ours as soon as it is free
  }

  /** The workers are ready. Nothing more is done when this server has been told to stop meanwhile.
   *  @throws TunnelError LISTEN_FAILED when the one that runs has waited too long, and goes on */
  async accept(listeners: ServerListeners, options: ListenerOptions): Promise<void> {
    const predecessor = this.#predecessor;
    if (predecessor === null) return;
    predecessor.stillWaits();
    this.#muster.call(this.#timing.releasedMs, (missing) => this.#late(missing ?? []));
    await listeners.accept(options);
    if (this.#closed) return;
    const workers = await predecessor.accepting();
    if (this.#closed) return;
    this.#options.info(`has taken over from process ${predecessor.pid}`);
    this.#predecessor = null;
    if (workers !== null) this.#muster.await(workers);
    await this.#openAtLast(predecessor.pid);
  }

  async close(): Promise<void> {
    this.#closed = true;
    this.#predecessor?.giveUp();
    this.#predecessor = null;
    this.#cancelOpen();
    this.#muster.end();
    await this.#closeSockets();
  }

  /** One that hangs has the places still, and lets go when it wakes: then its workers are to find somebody. */
  async #openAtLast(pid: number): Promise<void> {
    if (await this.#open()) return;
    this.#options.trouble(`process ${pid} has not let go yet: what its workers hold is not known before it does`);
    this.#openLater();
  }

  #openLater(): void {
    const { clock, trouble } = this.#options;
    this.#cancelOpen = clock.after(OPEN_AGAIN_MS, () => {
      this.#open().then(
        (isOpen) => isOpen || this.#openLater(),
        (error: unknown) => trouble(reasonOf(error)),
      );
    });
  }

  /** @returns false while another process listens there */
  async #open(): Promise<boolean> {
    const { stateDir } = this.#options;
    if (this.#closed) return true;
    const refuge = await this.#orphanage.open(stateDir);
    if (refuge === 'taken') return false;
    this.#control = refuge?.path ?? null;
    if (refuge === null) this.#muster.end();
    else if (refuge.wasLeft && !this.#closed) this.#muster.call(this.#timing.orphanedMs, nothing);
    if (!this.#closed) await this.#handOver.open(stateDir);
    if (this.#closed) await this.#closeSockets(); // told to stop while one opened
    return true;
  }

  #late(missing: readonly number[]): void {
    if (missing.length === 0) return;
    const seconds = this.#timing.releasedMs / 1_000;
    this.#options.trouble(
      `workers of the server before that have not reported within ${seconds} s: processes ${missing.join(', ')}; what they hold is not known yet`,
    );
  }

  async #closeSockets(): Promise<void> {
    await Promise.all([this.#orphanage.close(), this.#handOver.close()]);
  }
}

function nothing(): void {}
