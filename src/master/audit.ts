/** AUDIT: every event, whatever the log's level is, a line of JSON each, appended to a file. One that is made here is its owner's alone
 *  (0600); one that was there keeps its mode, and the log says where others may open it.
 *  Owns the file and the queue before it. Nobody waits for it: on a full or slow disk lines wait in a bounded queue, what does not
 *  fit is counted, and the count stands in the file before the next line that gets through. */
import fs, { constants } from 'node:fs';
import { access, type FileHandle, open, stat } from 'node:fs/promises';
import { dirname, resolve } from 'node:path';
import type { Logger } from 'pino';
import { errnoOf, reasonOf, TunnelError } from '../shared/errors.js';
import { levelOf } from '../shared/event_level.js';
import type { AuditEvent } from '../shared/events.js';
import type { Clock } from './clock.js';
import { eventLines } from './event_lines.js';
import { LineSink } from './line_sink.js';

/** A change that is ready: it is made as a whole by `keep`, which cannot fail, or not at all. */
export interface AuditChange {
  keep(): void;
  drop(): void;
}

export interface AuditOptions {
  readonly clock: Clock;
  /** What an operator should know, for the log. */
  warn(text: string): void;
  error(text: string): void;
  /** Default: that of LineSink. */
  readonly maxBytes?: number;
}

/** A full disk may have room again. */
const RETRY_MS = 1_000;
const MODE = 0o600;
/** Never waits for the other end, if it is a FIFO. */
const FLAGS = constants.O_WRONLY | constants.O_APPEND | constants.O_CREAT | constants.O_NONBLOCK | constants.O_NOCTTY;

interface OpenFile {
  readonly path: string;
  readonly handle: FileHandle;
  /** Its permissions where others than its owner have some; null: they have none, or it is no regular file. */
  readonly openTo: number | null;
}

export class Audit {
  readonly #options: AuditOptions;
  readonly #sink: LineSink;
  readonly #lines: Logger;
  /** Takes the line that is being made, in place of the sink. */
  #catch: ((line: string) => void) | null = null;
  #file: OpenFile | null = null;
  /** A write is under way: its descriptor may not be closed yet. */
  #writing = false;
  #left: OpenFile[] = [];
  /** Switched off, with lines on their way. */
  #ending = false;
  /** Its mode has been told: not again with each rotation. */
  #toldPath: string | null = null;

