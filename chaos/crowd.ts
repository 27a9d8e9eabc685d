/** CROWD: the clients of a run: as many as are wanted, replaced when they end.
 *  Owns them. A login that fails, and a client that ends, need a cause. */
import { setTimeout as delay } from 'node:timers/promises';
import { Client, type ClientOptions } from './client.js';
import type { Cause } from './flow.js';
import { cause, hit } from './scene.js';
import { USERS } from './setting.js';

const WANTED = 6;
/** Each so many-th one goes through the server to the one behind it. */
const JUMP_EVERY = 6;
const LOOK_MS = 100;
/** Longer than the server keeps anything for them: a dead peer's connection for 45 s, bytes for a slow target for a minute. */
const KEPT_GONE_MS = 120_000;

export interface CrowdOptions {
  /** All but what belongs to one client. */
  readonly client: Omit<ClientOptions, 'id' | 'user' | 'innerPort'>;
  readonly innerPort: number;
  readonly serverCauses: readonly Cause[];
  readonly workerCauses: readonly Cause[];
  /** Is there somebody to connect to? */
  readonly serverIsUp: () => boolean;
  readonly defect: (text: string) => void;
}

export class Crowd {
  readonly #options: CrowdOptions;
  readonly #all = new Set<Client>();
  readonly #ready = new Set<Client>();
  /** Those that have ended. The server may not know it yet, and may hold bytes of theirs that a slow target has not taken. */
  readonly #gone = new Set<Client>();
  readonly #ports: number[] = [];
  #starting = 0;
  #lastId = 0;
  #closed = false;
  logins = 0;
  refusedLogins = 0;

  constructor(options: CrowdOptions) {
    this.#options = options;
  }

  get all(): Client[] {
    return [...this.#all];
  }
  /** All of whom the server may hold something. */
  get served(): Client[] {
    return [...this.#all, ...this.#gone];
  }
  get healthy(): Client[] {
    return [...this.#ready].filter((client) => !client.isDoomed);
  }
  /** That the server was asked to bind, for all clients that there ever were. */
  get ports(): readonly number[] {
    return this.#ports;
  }

  /** Keeps the number of clients until `close`. */
  async keep(): Promise<void> {
    while (!this.#closed) {
      const { serverIsUp } = this.#options;
      const there = this.#starting + this.all.filter((client) => !client.isDoomed).length;
      if (serverIsUp() && there < WANTED) void this.#add();
      await delay(LOOK_MS);
    }
  }

  async #add(): Promise<void> {
    const { client: common, innerPort, defect } = this.#options;
    const id = ++this.#lastId;
    const startedMs = performance.now();
    this.#starting++;
    const user = USERS[id % USERS.length] ?? 'alice';
    const client = await Client.start({ ...common, id, user, innerPort: id % JUMP_EVERY === 0 ? innerPort : null });
    this.#starting--;
    client.causes.push(...this.#options.workerCauses.filter(({ endedMs }) => endedMs === null));
    this.#all.add(client);
    this.#ports.push(...client.bound.ports);
    void client.exited.then(() => {
      this.#all.delete(client);
      this.#ready.delete(client);
      this.#gone.add(client);
      setTimeout(() => this.#gone.delete(client), KEPT_GONE_MS).unref();
    });
    if (await client.ready()) {
      this.logins++;
      this.#ready.add(client);
      // Something was done to its worker before anybody knew whose it is: it may live, and is of no use.
      if (client.isDoomed) void client.leave();
      await client.exited;
      if (!client.isDoomed) defect(`client ${id} ended by itself: ${client.output}`);
      return;
    }
    if (client.isDoomed || this.#isExplained(startedMs)) this.refusedLogins++;
    else defect(`client ${id} could not log in, or had no forwards: ${client.output}`);
    client.signal('SIGKILL');
  }

  #isExplained(sinceMs: number): boolean {
    return this.#options.serverCauses.some(({ endedMs }) => endedMs === null || endedMs >= sinceMs);
  }

  /** Nobody comes any more, and all leave. Resolves when they have ended. */
  async close(): Promise<void> {
    this.#closed = true;
    hit(this.all, cause('end of the run', { effect: 'ends', lasting: true }));
    await Promise.all(this.all.map((client) => client.leave()));
  }

  kill(): void {
    this.#closed = true;
    for (const client of this.#all) client.signal('SIGKILL');
  }
}
