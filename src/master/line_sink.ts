/** LINE SINK: carries lines to a file descriptor without ever holding up the server.
 *  Owns a bounded queue. A reader that is slow or gone, or a full disk, costs lines, which are counted exactly, and
 *  nothing else. Pipes and terminals are opened anew and non-blocking: a write that blocks would hold a thread of the
 *  pool, and at exit the whole process, until somebody reads. */
import fs from 'node:fs';
import { errnoOf } from '../shared/errors.js';
import type { Clock } from './clock.js';

/** Lines of about ten seconds of a flood. */
export const LINE_SINK_BYTES = 8 * 1024 * 1024;
const WRITE_BYTES = 64 * 1024;
const RETRY_MS = 50;

/** What the sink asks of the descriptor: the way of `fs.write`. */
export type WriteBytes = (data: Buffer, done: (error: unknown, written: number) => void) => void;

export interface LineSinkOptions {
  readonly write: WriteBytes;
  readonly clock: Clock;
  /** A line that says how many lines were lost, written before the next one that gets through. Default: none. */
  readonly confession?: (dropped: number, lost: number) => string;
  /** Bytes that may wait; default LINE_SINK_BYTES. */
  readonly maxBytes?: number;
  /** What cannot be written waits and is tried again, as long as there is room. Default: it is lost. */
  readonly patience?: Patience;
}

export interface Patience {
  readonly retryMs: number;
  /** Writing has become hard: a write failed, or, with null, lines come faster than they are written. */
  began(error: unknown): void;
  /** It goes on, and not much waits any more; `lost` lines were lost in between. */
  ended(lost: number): void;
}

export class LineSink {
  readonly #write: WriteBytes;
  readonly #clock: Clock;
  readonly #maxBytes: number;
  readonly #confession: (dropped: number, lost: number) => string;
  readonly #patience: Patience | null;
  #lines: Buffer[] = [];
  #queuedBytes = 0;
  /** Being written. */
  #current: readonly Buffer[] = [];
  #headBytes = 0;
  #confessing = 0;
  /** The last line that was begun has no end: the next one must not go on where it stops. */
  #torn = false;
  #dropped = 0;
  /** As many of them were confessed. */
  #confessed = 0;
  /** What is written to is another file since the write under way began. */
  #restarted = false;
  #abandoned = false;
  /** Of the trouble under way: what had been lost before it. */
  #droppedBefore: number | null = null;
  #whenEmpty: (() => void)[] = [];

  constructor(options: LineSinkOptions) {
    this.#write = options.write;
    this.#clock = options.clock;
    this.#confession = options.confession ?? (() => '');
    this.#maxBytes = options.maxBytes ?? LINE_SINK_BYTES;
    this.#patience = options.patience ?? null;
  }

  /** Lines lost since the start: the queue was full, or the write failed. */
  get dropped(): number {
    return this.#dropped;
  }

  /** Takes one line with its newline. Never throws and never blocks. */
  write(line: string): void {
    const bytes = Buffer.from(line, 'utf8');
    if (this.#abandoned || this.#queuedBytes + bytes.length > this.#maxBytes) {
      this.#begin(null);
      this.#dropped++;
      return;
    }
    this.#lines.push(bytes);
    this.#queuedBytes += bytes.length;
    if (this.idle) this.#next();
  }

