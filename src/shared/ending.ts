/** ENDING: that something ends, as an AbortSignal for those who ask for one.
 *  Owns the signal. Most connections end with nobody listening, so it is made when it is first asked for. */
import { setMaxListeners } from 'node:events';

/** What others may know of it. */
export interface Ends {
  readonly hasEnded: boolean;
  /** Fires at the end; takes any number of listeners. */
  readonly signal: AbortSignal;
}

export class Ending implements Ends {
  #controller: AbortController | null = null;
  #hasEnded = false;

  get hasEnded(): boolean {
    return this.#hasEnded;
  }
  get signal(): AbortSignal {
    if (this.#controller === null) {
      this.#controller = new AbortController();
      setMaxListeners(0, this.#controller.signal);
      if (this.#hasEnded) this.#controller.abort(ENDED);
    }
    return this.#controller.signal;
  }

  /** May be called again. */
  end(): void {
    this.#hasEnded = true;
    this.#controller?.abort(ENDED);
  }
}

/** One for all, since a reason of its own costs a stack trace at each end (DECISIONS 43). Named as `AbortController.abort()`
 *  names its own, which is what callers look for. Price: its stack is that of this module, and what a program writes on it in
 *  one `onSession` stands there in the next. Not frozen: test frameworks and loggers write on what they catch. */
const ENDED = new DOMException('It has ended', 'AbortError');
