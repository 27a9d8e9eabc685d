/** DICE: choices that are the same for one seed. Owns the state of its generator and nothing else: each room that chooses has
 *  dice of its own, so that what one of them asks for does not change what another gets. */
import { seededRandom } from '../test/support/random.js';

export class Dice {
  readonly #random: () => number;

  constructor(seed: number) {
    this.#random = seededRandom(seed);
  }

  /** A whole number, both ends included. */
  between(least: number, most: number): number {
    return least + Math.floor(this.#random() * (most - least + 1));
  }

  /** As many small ones as large ones: each power of two is as likely as the next. */
  magnitude(least: number, most: number): number {
    return Math.round(least * (most / least) ** this.#random());
  }

  chance(probability: number): boolean {
    return this.#random() < probability;
  }

  /** Times between events that come `meanMs` apart, each independent of the others. */
  pauseMs(meanMs: number): number {
    return Math.min(-Math.log(1 - this.#random()) * meanMs, 5 * meanMs);
  }

  pick<Value>(values: readonly Value[]): Value | undefined {
    return values[Math.floor(this.#random() * values.length)];
  }

  /** By weight; undefined where there is nothing to choose from. */
  weighted<Value extends { readonly weight: number }>(values: readonly Value[]): Value | undefined {
    let at = this.#random() * values.reduce((sum, { weight }) => sum + weight, 0);
    return values.find(({ weight }) => {
      at -= weight;
      return at < 0;
    });
  }

  shuffled<Value>(values: readonly Value[]): Value[] {
    const rest = [...values];
    return values.flatMap(() => rest.splice(this.between(0, rest.length - 1), 1));
  }

  bytes(length: number): Buffer {
    return Buffer.from(Array.from({ length }, () => this.between(0, 255)));
  }
}
