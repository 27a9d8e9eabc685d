/** SCREEN: the terminal: its second screen while `top` runs, and what stands there.
 *  Owns raw mode, the screen, and the lines that were written; gives the terminal back as it was, however often it is asked to. */
import type { ReadStream, WriteStream } from 'node:tty';
import type { Size } from './state.js';

/** xterm's names of what is switched: the alternate screen, the cursor, wrapping at the right edge, and marks around a paste. */
const ENTER = '\x1b[?1049h\x1b[?25l\x1b[?7l\x1b[?2004h';
const LEAVE = '\x1b[m\x1b[?2004l\x1b[?7h\x1b[?25h\x1b[?1049l';
const CLEAR = '\x1b[2J';
const CLEAR_REST = '\x1b[K';

export class Screen {
  readonly #input: ReadStream;
  readonly #output: WriteStream;
  #isOpen = false;
  #shown: readonly string[] = [];

  constructor(input: ReadStream, output: WriteStream) {
    this.#input = input;
    this.#output = output;
  }

  /** A terminal that does not know its size says 0. */
  get size(): Size {
    return { columns: this.#output.columns || 80, rows: this.#output.rows || 24 };
  }

  open(): void {
    if (this.#isOpen) return;
    this.#isOpen = true;
    this.#input.setRawMode(true);
    this.#output.write(ENTER + CLEAR);
    this.#shown = [];
  }

  /** Writes to a terminal are done when they return, so that this may be the last that a process does. */
  close(): void {
    if (!this.#isOpen) return;
    this.#isOpen = false;
    this.#output.write(LEAVE);
    this.#input.setRawMode(false);
  }

  /** Everything anew at the next `draw`: another size, or somebody else has written here. */
  forget(): void {
    if (this.#isOpen) this.#output.write(CLEAR);
    this.#shown = [];
  }

  /** Each line that is not what stands there, at its own place: what one character takes too many stays within its line. It is cleared
   *  first: behind the last column a terminal clears that column. */
  draw(lines: readonly string[]): void {
    if (!this.#isOpen) return;
    let text = '';
    for (let row = 0; row < Math.max(lines.length, this.#shown.length); row++) {
      const line = lines[row] ?? '';
      if (line !== this.#shown[row]) text += `\x1b[${row + 1};1H${CLEAR_REST}${line}`;
    }
    this.#shown = lines;
    if (text !== '') this.#output.write(text);
  }
}
