/** PROGRESS: one line for the person who waits. On a terminal it is written over and over; elsewhere each step gets a line
 *  of its own, so that a log shows how far it came. Owns that line. */

export interface Screen {
  readonly isTTY?: boolean;
  readonly columns?: number;
  write(text: string): unknown;
}

export class Progress {
  readonly #screen: Screen;
  #shown = false;

  constructor(screen: Screen) {
    this.#screen = screen;
  }

  /** How it stands right now. Nothing where there is no terminal. */
  live(text: string): void {
    if (this.#screen.isTTY !== true) return;
    // Cut to the width: a line that wraps cannot be written over. Some terminals say that they have 0 columns.
    const width = (this.#screen.columns || 80) - 1;
    this.#screen.write(`\r\x1b[K${text.slice(0, width)}`);
    this.#shown = true;
  }

  /** A step that has ended. Stays on the screen only where there is no terminal. */
  done(text: string): void {
    if (this.#screen.isTTY === true) this.live(text);
    else this.#screen.write(`${text}\n`);
  }

  /** Leaves an empty line for what comes next. */
  clear(): void {
    if (this.#shown) this.#screen.write('\r\x1b[K');
    this.#shown = false;
  }
}
