/** SUCCESSION: how one primary follows another on a stateDir: by taking its place while it serves, or by taking in what it left
 *  behind when it died.
 *  Owns the order of the steps: the sockets of the one that runs are held while the workers start; only when all is ready does
 *  this one accept, and only then does the other let go. */
import { mkdir, realpath } from 'node:fs/promises';
import { resolve } from 'node:path';
import { type Adoption, controlPath } from '../shared/adoption.js';
import type { ListenerAddress } from '../shared/ipc.js';
import type { JsonLines } from '../shared/json_lines.js';
import { takeoverPath } from '../shared/takeover.js';
import type { Clock } from './clock.js';
import { HandOver } from './hand_over.js';
import { holdListeners, type ListenerOptions, type ServerListeners } from './listener.js';
import { Orphanage } from './orphanage.js';
import { Predecessor } from './take_over.js';

export interface SuccessionOptions {
  readonly stateDir: string;
  /** As the config has it. */
  listen(): readonly string[];
  listeners(): ServerListeners | undefined;
  adopt(adoption: Adoption, lines: JsonLines): void;
  /** Another process accepts. Resolves when nobody comes in here any more. */
  letGo(pid: number): Promise<void>;
  info(text: string): void;
  trouble(text: string): void;
  readonly clock: Clock;
}

export class Succession {
  readonly #options: SuccessionOptions;
  readonly #orphanage: Orphanage;
  readonly #handOver: HandOver;
  #predecessor: Predecessor | null = null;
  #control: string | null = null;
  #ownSockets: readonly ListenerAddress[] = [];
  #closed = false;

  constructor(options: SuccessionOptions) {
    this.#options = options;
    this.#orphanage = new Orphanage(options);
    this.#handOver = new HandOver({
      listen: () => options.listen(),
      listeners: () => options.listeners()?.all ?? [],
      letGo: async (pid) => {
        await this.#closeSockets(); // both places are the other's from here on
        await options.letGo(pid);
      },
      trouble: options.trouble,
      clock: options.clock,
    });
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
    const stateDir = resolve(this.#options.stateDir);
    await mkdir(stateDir, { recursive: true, mode: 0o700 }).catch(nothing);
    const folder = await realpath(stateDir).catch(() => stateDir);
    this.#ownSockets = [controlPath(folder), takeoverPath(folder)].map((path) => ({ kind: 'unix', path }));
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
    if (this.#predecessor === null) await this.#open();
    else this.#control = controlPath(await realpath(stateDir)); // ours as soon as it is free
  }

  /** The workers are ready. Nothing more is done when this server has been told to stop meanwhile.
   *  @throws TunnelError LISTEN_FAILED when the one that runs has waited too long, and goes on */
  async accept(listeners: ServerListeners, options: ListenerOptions): Promise<void> {
    const predecessor = this.#predecessor;
    if (predecessor === null) return;
    predecessor.stillWaits();
    await listeners.accept(options);
    if (this.#closed) return;
    await predecessor.accepting();
    if (this.#closed) return;
    this.#options.info(`has taken over from process ${predecessor.pid}`);
    this.#predecessor = null;
    await this.#open();
  }

  async close(): Promise<void> {
    this.#closed = true;
    this.#predecessor?.giveUp();
    this.#predecessor = null;
    await this.#closeSockets();
  }

  async #open(): Promise<void> {
    const { stateDir } = this.#options;
    if (this.#closed) return;
    this.#control = await this.#orphanage.open(stateDir);
    if (!this.#closed) await this.#handOver.open(stateDir);
    if (this.#closed) await this.#closeSockets(); // told to stop while one opened
  }

  async #closeSockets(): Promise<void> {
    await Promise.all([this.#orphanage.close(), this.#handOver.close()]);
  }
}

function nothing(): void {}
