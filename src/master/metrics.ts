/** METRICS: what the whole server has counted: its workers' counts and the primary's own, in one place.
 *  Owns the totals since the start of this primary, and of each worker what it has at this moment. Workers tell each second what
 *  they have counted since; who wants exact numbers has them asked first. What a worker has told stays when it dies. */
import { countEvent } from '../shared/count_event.js';
import { Counts, entriesOf, isOfList, seriesIn, seriesOf } from '../shared/counts.js';
import type { EventSink } from '../shared/events.js';
import type { ToPrimary, ToWorker } from '../shared/ipc.js';
import type { LoopLag } from '../shared/loop_lag.js';
import { knownSeries, METRICS, type Metric } from '../shared/metrics.js';
import type { Cancel } from '../shared/timer.js';
import { ownVersion } from '../shared/version.js';
import type { Clock } from './clock.js';
import type { DoorStatus } from './door.js';
import { type Exposition, exposition, type Family } from './exposition.js';
import type { WorkerStatus } from './worker_status.js';

/** What the other rooms of the primary have at this moment. */
export interface Standing extends Pick<DoorStatus, 'refused' | 'penalised' | 'unauthenticated'> {
  readonly connections: number;
  readonly waiting: number;
  readonly workers: readonly WorkerStatus[];
  /** Since the start. */
  readonly linesLost: { readonly log: number; readonly audit: number };
}

export interface MetricsOptions {
  readonly clock: Clock;
  readonly standing: () => Standing;
  readonly tell: (worker: number, message: ToWorker) => void;
  /** Of this process. */
  readonly loopLag: LoopLag;
  /** Workers are processes, with event loops of their own. */
  readonly ownLoops: boolean;
}

/** Numbers for status pages. */
export interface Totals {
  readonly channels: number;
  readonly forwards: number;
  readonly bufferedBytes: number;
  /** Payload of channels since the start, open ones included. */
  readonly bytesIn: number;
  readonly bytesOut: number;
  /** Those that have occurred since the start. */
  readonly refusals: readonly {
    /** connection, login, channel or forward. */
    readonly what: string;
    readonly reason: string;
    readonly count: number;
  }[];
  readonly penalisedSources: number;
}

/** A worker that does not answer within this time is left with what it has told before. */
const ANSWER_MS = 1_000;
const EVERY_MS = 1_000;

/** Workers that have not answered. */
interface Round {
  readonly number: number;
  readonly waiting: Set<number>;
  readonly done: () => void;
}

export class Metrics {
  readonly #options: MetricsOptions;
  readonly #totals = new Counts();
  /** By worker that has told its counts, by series. */
  readonly #gauges = new Map<number, ReadonlyMap<string, number>>();
  readonly #startedAtMs = Date.now();
  #nativeBinding = false;
  #round: Round | null = null;
  #rounds = 0;
  #asking: Promise<void> = Promise.resolve();
  /** Begins when the round under way is over. */
  #next: Promise<void> | null = null;
  #cancelTick: Cancel = nothing;

  constructor(options: MetricsOptions) {
    this.#options = options;
  }

  /** Measures this process's own event loop from now on. */
  start(): void {
    this.#options.loopLag.start();
    this.#scheduleTick();
  }

  stop(): void {
    this.#cancelTick();
    this.#options.loopLag.stop();
  }

  // ---- what is counted

  /** Of the primary's own; a worker counts its events itself. */
  readonly event: EventSink = (event) => countEvent(this.#totals, event);

  /** A worker has taken a connection. */
  handedOver(tookMs: number): void {
    this.#totals.observe('handoff', [], tookMs / 1_000);
  }
  eventsLost(count: number): void {
    this.#totals.add('eventsLost', [], count);
  }
  /** A request to the admin API was refused for its token. */
  wrongToken(): void {
    this.#totals.add('wrongTokens', []);
  }
  workerStarted(nativeBinding: boolean): void {
    this.#nativeBinding = nativeBinding;
  }
  loaded(loopLagMs: number): void {
    if (this.#options.ownLoops) this.#totals.observe('loopLag', ['worker'], loopLagMs / 1_000);
  }

  counted(worker: number, { count, counts }: Extract<ToPrimary, { type: 'counted' }>): void {
    this.#totals.merge(counts);
    this.#gauges.set(worker, gaugesOf(counts));
    if (count === this.#round?.number) this.#answered(worker);
  }

  /** What it had is gone; what it had counted is not. */
  workerLost(worker: number): void {
    this.#gauges.delete(worker);
    this.#answered(worker);
  }

  // ---- who wants to know

  /** For Prometheus, exact to this moment. Never rejects for want of a worker. */
  async render(): Promise<Exposition> {
    await this.#ask();
    return exposition(this.#families());
  }

  /** Exact to this moment; a worker that does not answer within a second is as it last was. */
  async totals(): Promise<Totals> {
    await this.#ask();
    return this.known();
  }

  /** As workers have last told it, a second ago at most. */
  known(): Totals {
    const levels = this.#levels();
    const { counters } = this.#totals;
    const now = (metric: Metric): number => sum(seriesIn(levels, metric.name));
    return {
      ...this.load(),
      forwards: now(METRICS.forwards),
      bufferedBytes: now(METRICS.buffered),
      refusals: refusalsOf(levels, counters),
      penalisedSources: now(METRICS.penalisedSources),
    };
  }

  /** As `known`, of what needs no other room: for who looks every second. */
  load(): Pick<Totals, 'channels' | 'bytesIn' | 'bytesOut'> {
    const { counters } = this.#totals;
    const moved = (direction: 'in' | 'out'): number => counters.get(seriesOf(METRICS.bytes, [direction])) ?? 0;
    const channels = [...this.#gauges.values()].map((gauges) => sum(seriesIn(gauges, METRICS.channels.name)));
    return {
      channels: channels.reduce((all, here) => all + here, 0),
      bytesIn: moved('in'),
      bytesOut: moved('out'),
    };
  }

  // ---- rounds of questions

  /** Who asks while a round is under way waits for the next one: that one's answers may be older than the question. */
  #ask(): Promise<void> {
    const begin = (): Promise<void> => {
      this.#asking = this.#askAll();
      this.#next = null;
      return this.#asking;
    };
    this.#next ??= this.#asking.then(begin, begin); // a round that failed is the matter of those who had asked
    return this.#next;
  }

  /** Asks those that have told something before: a worker of an earlier version would not understand. */
  async #askAll(): Promise<void> {
    const waiting = new Set(this.#gauges.keys());
    if (waiting.size === 0) return;
    const { clock, tell } = this.#options;
    const number = ++this.#rounds;
    await new Promise<void>((resolve) => {
      const cancel = clock.after(ANSWER_MS, resolve);
      const done = (): void => {
        cancel();
        resolve();
      };
      this.#round = { number, waiting, done };
      for (const worker of waiting) tell(worker, { type: 'count', count: number });
    });
    this.#round = null;
  }

  #answered(worker: number): void {
    const round = this.#round;
    if (round?.waiting.delete(worker) && round.waiting.size === 0) round.done();
  }

  #scheduleTick(): void {
    this.#cancelTick = this.#options.clock.after(EVERY_MS, () => {
      this.#totals.observe('loopLag', ['primary'], this.#options.loopLag.takeMs() / 1_000);
      this.#scheduleTick();
    });
  }

