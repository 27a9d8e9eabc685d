/** SERVER: `sallyport serve` under attack, started again whenever a fault ended it, always on the same port.
 *  Owns its processes: the primary now in service, those that drain, and the workers of killed ones until they have ended.
 *  Whatever ends that no fault explains is told as a defect. */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { setTimeout as delay } from 'node:timers/promises';
import { LogBook, type LoggedWorker } from './log_book.js';
import { commandOf, isRunning, signal, socketsOf } from './processes.js';
import { isExplained } from './worker_end.js';

export const DRAIN_MS = 5_000;
/** For a busy machine: what has to end in time and does not is a defect. */
const SLACK_MS = 20_000;
const START_MS = 60_000;
const NEXT_TRY_MS = 200;

/** One primary and its workers. */
export interface Generation {
  readonly number: number;
  readonly process: ChildProcess;
  readonly pid: number;
  readonly log: LogBook;
  /** Why it may end, once something is done that ends it. */
  ending: 'drained' | 'killed' | 'replaced' | null;
  readonly exited: Promise<void>;
}

export interface ServerOptions {
  /** `build/src/cli/main.js`. */
  readonly entry: string;
  readonly configFile: string;
  readonly workers: number;
  readonly defect: (text: string) => void;
}

export class Server {
  readonly #options: ServerOptions;
  readonly #generations: Generation[] = [];
  /** Which worker has, or had, the connection from an address and port. */
  readonly #pidOfPeer = new Map<string, number>();
  /** Workers whose end a fault explains. */
  readonly #doomed = new Set<number>();
  readonly #exits = new Map<string, number>();
  #current: Generation | null = null;
  /** Sockets of the primary and of each worker when nobody was connected. */
  #baseline: { readonly primary: number; readonly worker: number } | null = null;

  constructor(options: ServerOptions) {
    this.#options = options;
  }

  /** Null while there is none. */
  get current(): Generation | null {
    return this.#current;
  }
  get starts(): number {
    return this.#generations.length;
  }
  /** Ends of workers, by reason. */
  get exits(): ReadonlyMap<string, number> {
    return this.#exits;
  }
  /** Workers of the server in service. */
  get workers(): LoggedWorker[] {
    return this.#current?.log.running ?? [];
  }
  count(event: string): number {
    return this.#generations.reduce((sum, { log }) => sum + log.count(event), 0);
  }

