/** FEED: the events of the server for those who look at it: the last refusals, and a stream for whoever
 *  reads one.
 *  Owns the readers, each with a bounded queue: one that reads too slowly loses events and is told how many. */
import { type LoggedEvent, REFUSAL_EVENTS } from '../../shared/admin.js';
import { levelOf } from '../../shared/event_level.js';
import type { AuditEvent } from '../../shared/events.js';

const KEPT_REFUSALS = 200;
const MAX_READERS = 16;
/** Of each reader, beyond what its socket holds. */
const MAX_WAITING = 1_024;

/** Where a reader's text goes. */
export interface FeedSink {
  /** @returns false when it should not be given more before `drained` */
  write(text: string): boolean;
  end(): void;
}

export interface FeedReader {
  /** The sink takes more. */
  drained(): void;
  /** So that nothing between the two takes the connection for dead. */
  beat(): void;
  leave(): void;
}

export class Feed {
  readonly #refusals: LoggedEvent[] = [];
  readonly #readers = new Set<Reader>();
  /** Somebody may look. */
  isOn = false;

  /** As the log hears it. */
  event(event: AuditEvent): void {
    const isNews = isRefusal(event);
    if (!this.isOn || (!isNews && this.#readers.size === 0)) return;
    const logged: LoggedEvent = { level: levelOf(event), time: new Date().toISOString(), ...event };
    if (isNews) this.#refusals.push(logged);
    if (this.#refusals.length > KEPT_REFUSALS) this.#refusals.shift();
    if (this.#readers.size === 0) return;
    const text = `event: ${event.event}\ndata: ${JSON.stringify(logged)}\n\n`;
    for (const reader of this.#readers) reader.push(text);
  }

  /** So many events came too fast to be told. */
  lost(count: number): void {
    for (const reader of this.#readers) reader.lose(count);
  }

  /** The newest first. */
  get refusals(): readonly LoggedEvent[] {
    return this.#refusals.toReversed();
  }

  /** @returns null when there are too many already */
  join(sink: FeedSink): FeedReader | null {
    if (this.#readers.size >= MAX_READERS) return null;
    const reader = new Reader(sink);
    this.#readers.add(reader);
    return {
      drained: () => reader.drained(),
      beat: () => reader.beat(),
      leave: () => this.#readers.delete(reader),
    };
  }

  /** The stream ends for all readers. */
  end(): void {
    for (const reader of this.#readers) reader.end();
    this.#readers.clear();
  }
}

function isRefusal({ event }: AuditEvent): boolean {
  return REFUSAL_EVENTS.some((name) => name === event);
}

class Reader {
  readonly #sink: FeedSink;
  #waiting: string[] = [];
  #lost = 0;
  #isFull = false;

  constructor(sink: FeedSink) {
    this.#sink = sink;
  }

  push(text: string): void {
    if (this.#isFull && this.#waiting.length >= MAX_WAITING) this.#lost++;
    else if (this.#isFull) this.#waiting.push(text);
    else this.#write(text);
  }

  lose(count: number): void {
    this.#lost += count;
    if (!this.#isFull) this.#write(this.#confession());
  }

  drained(): void {
    this.#isFull = false;
    const waiting = this.#waiting;
    this.#waiting = [];
    const text = `${waiting.join('')}${this.#confession()}`;
    if (text !== '') this.#write(text);
  }

  /** One that does not read gets none: its socket is to look as dead as it is. */
  beat(): void {
    if (!this.#isFull) this.#write(': \n\n');
  }

  end(): void {
    this.#sink.end();
  }

  /** Behind what was queued before the first of them was lost, and before all that comes later. */
  #confession(): string {
    const count = this.#lost;
    this.#lost = 0;
    return count === 0 ? '' : `event: lost\ndata: ${JSON.stringify({ count })}\n\n`;
  }

  #write(text: string): void {
    this.#isFull = !this.#sink.write(text);
  }
}
