/** EVENTS, as a program hears them: by listeners, or as an AsyncIterable.
 *  Owns the listeners and the queues of those that iterate. A listener that throws is told to the operator once and never
 *  ends the process: what it listens to is other people's tunnels. */
import { EventEmitter } from 'node:events';
import { reasonOf } from '../shared/errors.js';
import type { AuditEvent, EventName } from '../shared/events.js';
import { HEARING, type Hearing } from './served.js';

/** What an event says (see `AuditEvent`), and when it was told. */
export type TunnelEvent = Timed<AuditEvent>;
type Timed<E> = E extends unknown ? E & { readonly time: Date } : never;

/** `connection` of `connection.closed`: the name to listen by. */
export type EventCategory = EventName extends `${infer Category}.${string}` ? Category : never;

/** The events by the name to listen by. `event.event` tells which one of the category it is, and the compiler then knows
 *  its fields. */
export type TunnelEvents = {
  readonly [C in EventCategory]: [event: Extract<TunnelEvent, { readonly event: `${C}.${string}` }>];
} & {
  /** So many events came faster than they could be told; they are in no log either. */
  readonly lost: [count: number];
};

/** Takes the place of events that an iteration was too slow for. */
export interface LostEvents {
  readonly event: 'events.lost';
  readonly time: Date;
  readonly count: number;
}

export interface IterateOptions {
  /** Ends the iteration. */
  readonly signal?: AbortSignal;
  /** Events that may wait for the next step, from 1; those beyond are counted and told as one `events.lost`. Default 4096. */
  readonly maxWaiting?: number;
}

const MAX_WAITING = 4_096;

export class EventHub extends EventEmitter<TunnelEvents> {
  readonly #streams = new Set<EventStream>();
  readonly #complained = new Set<string>();
  readonly #hearing: Hearing = {
    event: (event) => this.#tell(event),
    lost: (count) => this.#lose(count),
    ended: () => {
      for (const stream of [...this.#streams]) stream.end();
    },
  };

  constructor() {
    super({ captureRejections: true });
    // Node tells it of each listener, whatever method adds it.
    EventEmitter.prototype.on.call(this, 'newListener', warnOfWholeName);
  }

  /** Every event from now on, in order, until `signal` fires, the loop is left or the server has ended.
   *  @throws RangeError for a `maxWaiting` below 1 */
  events(options: IterateOptions = {}): AsyncIterableIterator<TunnelEvent | LostEvents, undefined> {
    const stream = new EventStream(options, () => this.#streams.delete(stream));
    if (!stream.ended) this.#streams.add(stream);
    return stream;
  }

  /** @internal */
  get [HEARING](): Hearing {
    return this.#hearing;
  }

  #tell(event: AuditEvent): void {
    const timed: TunnelEvent = { ...event, time: new Date() };
    for (const stream of this.#streams) stream.push(timed);
    const category = event.event.slice(0, event.event.indexOf('.'));
    this.#emit(category, timed);
  }

  #lose(count: number): void {
    for (const stream of this.#streams) stream.lose(count);
    this.#emit('lost', count);
  }

  #emit(name: string, argument: TunnelEvent | number): void {
    try {
      // The names and their events are paired here alone; a union of pairs is more than the types take.
      EventEmitter.prototype.emit.call(this, name, argument);
    } catch (thrown) {
      this.#complain(name, thrown);
    }
  }

  /** @internal Where EventEmitter brings the rejection of an async listener. */
  [Symbol.for('nodejs.rejection')](thrown: unknown, name: string): void {
    this.#complain(name, thrown);
  }

  #complain(name: string, thrown: unknown): void {
    if (this.#complained.has(name)) return;
    this.#complained.add(name);
    process.emitWarning(`a listener for '${name}' failed, later failures are not told: ${reasonOf(thrown)}`, {
      type: 'SallyportWarning',
      ...(thrown instanceof Error && thrown.stack !== undefined ? { detail: thrown.stack } : {}),
    });
  }
}

const CATEGORIES: { readonly [category in EventCategory]: true } = {
  server: true,
  config: true,
  worker: true,
  connection: true,
  source: true,
  auth: true,
  channel: true,
  forward: true,
};

/** JavaScript lets `auth.failed` be listened to, and nobody would ever be told. Other names may be the program's own. */
function warnOfWholeName(name: unknown): void {
  if (typeof name !== 'string') return;
  const [category = '', rest] = name.split('.');
  if (rest === undefined || !Object.hasOwn(CATEGORIES, category)) return;
  process.emitWarning(
    `'${name}' is no name to listen by: listen by '${category}', and event.event says which one it is`,
    'SallyportWarning',
  );
}

type Step = IteratorResult<TunnelEvent | LostEvents, undefined>;

/** One iteration: a bounded queue between the server, which does not wait, and the loop, which does. */
class EventStream implements AsyncIterableIterator<TunnelEvent | LostEvents, undefined> {
  readonly #maxWaiting: number;
  readonly #signal: AbortSignal | undefined;
  readonly #onEnd: () => void;
  readonly #waiting: (TunnelEvent | LostEvents)[] = [];
  readonly #takers: ((step: Step) => void)[] = [];
  #lost = 0;
  #ended = false;

  constructor({ signal, maxWaiting = MAX_WAITING }: IterateOptions, onEnd: () => void) {
    if (!(maxWaiting >= 1)) throw new RangeError(`maxWaiting is ${maxWaiting}, allowed: a number from 1`);
    this.#maxWaiting = maxWaiting;
    this.#signal = signal;
    this.#onEnd = onEnd;
    signal?.addEventListener('abort', this.end);
    if (signal?.aborted) this.#ended = true;
  }

  get ended(): boolean {
    return this.#ended;
  }

  push(event: TunnelEvent): void {
    if (this.#waiting.length >= this.#maxWaiting) return this.lose(1);
    this.#confess();
    this.#give(event);
  }

  lose(count: number): void {
    this.#lost += count;
    if (this.#waiting.length < this.#maxWaiting) this.#confess();
  }

  /** What waits is still given out. */
  readonly end = (): void => {
    if (this.#ended) return;
    this.#ended = true;
    this.#signal?.removeEventListener('abort', this.end);
    this.#confess();
    for (const take of this.#takers.splice(0)) take(DONE);
    this.#onEnd();
  };

  async next(): Promise<Step> {
    const value = this.#waiting.shift();
    if (value !== undefined) return { done: false, value };
    if (this.#ended) return DONE;
    return new Promise((resolve) => this.#takers.push(resolve));
  }

  async return(): Promise<Step> {
    this.end();
    this.#waiting.length = 0;
    return DONE;
  }

  [Symbol.asyncIterator](): this {
    return this;
  }

  #confess(): void {
    if (this.#lost === 0) return;
    const count = this.#lost;
    this.#lost = 0;
    this.#give({ event: 'events.lost', time: new Date(), count });
  }

  #give(event: TunnelEvent | LostEvents): void {
    const take = this.#takers.shift();
    if (take === undefined) this.#waiting.push(event);
    else take({ done: false, value: event });
  }
}

const DONE: Step = { done: true, value: undefined };
