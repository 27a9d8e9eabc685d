/** REFUSAL LOG: the peers that were turned away at the door, as status pages and the log tell them.
 *  Owns the counts, and what has been refused and not been told yet. Each refusal is a line of its own until they come too
 *  fast; then one line a second for each reason tells how many, and from where. Every refusal is in exactly one line. */
import type { RefuseReason } from '../shared/errors.js';
import type { ConnectionEvent } from '../shared/events.js';
import { TokenBucket } from '../shared/limiter.js';
import type { Cancel } from '../shared/timer.js';
import type { Clock } from './clock.js';

type RefusedEvent = Extract<ConnectionEvent, { event: 'connection.refused' }>;

/** One peer that was turned away. */
export type Refused = Omit<RefusedEvent, 'event' | 'count' | 'detail'>;

/** What an operator reads line by line; a flood is a thousand a second. */
const TOLD_SINGLY = { burst: 50, perSecond: 1 };
const EVERY_MS = 1_000;
/** Sources that are counted one by one within a second, and those of them that the line names. */
const MAX_SOURCES = 10_000;
const NAMED = 8;

interface Untold {
  count: number;
  readonly bySource: Map<string, number>;
}

export class RefusalLog {
  readonly #tell: (event: RefusedEvent) => void;
  readonly #clock: Clock;
  readonly #singly: TokenBucket;
  readonly #untold = new Map<RefuseReason, Untold>();
  #cancel: Cancel | undefined;
  readonly #counts: { [reason in RefuseReason]: number } = {
    AT_CAPACITY: 0,
    STARTUPS: 0,
    SOURCE_STARTUPS: 0,
    PENALTY: 0,
    NO_WORKER: 0,
    HANDOFF_FAILED: 0,
    DRAINING: 0,
  };

  constructor(tell: (event: RefusedEvent) => void, clock: Clock) {
    this.#tell = tell;
    this.#clock = clock;
    this.#singly = new TokenBucket(TOLD_SINGLY, clock.nowMs());
  }

  /** Since the start, by reason. */
  get counts(): { readonly [reason in RefuseReason]: number } {
    return { ...this.#counts };
  }

  /** @param source the peer's, where it is known */
  add(refused: Refused, source: string | undefined): void {
    this.#counts[refused.reason]++;
    if (this.#singly.take(this.#clock.nowMs())) return this.#tell({ event: 'connection.refused', ...refused });
    let untold = this.#untold.get(refused.reason);
    if (untold === undefined) {
      untold = { count: 0, bySource: new Map() };
      this.#untold.set(refused.reason, untold);
    }
    untold.count++;
    if (source !== undefined && (untold.bySource.has(source) || untold.bySource.size < MAX_SOURCES))
      untold.bySource.set(source, (untold.bySource.get(source) ?? 0) + 1);
    this.#cancel ??= this.#clock.after(EVERY_MS, () => this.flush());
  }

  /** Tells at once what has not been told yet. */
  flush(): void {
    this.#cancel?.();
    this.#cancel = undefined;
    for (const [reason, { count, bySource }] of this.#untold)
      this.#tell({ event: 'connection.refused', reason, count, detail: fromWhere(count, bySource) });
    this.#untold.clear();
  }
}

/** `192.0.2.1 950, 2001:db8:0:1::/64 12, others 30`. */
function fromWhere(count: number, bySource: ReadonlyMap<string, number>): string {
  const named = [...bySource].sort(([, a], [, b]) => b - a).slice(0, NAMED);
  const others = named.reduce((left, [, of]) => left - of, count);
  const texts = named.map(([source, of]) => `${source} ${of}`);
  return [...texts, ...(others > 0 ? [`others ${others}`] : [])].join(', ');
}
