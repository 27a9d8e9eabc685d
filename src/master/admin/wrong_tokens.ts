/** WRONG TOKENS: requests by TCP whose token is none, as the log tells them: an operator is to hear of whoever guesses, and not
 *  line by line. Owns how many have not been told yet. The first is told at once, and from then on one line a second tells how
 *  many more; each is in exactly one line. Nobody is slowed for them: all come from the same address, and a random secret of the length
 *  that the config asks for is not guessed at any pace. */
import type { Cancel } from '../../shared/timer.js';
import type { Clock } from '../clock.js';

const EVERY_MS = 1_000;

export class WrongTokens {
  readonly #tell: (text: string) => void;
  readonly #clock: Clock;
  #untold = 0;
  /** While it runs, nothing is told. */
  #cancel: Cancel | undefined;

  constructor(tell: (text: string) => void, clock: Clock) {
    this.#tell = tell;
    this.#clock = clock;
  }

  add(): void {
    this.#untold++;
    if (this.#cancel === undefined) this.#tellAll();
  }

  /** Tells at once what has not been told yet; for the end. */
  flush(): void {
    this.#cancel?.();
    this.#cancel = undefined;
    if (this.#untold > 0) this.#say();
  }

  /** And is silent for a second. */
  #tellAll(): void {
    this.#cancel = undefined;
    if (this.#untold === 0) return;
    this.#say();
    this.#cancel = this.#clock.after(EVERY_MS, () => this.#tellAll());
  }

  #say(): void {
    const count = this.#untold;
    this.#untold = 0;
    this.#tell(`admin API: ${count === 1 ? 'a request' : `${count} requests`} with a wrong token`);
  }
}
