/** FILE WATCH: have the files that the config names changed since they were read?
 *  Owns what they looked like then. Asks the file system again and again: the notices of the kernel do not come over NFS, and say
 *  nothing of what a link in the middle of a path leads to. Decides only that something is to be read; who reads is told. */
import { stat } from 'node:fs/promises';
import { signatureOf, UNREADABLE, type WatchedFiles } from '../shared/file_signature.js';
import type { After, Cancel } from '../shared/timer.js';

export interface FileWatchOptions {
  readonly after: After;
  /** What a file looks like now. Default: asks the file system. Never rejects. */
  readonly look?: (path: string) => Promise<string>;
  /** They have changed, and have stopped changing. */
  readonly onChange: () => void;
}

/** A file that is being written changes from look to look: only one that has looked the same twice is read. */
const SETTLE_MS = 250;

/** Looks after which it is read all the same: a user whose file never comes to rest must not hold up what is taken from others. */
const MOST_UNSETTLED = 10;

export class FileWatch {
  readonly #options: FileWatchOptions;
  #known: WatchedFiles = new Map();
  /** How they looked a moment ago, where that is not as they are known. */
  #changing: string | null = null;
  #unsettled = 0;
  #everyMs = 0;
  #cancel: Cancel = nothing;
  /** Answers of a look that began before it count no more. */
  #round = 0;

  constructor(options: FileWatchOptions) {
    this.#options = options;
  }

  /** These are the files from now on, and this is what they looked like when they were read.
   *  @param everyMs 0: never look */
  watch(files: WatchedFiles, everyMs: number): void {
    this.end();
    this.#known = files;
    this.#everyMs = everyMs;
    this.#changing = null;
    this.#unsettled = 0;
    if (everyMs > 0 && files.size > 0) this.#in(everyMs);
  }

  end(): void {
    this.#round++;
    this.#cancel();
  }

  #in(delayMs: number): void {
    const round = this.#round;
    this.#cancel = this.#options.after(delayMs, () => void this.#look(round));
  }

  /** One after the other: thousands of users with a file each must not fill the threads of this process. */
  async #look(round: number): Promise<void> {
    const { look = signatureNow, onChange } = this.#options;
    const now = new Map<string, string>();
    for (const path of this.#known.keys()) {
      now.set(path, await look(path));
      if (round !== this.#round) return;
    }
    const text = textOf(now);
    if (text === textOf(this.#known)) {
      this.#changing = null;
      this.#unsettled = 0;
    } else if (text === this.#changing || ++this.#unsettled >= MOST_UNSETTLED) {
      // Known from now on: a file that cannot be read is told once, and not at every look.
      this.#known = now;
      this.#changing = null;
      this.#unsettled = 0;
      onChange();
      if (round !== this.#round) return;
    } else {
      this.#changing = text;
    }
    this.#in(this.#changing === null ? this.#everyMs : Math.min(SETTLE_MS, this.#everyMs));
  }
}

function textOf(files: WatchedFiles): string {
  return JSON.stringify([...files]);
}

async function signatureNow(path: string): Promise<string> {
  return await stat(path, { bigint: true }).then(signatureOf, () => UNREADABLE);
}

function nothing(): void {}