  constructor(options: AuditOptions) {
    const { clock, maxBytes } = options;
    this.#options = options;
    this.#sink = new LineSink({
      clock,
      write: (data, done) => this.#write(data, done),
      confession: (dropped, lost) => this.#confession(dropped, lost),
      patience: {
        retryMs: RETRY_MS,
        began: (error) => options.error(`log.audit: ${this.#file?.path} ${troubleText(error)}`),
        ended: (lost) => options.warn(`log.audit: ${this.#file?.path} is written again; ${lost} lines were lost`),
      },
      ...(maxBytes === undefined ? {} : { maxBytes }),
    });
    this.#lines = eventLines('trace', (line) => {
      if (this.#catch === null) this.#sink.write(line);
      else this.#catch(line);
    });
  }

  /** Does anybody hear the quiet events? */
  get isOn(): boolean {
    return this.#file !== null && !this.#ending;
  }
  /** Lines lost since the start. */
  get dropped(): number {
    return this.#sink.dropped;
  }

  event(event: AuditEvent): void {
    if (this.isOn) this.#lines[levelOf(event)](event);
  }

  /** Events that a worker could not tell. */
  lost(worker: number, count: number): void {
    if (this.isOn) this.#lines.error({ event: 'events.lost', worker, count });
  }

  /** Another file from `keep` on; null: none. The same path stays as it is.
   *  @throws TunnelError CONFIG_INVALID: it cannot be opened */
  async change(path: string | null): Promise<AuditChange> {
    if (path === (this.isOn ? this.#file?.path : null)) return UNCHANGED;
    const next = path === null ? null : await openFile(path);
    // Nothing was written to it: what a disk says at its end is about nothing.
    return { keep: () => this.#use(next), drop: () => void next?.handle.close().catch(ignore) };
  }

  /** The same path once more: it is another file since somebody has moved the old one away. Where that fails the old one is written
   *  on, and the log says so. Never rejects. */
  async reopen(): Promise<void> {
    if (this.#file === null) return;
    try {
      const next = await openFile(this.#file.path);
      if (this.#file?.path === next.path) this.#use(next);
      else await next.handle.close(); // it was changed meanwhile
    } catch (error) {
      this.#options.error(`${reasonOf(error)}; the file that was open is written on`);
    }
  }

  /** Writes what waits, but not for longer than `deadlineMs`, and closes the file. */
  async close(deadlineMs: number): Promise<void> {
    await this.#sink.flush(deadlineMs);
    const lost = this.#sink.abandon();
    if (lost > 0) this.#options.error(`log.audit: ${lost} lines could not be written before the end`);
    this.#use(null);
  }

  #use(next: OpenFile | null): void {
    const before = this.#file;
    this.#ending = next === null && !this.#sink.idle;
    if (this.#ending) return; // what waits goes where it was meant to
    this.#file = next;
    this.#tellMode(next);
    this.#sink.restart();
    if (before === null) return;
    this.#left.push(before);
    if (!this.#writing) this.#closeLeft();
  }

  #tellMode(file: OpenFile | null): void {
    if (file === null || file.openTo === null || file.path === this.#toldPath) return;
    this.#toldPath = file.path;
    const mode = file.openTo.toString(8).padStart(4, '0');
    this.#options.warn(
      `log.audit: ${file.path} has mode ${mode}, so others than its owner may open it: chmod 600, unless that is meant`,
    );
  }

  #write(data: Buffer, done: (error: unknown, written: number) => void): void {
    const { handle } = this.#file ?? {};
    if (handle === undefined) {
      queueMicrotask(() => done(new Error('there is no audit'), 0));
      return;
    }
    this.#writing = true;
    fs.write(handle.fd, data, 0, data.length, null, (error, written) => {
      this.#writing = false;
      this.#closeLeft();
      done(error, written);
      if (this.#ending && this.#sink.idle) this.#use(null);
    });
  }

  #closeLeft(): void {
    for (const { handle } of this.#left.splice(0)) handle.close().catch(ignore); // a disk that is full may say so now
  }

  #confession(dropped: number, lost: number): string {
    let confession = '';
    this.#catch = (line) => {
      confession = line;
    };
    this.#lines.error({ event: 'audit.lost', lost, dropped });
    this.#catch = null;
    return confession;
  }
}

/** What a start would say of it, as far as that is seen without making the file; null: nothing is wrong. The start makes stateDir. */
export async function whyNotOpened(path: string, stateDir: string): Promise<string | null> {
  try {
    await access(path, constants.W_OK);
    return (await stat(path)).isDirectory() ? `${path} is a folder` : null;
  } catch (error) {
    if (errnoOf(error) !== 'ENOENT') return `cannot be opened: ${reasonOf(error)}`;
  }
  const folder = dirname(path);
  try {
    await access(folder, constants.W_OK | constants.X_OK);
    return null;
  } catch (error) {
    if (errnoOf(error) === 'ENOENT' && folder === resolve(stateDir)) return null;
    return `cannot be opened: ${reasonOf(error)}`;
  }
}

async function openFile(path: string): Promise<OpenFile> {
  try {
    const handle = await open(path, FLAGS, MODE);
    return { path, handle, openTo: await openTo(handle) };
  } catch (error) {
    throw new TunnelError('CONFIG_INVALID', `log.audit: cannot be opened: ${reasonOf(error)}`, { cause: error });
  }
}

async function openTo(handle: FileHandle): Promise<number | null> {
  const found = await handle.stat();
  return found.isFile() && (found.mode & 0o077) !== 0 ? found.mode & 0o777 : null;
}

function troubleText(error: unknown): string {
  const what = error === null ? 'is written too slowly' : `cannot be written: ${reasonOf(error)}`;
  return `${what}; lines wait as long as there is room for them, and those beyond are lost and counted`;
}

const UNCHANGED: AuditChange = { keep() {}, drop() {} };

function ignore(): void {}
