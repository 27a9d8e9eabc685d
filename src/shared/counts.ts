/** COUNTS: numbers under names of the list of metrics: what a worker has counted and not told yet, or what a primary has added up
 *  of all of them.
 *  Owns the numbers. A series is the metric's name and its label values, with blanks between them. What comes from another
 *  process may come from another version: names, labels and shapes that are not of the list are dropped. */
import { type CounterId, type HistogramId, METRICS, type Metric } from './metrics.js';

/** As it travels. */
export interface Counted {
  /** By series: how much more it is. */
  readonly counters: Readonly<Record<string, number>>;
  /** By series: observations more in each bucket, those beyond the last bound, and how much more the sum is. */
  readonly histograms: Readonly<Record<string, readonly number[]>>;
}

/** Series of one metric at most. Only a process that is not ours could have more. */
const MAX_SERIES = 256;
/** What a label's value looks like. */
const LABEL = /^[\w@.-]{1,64}$/;

export class Counts {
  #counters = new Map<string, number>();
  #histograms = new Map<string, number[]>();
  /** By name: series that came from elsewhere. */
  readonly #merged = new Map<string, number>();

  add(id: CounterId, labels: readonly string[], by = 1): void {
    if (by !== 0) this.#add(seriesOf(METRICS[id], labels), by);
  }

  observe(id: HistogramId, labels: readonly string[], seconds: number): void {
    const { buckets } = METRICS[id];
    const numbers = this.#numbers(seriesOf(METRICS[id], labels), buckets.length);
    const bucket = buckets.findIndex((bound) => seconds <= bound);
    const at = bucket === -1 ? buckets.length : bucket;
    numbers[at] = (numbers[at] ?? 0) + 1;
    numbers[buckets.length + 1] = (numbers[buckets.length + 1] ?? 0) + seconds;
  }

  /** What was counted since the last time that this was asked. */
  take(): Counted {
    const counted: Counted = {
      counters: Object.fromEntries(this.#counters),
      histograms: Object.fromEntries(this.#histograms),
    };
    this.#counters = new Map();
    this.#histograms = new Map();
    return counted;
  }

  /** Adds what another process has counted. */
  merge(counted: unknown): void {
    for (const [series, by] of entriesOf(counted, 'counters')) {
      const known = this.#known(series, 'counter', this.#counters);
      if (known && typeof by === 'number' && Number.isFinite(by) && by > 0) this.#add(series, by);
    }
    for (const [series, more] of entriesOf(counted, 'histograms')) {
      const metric = metricOf(series);
      if (metric?.buckets === undefined || !this.#known(series, 'histogram', this.#histograms)) continue;
      if (!Array.isArray(more) || more.length !== metric.buckets.length + 2 || !more.every(isCount)) continue;
      const numbers = this.#numbers(series, metric.buckets.length);
      for (const [at, by] of more.entries()) numbers[at] = (numbers[at] ?? 0) + by;
    }
  }

  /** By series. */
  get counters(): ReadonlyMap<string, number> {
    return this.#counters;
  }
  /** By series: observations in each bucket, those beyond, the sum. */
  get histograms(): ReadonlyMap<string, readonly number[]> {
    return this.#histograms;
  }

  #add(series: string, by: number): void {
    this.#counters.set(series, (this.#counters.get(series) ?? 0) + by);
  }

  #numbers(series: string, buckets: number): number[] {
    let numbers = this.#histograms.get(series);
    if (numbers === undefined) {
      numbers = new Array<number>(buckets + 2).fill(0);
      this.#histograms.set(series, numbers);
    }
    return numbers;
  }

  /** A bound on what a process may make grow that is not ours. */
  #known(series: string, type: Metric['type'], among: ReadonlyMap<string, unknown>): boolean {
    if (among.has(series)) return true;
    const name = nameOf(series);
    const merged = this.#merged.get(name) ?? 0;
    if (merged >= MAX_SERIES || !isOfList(series, type)) return false;
    this.#merged.set(name, merged + 1);
    return true;
  }
}

/** Is it a series that a metric of this type may have? */
export function isOfList(series: string, type: Metric['type']): boolean {
  const metric = metricOf(series);
  if (metric?.type !== type) return false;
  const labels = labelsOf(series);
  return labels.length === Object.keys(metric.labels).length && labels.every((label) => LABEL.test(label));
}

/** Also for what is no count, but as it is now. */
export function seriesOf({ name }: Metric, labels: readonly string[]): string {
  return labels.length === 0 ? name : `${name} ${labels.join(' ')}`;
}

function labelsOf(series: string): readonly string[] {
  return series.split(' ').slice(1);
}

/** Series of this metric with what they have. */
export function seriesIn<V>(among: ReadonlyMap<string, V>, name: string): [labels: readonly string[], value: V][] {
  return [...among].filter(([series]) => nameOf(series) === name).map(([series, value]) => [labelsOf(series), value]);
}

/** Whatever another process calls a table of numbers by series, as entries. */
export function entriesOf(from: unknown, key: string): readonly (readonly [string, unknown])[] {
  const table: unknown = Reflect.get(Object(from), key);
  return typeof table === 'object' && table !== null ? Object.entries(table) : [];
}

function metricOf(series: string): Metric | undefined {
  return BY_NAME.get(nameOf(series));
}

function nameOf(series: string): string {
  const end = series.indexOf(' ');
  return end === -1 ? series : series.slice(0, end);
}

function isCount(value: unknown): value is number {
  return typeof value === 'number' && Number.isFinite(value) && value >= 0;
}

const BY_NAME: ReadonlyMap<string, Metric> = new Map(Object.values(METRICS).map((metric) => [metric.name, metric]));
