/** HISTORY: what the last ten minutes were like, one sample a second.
 *  Owns the samples. A second in which this process was held up is missing, and not made up. */
import type { History, Sample } from '../../shared/admin.js';
import type { Cancel } from '../../shared/timer.js';
import type { Clock } from '../clock.js';

const EVERY_MS = 1_000;
const KEPT = 600;

export class Samples {
  readonly #take: () => Sample;
  readonly #clock: Clock;
  readonly #samples: Sample[] = [];
  #cancel: Cancel = () => {};

  constructor(take: () => Sample, clock: Clock) {
    this.#take = take;
    this.#clock = clock;
  }

  begin(): void {
    this.#cancel();
    this.#cancel = this.#clock.after(EVERY_MS, () => this.#next());
  }

  end(): void {
    this.#cancel();
  }

  get history(): History {
    return { everyMs: EVERY_MS, samples: this.#samples };
  }

  #next(): void {
    this.#samples.push(this.#take());
    if (this.#samples.length > KEPT) this.#samples.shift();
    this.begin();
  }
}
