/** CELL: one measurement, from its first connection to its last. Owns its connections and its clock. Whatever ends it early,
 *  an interruption, a lost connection or a time without progress, rejects `failed`, and then all connections are
 *  closed: a wait inside a measurement needs no deadline of its own. */
import { once, setMaxListeners } from 'node:events';
import type { Duplex } from 'node:stream';
import type { LoadClient } from './client.js';
import { LoadError } from './errors.js';
import { type FarEnd, head, type Purpose } from './far_end.js';

export interface CellTools {
  readonly farEnd: FarEnd;
  readonly seconds: number;
  readonly signal: AbortSignal;
  /** Default 20,000. */
  readonly stallMs?: number;
  connect(signal: AbortSignal): Promise<LoadClient>;
  /** How far it is, ten times a second at most. */
  onTick(elapsedSeconds: number, operations: number, bytes: number): void;
}

/** More than a login may take: that one's own error says more. */
const STALL_MS = 20_000;
const TICK_MS = 200;
/** Dropped at the start of each measurement: windows that grow, code that is compiled. */
const WARM_UP_SHARE = 0.1;
const WARM_UP_MAX_MS = 500;

export class Cell {
  readonly farEnd: FarEnd;
  readonly failed: Promise<never>;
  readonly seconds: number;
  readonly #tools: CellTools;
  readonly #stop = new AbortController();
  readonly #clients = new Set<LoadClient>();
  readonly #timers: NodeJS.Timeout[] = [];
  readonly #latenciesMs: number[] = [];
  #fail: (error: LoadError) => void = () => {};
  #bytes = 0;
  #operations = 0;
  #progressMs = performance.now();
  #startMs = Number.POSITIVE_INFINITY;
  #endMs = Number.POSITIVE_INFINITY;
  #cpu: { readonly atMs: number; readonly micros: number } | undefined;
  #clientCpuShare = 0;

  constructor(tools: CellTools) {
    this.#tools = tools;
    this.farEnd = tools.farEnd;
    this.seconds = tools.seconds;
    this.failed = new Promise((_, reject) => (this.#fail = reject));
    this.failed.catch(() => {}); // heard by whoever runs the cell
    setMaxListeners(0, this.#stop.signal); // one for each login under way
    const aborted = (): void => this.#fail(new LoadError('ABORTED', 'stopped'));
    if (tools.signal.aborted) aborted();
    tools.signal.addEventListener('abort', aborted, { signal: this.#stop.signal });
    this.#timers.push(setInterval(() => this.#tick(), TICK_MS));
  }

  get latenciesMs(): readonly number[] {
    return this.#latenciesMs;
  }
  /** Moved between warm-up and end. */
  get bytes(): number {
    return this.#bytes;
  }
  get clientCpuShare(): number {
    this.#measureCpu(); // unless the timer was there first
    return this.#clientCpuShare;
  }
  /** True until the time is over. */
  get running(): boolean {
    return performance.now() < this.#endMs;
  }
  /** Until the time is over. */
  get leftMs(): number {
    return Math.max(0, this.#endMs - performance.now());
  }

  async connect(): Promise<LoadClient> {
    const client = await this.#tools.connect(this.#stop.signal);
    this.#clients.add(client);
    this.#progress();
    void client.closed.then((error) => {
      this.#clients.delete(client);
      if (error !== undefined) this.#fail(error);
    });
    return client;
  }

  async connectAll(count: number): Promise<readonly LoadClient[]> {
    const clients: LoadClient[] = [];
    // One after the other: many at once are what a server's limit on unfinished logins is there for.
    for (let index = 0; index < count; index++) clients.push(await this.connect());
    return clients;
  }

  /** Opens a tunnel to the far end and says what it is for. */
  async tunnel(client: LoadClient, purpose: Purpose): Promise<{ readonly channel: Duplex; readonly number: number }> {
    const channel = await this.openDirect(client);
    const number = this.farEnd.nextNumber();
    channel.write(head(purpose, number));
    return { channel, number };
  }

  /** Uses a new tunnel once and closes it. @throws LoadError VERIFICATION_FAILED unless it came out here, once */
  async arrive(channel: Duplex): Promise<void> {
    const number = this.farEnd.nextNumber();
    const ended = once(channel, 'end');
    channel.resume().end(head('arrive', number));
    await ended; // the far end closes when it has read the number
    const times = this.farEnd.arrivals(number);
    if (times !== 1) throw new LoadError('VERIFICATION_FAILED', `tunnel ${number} came out ${times} times`);
  }

  openDirect(client: LoadClient): Promise<Duplex> {
    return client.openDirect(this.farEnd.host, this.farEnd.port);
  }

  /** Starts the clock: a warm-up, then the time that counts. */
  begin(): void {
    const warmUpMs = Math.min(WARM_UP_MAX_MS, WARM_UP_SHARE * this.seconds * 1000);
    this.#startMs = performance.now() + warmUpMs;
    this.#endMs = this.#startMs + this.seconds * 1000;
    this.#timers.push(
      setTimeout(() => (this.#cpu = { atMs: performance.now(), micros: cpuMicros() }), warmUpMs),
      setTimeout(() => this.#measureCpu(), warmUpMs + this.seconds * 1000),
    );
  }

  /** An operation that was begun at `sinceMs` has ended. */
  sample(sinceMs: number, nowMs = performance.now()): void {
    this.#progress();
    this.#operations++;
    if (sinceMs >= this.#startMs && nowMs <= this.#endMs) this.#latenciesMs.push(nowMs - sinceMs);
  }

  /** Bytes that arrived at the receiving side. */
  moved(bytes: number): void {
    const nowMs = performance.now();
    this.#progressMs = nowMs;
    if (nowMs >= this.#startMs && nowMs <= this.#endMs) this.#bytes += bytes;
  }

  /** Ends all connections and waits for it. */
  async close(): Promise<void> {
    this.#stop.abort();
    for (const timer of this.#timers) clearTimeout(timer);
    this.farEnd.reset();
    await Promise.all([...this.#clients].map((client) => client.end()));
  }

  #progress(): void {
    this.#progressMs = performance.now();
  }

  #tick(): void {
    const nowMs = performance.now();
    const stallMs = this.#tools.stallMs ?? STALL_MS;
    if (nowMs - this.#progressMs > stallMs)
      this.#fail(new LoadError('STALLED', `nothing moved for ${stallMs / 1000} s`));
    const elapsed = Math.max(0, Math.min(nowMs, this.#endMs) - this.#startMs) / 1000;
    this.#tools.onTick(Number.isFinite(elapsed) ? elapsed : 0, this.#operations, this.#bytes);
  }

  #measureCpu(): void {
    if (this.#cpu === undefined) return;
    const wallMs = performance.now() - this.#cpu.atMs;
    this.#clientCpuShare = (cpuMicros() - this.#cpu.micros) / 1000 / wallMs;
    this.#cpu = undefined;
  }
}

function cpuMicros(): number {
  const { user, system } = process.cpuUsage();
  return user + system;
}
