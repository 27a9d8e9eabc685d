/** ENDING: that something ends, as an AbortSignal for those who ask for one.
 *  Owns the signal. Most connections end with nobody listening, so it is made when it is first asked for; and all share one
 *  reason, since a DOMException of its own costs a stack trace each (DECISIONS 43). */
import { setMaxListeners } from 'node:events';

export class Ending {
  #controller: AbortController | null = null;
  #hasEnded = false;

  get hasEnded(): boolean {
    return this.#hasEnded;
  }
  /** Takes any number of listeners. */
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

/** Named as `AbortController.abort()` names its own, which is what callers look for. */
const ENDED = new DOMException('The connection has ended or the answer came too late', 'AbortError');