  /** Resolves when all is written or `deadlineMs` has passed. */
  flush(deadlineMs: number): Promise<void> {
    if (this.idle) return Promise.resolve();
    return new Promise((resolve) => {
      const cancel = this.#clock.after(deadlineMs, resolve);
      this.#whenEmpty.push(() => {
        cancel();
        resolve();
      });
    });
  }

  /** Another file takes the place of the one that is written to: a line of which a part is in that one is written whole again. */
  restart(): void {
    this.#torn = false;
    this.#restarted = !this.idle;
  }

  /** Writes nothing more. @returns how many lines waited, which are lost */
  abandon(): number {
    const waiting = this.#current.length + this.#lines.length;
    this.#abandoned = true;
    this.#dropped += waiting;
    this.#current = [];
    this.#lines = [];
    this.#queuedBytes = 0;
    return waiting;
  }

  /** No write is under way, and none will be before the next line. */
  get idle(): boolean {
    return this.#current.length === 0;
  }

  #next(): void {
    let bytes = 0;
    let count = 0;
    for (const line of this.#lines) {
      if (count > 0 && bytes + line.length > WRITE_BYTES) break;
      bytes += line.length;
      count++;
    }
    this.#current = this.#lines.splice(0, count);
    if (count > 0) this.#put(Buffer.concat([this.#head(), ...this.#current]), 0);
    else for (const wake of this.#whenEmpty.splice(0)) wake();
  }

  /** What stands before the lines of a write: an end for a torn line, and a confession. Being lost itself, it is no line lost. */
  #head(): Buffer {
    const dropped = this.#dropped;
    const lost = dropped - this.#confessed;
    const head = Buffer.from(`${this.#torn ? '\n' : ''}${lost > 0 ? this.#confession(dropped, lost) : ''}`);
    this.#headBytes = head.length;
    this.#confessing = dropped;
    return head;
  }

  /** @param done bytes of `data` that are written */
  #put(data: Buffer, done: number): void {
    this.#write(data.subarray(done), (error, written) => {
      if (this.#abandoned) return;
      if (error === null || error === undefined) {
        if (done + written < data.length) this.#put(data, this.#resumed(done + written));
        else this.#end(data.length);
      } else if (errnoOf(error) === 'EAGAIN') this.#later(RETRY_MS, data, done);
      else if (this.#patience !== null) {
        this.#begin(error);
        this.#later(this.#patience.retryMs, data, done);
      } else this.#end(done);
    });
  }

  #later(delayMs: number, data: Buffer, done: number): void {
    this.#clock.after(delayMs, () => {
      if (!this.#abandoned) this.#put(data, this.#resumed(done));
    });
  }

  /** Where to go on: in another file at the beginning of the line. */
  #resumed(done: number): number {
    if (!this.#restarted) return done;
    this.#restarted = false;
    let start = 0;
    let end = this.#headBytes;
    for (const line of this.#current) {
      if (end > done) break;
      start = end;
      end += line.length;
    }
    return end <= done ? end : start;
  }

  #begin(error: unknown): void {
    if (this.#patience === null || this.#droppedBefore !== null || this.#abandoned) return;
    this.#droppedBefore = this.#dropped;
    this.#patience.began(error);
  }

  /** Not while much waits still: a disk that is only slow would be in trouble and out of it at each write. */
  #endTrouble(): void {
    if (this.#droppedBefore === null || this.#queuedBytes > this.#maxBytes / 2) return;
    const lost = this.#dropped - this.#droppedBefore;
    this.#droppedBefore = null;
    this.#patience?.ended(lost);
  }

  /** A full disk takes some bytes of a write and then no more: the lines that are on it whole are not lost. */
  #end(done: number): void {
    this.#restarted = false;
    let end = this.#headBytes;
    if (done >= end) this.#confessed = this.#confessing;
    if (done > 0) this.#torn = done < end;
    for (const line of this.#current) {
      const start = end;
      end += line.length;
      this.#queuedBytes -= line.length;
      if (done >= end) continue;
      this.#dropped++;
      if (done > start) this.#torn = true;
    }
    this.#endTrouble();
    this.#next();
  }
}

export interface DescriptorWriter {
  readonly write: WriteBytes;
  /** Closes what was opened for it, not the descriptor that was given. Only while no write is under way: its number may
   *  be another file's a moment later. */
  close(): void;
}

/** Writes to a descriptor of this process. */
export function writerTo(fd: number): DescriptorWriter {
  let own = unblocked(fd);
  return {
    write: (data, done) => fs.write(own ?? fd, data, 0, data.length, null, done),
    close: () => {
      if (own !== undefined) fs.closeSync(own);
      own = undefined;
    },
  };
}

/** A descriptor of our own for the same pipe or terminal: O_NONBLOCK on the given one would hold for its other users
 *  too. undefined for files and sockets, and where /proc is missing or not ours. */
function unblocked(fd: number): number | undefined {
  try {
    const stat = fs.fstatSync(fd);
    if (!stat.isFIFO() && !stat.isCharacterDevice()) return undefined;
    const { O_WRONLY, O_NONBLOCK, O_NOCTTY } = fs.constants;
    return fs.openSync(`/proc/self/fd/${fd}`, O_WRONLY | O_NONBLOCK | O_NOCTTY);
  } catch {
    return undefined;
  }
}
