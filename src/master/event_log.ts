/** EVENT LOG: one event, one line, with its time, on stderr; stdout stays free for what a command prints.
 *  Owns the line sink, its own descriptor of stderr, and the audit. Pretty on a terminal, JSON elsewhere
 *  (`log.format`). A line may be lost but never waited for; how many were lost is said in the log as soon as a line gets
 *  through again. */
import type { Logger } from 'pino';
import { type PrettyOptions, prettyFactory } from 'pino-pretty';
import { levelOf } from '../shared/event_level.js';
import type { AuditEvent, EventSink } from '../shared/events.js';
import type { LogLevel } from '../shared/log.js';
import { Audit, type AuditChange } from './audit.js';
import { type Clock, systemClock } from './clock.js';
import { eventLines } from './event_lines.js';
import { type DescriptorWriter, LineSink, type WriteBytes, writerTo } from './line_sink.js';

/** What the primary's rooms write to. */
export interface Log {
  /** Events below it go nowhere, so that workers need not send them. */
  readonly eventLevel: LogLevel;
  /** Other settings, in force from `keep` on.
   *  @throws TunnelError CONFIG_INVALID: the audit's file cannot be opened */
  prepare(settings: LogSettings): Promise<AuditChange>;
  /** Opens the audit's file anew, which may have been moved away. Never rejects. */
  reopen(): Promise<void>;
  readonly event: EventSink;
  /** Lines that were not written, since the start. */
  readonly linesLost: LinesLost;
  /** Events that came too fast to be told. */
  lost(worker: number, count: number): void;
  info(text: string): void;
  warn(text: string): void;
  error(text: string): void;
}

export interface LinesLost {
  readonly log: number;
  readonly audit: number;
}

export interface LogSettings {
  readonly level: LogLevel;
  readonly format: 'auto' | 'pretty' | 'json';
  /** Path of the audit's file; null: none. */
  readonly audit: string | null;
}

/** The audit begins with the first `prepare`. */
export interface EventLogOptions extends Omit<LogSettings, 'audit'> {
  /** Is the log read on a terminal? Decides `auto`. */
  readonly terminal: boolean;
  /** Default: stderr. */
  readonly write?: WriteBytes;
  readonly clock?: Clock;
}

const STDERR = 2;

export class EventLog implements Log {
  readonly #stderr: DescriptorWriter;
  readonly #sink: LineSink;
  readonly #logger: Logger;
  readonly #terminal: boolean;
  readonly #audit: Audit;
  #level: LogLevel;
  #pretty: ((line: string) => string | undefined) | undefined;
  /** Takes the line that is being made, in place of the sink. */
  #catch: ((line: string) => void) | null = null;
  #closed = false;

  constructor(options: EventLogOptions) {
    this.#terminal = options.terminal;
    this.#level = options.level;
    this.#stderr = options.write === undefined ? writerTo(STDERR) : { write: options.write, close: () => undefined };
    const { clock = systemClock } = options;
    const sink = new LineSink({
      write: this.#stderr.write,
      clock,
      confession: (dropped, lost) => this.#confession(dropped, lost),
    });
    this.#sink = sink;
    this.#audit = new Audit({ clock, warn: (text) => this.warn(text), error: (text) => this.error(text) });
    this.#pretty = this.#prettyFor(options);
    this.#logger = eventLines(options.level, (line) => {
      if (this.#closed) return;
      const shown = this.#pretty === undefined ? line : (this.#pretty(line) ?? '');
      if (this.#catch === null) sink.write(shown);
      else this.#catch(shown);
    });
  }

  /** An audit hears everything. */
  get eventLevel(): LogLevel {
    return this.#audit.isOn ? 'trace' : this.#level;
  }

  async prepare(settings: LogSettings): Promise<AuditChange> {
    const change = await this.#audit.change(settings.audit);
    return {
      keep: () => {
        change.keep();
        this.#level = settings.level;
        this.#logger.level = settings.level;
        this.#pretty = this.#prettyFor(settings);
      },
      drop: () => change.drop(),
    };
  }

  reopen(): Promise<void> {
    return this.#audit.reopen();
  }

  #prettyFor({ format }: Pick<LogSettings, 'format'>): ((line: string) => string | undefined) | undefined {
    const pretty = format === 'pretty' || (format === 'auto' && this.#terminal);
    return pretty ? prettyFactory(prettyOptions(this.#terminal)) : undefined;
  }

  get linesLost(): LinesLost {
    return { log: this.#sink.dropped, audit: this.#audit.dropped };
  }

  readonly event: EventSink = (event: AuditEvent) => {
    this.#audit.event(event);
    const level = levelOf(event);
    if (this.#logger.isLevelEnabled(level)) this.#logger[level](event);
  };
  lost(worker: number, count: number): void {
    this.#audit.lost(worker, count);
    this.error(`worker ${worker}: ${count} events were lost, too many at once`);
  }
  info(text: string): void {
    this.#logger.info(text);
  }
  warn(text: string): void {
    this.#logger.warn(text);
  }
  error(text: string): void {
    this.#logger.error(text);
  }

  /** Writes what waits, the audit's and then the log's, but for no longer than `deadlineMs` each, and lets go of both: a process
   *  may serve many times. What is said later is not written. */
  async close(deadlineMs: number): Promise<void> {
    await this.#audit.close(deadlineMs);
    this.#closed = true;
    await this.#sink.flush(deadlineMs);
    if (this.#sink.idle) this.#stderr.close(); // else it still waits for a reader that may come
  }

  #confession(dropped: number, lost: number): string {
    let confession = '';
    this.#catch = (line) => {
      confession = line;
    };
    this.#logger.warn(
      { dropped },
      `${lost} log lines were lost: the log's reader is too slow or gone, or its disk is full`,
    );
    this.#catch = null;
    return confession;
  }
}

/** One event, one line for people too: `[12:00:07] INFO: auth.succeeded conn=3 user=alice method=publickey`. */
function prettyOptions(colorize: boolean): PrettyOptions {
  return {
    colorize,
    translateTime: 'SYS:HH:MM:ss',
    hideObject: true,
    ignore: 'pid', // a worker's, told among the other fields
    messageFormat: (log) => prettyText(log),
  };
}

function prettyText({ level: _level, time: _time, event, msg, ...fields }: Record<string, unknown>): string {
  const words = Object.entries(fields).map(([name, value]) => `${name}=${prettyValue(value)}`);
  return [event ?? msg, ...words].join(' ');
}

function prettyValue(value: unknown): string {
  return typeof value === 'string' && /^[^\s"=]+$/.test(value) ? value : JSON.stringify(value);
}