  // ---- the numbers

  #families(): readonly Family[] {
    const numbers = new Map<string, number | readonly number[]>();
    for (const metric of Object.values<Metric>(METRICS))
      for (const labels of knownSeries(metric)) numbers.set(seriesOf(metric, labels), zeroOf(metric));
    for (const table of [this.#totals.counters, this.#totals.histograms, this.#levels()])
      for (const [series, value] of table) numbers.set(series, value);
    return Object.values<Metric>(METRICS).map((metric) => ({ metric, series: seriesIn(numbers, metric.name) }));
  }

  /** What is not added up here, by series: how it is now, and what other rooms count. */
  #levels(): ReadonlyMap<string, number> {
    const { connections, waiting, unauthenticated, refused, penalised, workers, linesLost } = this.#options.standing();
    const levels = new Map<string, number>();
    const add = (series: string, value: number): void => {
      levels.set(series, (levels.get(series) ?? 0) + value);
    };
    for (const gauges of this.#gauges.values()) for (const [series, value] of gauges) add(series, value);
    add(seriesOf(METRICS.connections, ['waiting']), waiting);
    add(seriesOf(METRICS.connections, ['login']), Math.max(0, unauthenticated - waiting));
    add(seriesOf(METRICS.connections, ['open']), connections - unauthenticated);
    for (const [reason, count] of Object.entries(refused))
      add(seriesOf(METRICS.refusals, ['connection', reason]), count);
    add(seriesOf(METRICS.penalisedSources, []), penalised);
    for (const { state } of workers) add(seriesOf(METRICS.workers, [state]), 1);
    for (const [file, count] of Object.entries(linesLost)) add(seriesOf(METRICS.linesLost, [file]), count);
    add(METRICS.nativeBinding.name, this.#nativeBinding ? 1 : 0);
    add(METRICS.startTime.name, this.#startedAtMs / 1_000);
    add(seriesOf(METRICS.buildInfo, [ownVersion(), process.version]), 1);
    return levels;
  }
}

/** Those of our list that a worker has. */
function gaugesOf(counts: unknown): ReadonlyMap<string, number> {
  const gauges = new Map<string, number>();
  for (const [series, value] of entriesOf(counts, 'gauges'))
    if (isOfList(series, 'gauge') && typeof value === 'number' && Number.isFinite(value)) gauges.set(series, value);
  return gauges;
}

function zeroOf({ buckets }: Metric): number | readonly number[] {
  return buckets === undefined ? 0 : new Array<number>(buckets.length + 2).fill(0);
}

/** By what was refused and why; a failed login whatever its method was. */
function refusalsOf(levels: ReadonlyMap<string, number>, counters: ReadonlyMap<string, number>): Totals['refusals'] {
  const counts = new Map<string, Totals['refusals'][number]>();
  const add = (what: string | undefined, reason: string | undefined, count: number): void => {
    if (what === undefined || reason === undefined || count === 0) return;
    const key = `${what} ${reason}`;
    counts.set(key, { what, reason, count: (counts.get(key)?.count ?? 0) + count });
  };
  for (const table of [levels, counters])
    for (const [[what, reason], count] of seriesIn(table, METRICS.refusals.name)) add(what, reason, count);
  for (const [[, result], count] of seriesIn(counters, METRICS.logins.name))
    if (result !== 'accepted' && result !== 'partial') add('login', result, count);
  return [...counts.values()];
}

function sum(series: readonly (readonly [labels: readonly string[], value: number])[]): number {
  return series.reduce((so, [, value]) => so + value, 0);
}

function nothing(): void {}
