/** EVENTS: the server's log lines as a list that a test can search and wait on.
 *  Owns the parsed lines of one server's stderr; keeps what is no JSON apart, because a clean server writes none. */
import type { EventName } from '../../src/shared/events.js';
import type { Running } from './process.js';

export type ServerEvent = Readonly<Record<string, unknown>>;
/** Fields that an event must have. */
export type EventFields = Readonly<Record<string, string | number>>;

export class EventLog {
  readonly #program: Running;
  #parsedCharacters = 0;
  readonly #events: ServerEvent[] = [];
  readonly #otherLines: string[] = [];

  constructor(program: Running) {
    this.#program = program;
  }

  /** Events so far, those that a test has already waited for included. */
  list(name: EventName, fields: EventFields = {}, from = 0): ServerEvent[] {
    this.#parse();
    return this.#events.slice(from).filter((event) => event.event === name && hasAll(event, fields));
  }

  /** A place in the list: pass it as `from` to see only what comes after it. */
  mark(): number {
    this.#parse();
    return this.#events.length;
  }

  /** Lines of stderr that are no event. */
  get otherLines(): readonly string[] {
    this.#parse();
    return this.#otherLines;
  }

  /** The first such event after `from`, past or to come. Rejects at the deadline or when the server ends. */
  async wait(name: EventName, fields: EventFields = {}, from = 0, deadlineMs?: number): Promise<ServerEvent> {
    return (await this.waitAll(1, name, fields, from, deadlineMs))[0] ?? {};
  }

  /** The first `count` such events. */
  async waitAll(
    count: number,
    name: EventName,
    fields: EventFields = {},
    from = 0,
    deadlineMs?: number,
  ): Promise<ServerEvent[]> {
    return await this.#program.waitUntil(
      () => {
        const found = this.list(name, fields, from);
        return found.length >= count ? found.slice(0, count) : undefined;
      },
      `${count} x ${name} ${JSON.stringify(fields)}`,
      deadlineMs,
    );
  }

  #parse(): void {
    const text = this.#program.stderr;
    const end = text.lastIndexOf('\n') + 1;
    if (end <= this.#parsedCharacters) return;
    for (const line of text.slice(this.#parsedCharacters, end).split('\n')) {
      if (line === '') continue;
      const event = parseLine(line);
      if (event === undefined) this.#otherLines.push(line);
      else this.#events.push(event);
    }
    this.#parsedCharacters = end;
  }
}

function parseLine(line: string): ServerEvent | undefined {
  try {
    const value: unknown = JSON.parse(line);
    return typeof value === 'object' && value !== null && !Array.isArray(value) ? { ...value } : undefined;
  } catch {
    return undefined;
  }
}

function hasAll(event: ServerEvent, fields: EventFields): boolean {
  return Object.entries(fields).every(([key, value]) => event[key] === value);
}