  /** Resolves when it listens and every worker has started. @throws when it does not within a minute */
  async start(): Promise<void> {
    const deadlineMs = performance.now() + START_MS;
    for (;;) {
      const generation = this.#spawn();
      if (await this.#isUp(generation, deadlineMs - performance.now())) {
        this.#current = generation;
        this.#baseline ??= {
          primary: socketsOf(generation.pid),
          worker: Math.max(...generation.log.serving.map(({ pid }) => socketsOf(pid))),
        };
        return;
      }
      // Whoever had the port may hold it a moment longer.
      generation.ending = 'killed';
      signal(generation.pid, 'SIGKILL');
      await generation.exited;
      if (performance.now() > deadlineMs) throw new Error(`the server did not start: ${this.#lastWords}`);
      await delay(NEXT_TRY_MS);
    }
  }

  /** Another takes its place while everything runs (`serve --takeover`). Resolves when all of its workers have started. */
  async takeOver(generation: Generation): Promise<void> {
    const next = this.#spawn(['--takeover']);
    generation.ending = 'replaced';
    if (await this.#isUp(next, START_MS)) {
      this.#current = next;
      return;
    }
    this.#options.defect(`server ${next.number} did not take over from ${generation.number}: ${this.#lastWords}`);
    generation.ending = null;
    next.ending = 'killed';
    signal(next.pid, 'SIGKILL');
    await next.exited;
  }

  async #isUp({ log, exited }: Generation, withinMs: number): Promise<boolean> {
    const isUp = (): boolean => log.listening && log.serving.length >= this.#options.workers;
    await Promise.race([log.until(isUp), exited, delay(withinMs, null, { ref: false })]);
    return isUp();
  }

  #lastWords = '';

  #spawn(options: readonly string[] = []): Generation {
    const { entry, configFile, defect } = this.#options;
    const child = spawn(process.execPath, [entry, 'serve', '--config', configFile, ...options], {
      stdio: ['ignore', 'ignore', 'pipe'],
    });
    const log = new LogBook({
      defect: (text) => defect(`server ${generation.number}: ${text}`),
      connectionAccepted: (peer, { pid }) => this.#pidOfPeer.set(peer, pid),
      workerExited: (worker) => {
        const reason = worker.exit?.reason ?? '';
        this.#exits.set(reason, (this.#exits.get(reason) ?? 0) + 1);
        const { isLeaving, pid } = worker;
        const isDoomed = this.#doomed.has(pid);
        if (isExplained({ reason, isLeaving, isDoomed, isServerEnding: generation.ending !== null })) return;
        const words = `${reason} ${worker.exit?.detail}; the log said last: ${log.lastText}`;
        defect(`server ${generation.number}: worker ${worker.id} ended: ${words}`);
      },
    });
    const generation: Generation = {
      number: this.#generations.length + 1,
      process: child,
      pid: child.pid ?? -1,
      log,
      ending: null,
      exited: once(child, 'exit').then(() => this.#exited(generation)),
    };
    child.stderr.setEncoding('utf8').on('data', (text: string) => {
      this.#lastWords = text.slice(-2_000);
      log.feed(text);
    });
    this.#generations.push(generation);
    return generation;
  }

  #exited(generation: Generation): void {
    const { number, ending, process } = generation;
    const how = `exit code ${process.exitCode}, signal ${process.signalCode}`;
    if (ending === null) this.#options.defect(`server ${number} ended by itself: ${how}; ${this.#lastWords}`);
    if ((ending === 'drained' || ending === 'replaced') && process.exitCode !== 0)
      this.#options.defect(`server ${number} was ${ending}, and: ${how}`);
    if (this.#current === generation) this.#current = null;
  }

  /** The end of this worker is no defect. */
  doom(pid: number): void {
    this.#doomed.add(pid);
  }

  /** SIGTERM. @returns when it has ended, at the drain's deadline at the latest */
  async drain(generation: Generation): Promise<void> {
    generation.ending = 'drained';
    if (this.#current === generation) this.#current = null;
    signal(generation.pid, 'SIGTERM');
    await this.#endsWithin(generation, DRAIN_MS + SLACK_MS);
  }

  /** SIGKILL of the primary. Its workers go on, and the next primary takes them in. */
  async killPrimary(generation: Generation): Promise<void> {
    generation.ending = 'killed';
    if (this.#current === generation) this.#current = null;
    signal(generation.pid, 'SIGKILL');
    await generation.exited;
  }

  /** The worker that has the connection from this address and port; undefined where nobody has told it. */
  pidOf(peer: string): number | undefined {
    return this.#pidOfPeer.get(peer);
  }

  /** Primaries that have not ended: one whose place another has taken waits for its workers. */
  get primaries(): number[] {
    return this.#generations.flatMap(({ pid, process: { exitCode, signalCode } }) =>
      exitCode === null && signalCode === null ? [pid] : [],
    );
  }

  /** Workers, of whatever primary, that have not ended. */
  get orphans(): number[] {
    return this.#generations.flatMap(({ log }) => log.workers.map(({ pid }) => pid)).filter((pid) => this.#isOurs(pid));
  }

  async #endsWithin(generation: Generation, withinMs: number): Promise<void> {
    const ended = await Promise.race([generation.exited.then(() => true), delay(withinMs, false, { ref: false })]);
    if (ended) return;
    this.#options.defect(`server ${generation.number} did not end within ${withinMs} ms of SIGTERM`);
    this.kill();
    await generation.exited;
  }

  /** Descriptors beyond those that it holds when nobody is connected. */
  leftOver(): number {
    const generation = this.#current;
    if (generation === null || this.#baseline === null) return 0;
    const { primary, worker } = this.#baseline;
    const beyond = (pid: number, most: number): number => Math.max(0, socketsOf(pid) - most);
    const ofWorkers = generation.log.running.map(({ pid, isLeaving }) => beyond(pid, isLeaving ? 0 : worker));
    return beyond(generation.pid, primary) + ofWorkers.reduce((sum, count) => sum + count, 0);
  }

  /** Everything at once, by number. */
  kill(): void {
    for (const generation of this.#generations) generation.ending = 'killed';
    for (const pid of this.primaries) signal(pid, 'SIGKILL');
    for (const pid of this.orphans) signal(pid, 'SIGKILL');
  }

  /** A worker of a killed primary may be long gone, and its number another's. */
  #isOurs(pid: number): boolean {
    return isRunning(pid) && commandOf(pid).includes(this.#options.entry.replace(/cli\/main\.js$/, ''));
  }
}
