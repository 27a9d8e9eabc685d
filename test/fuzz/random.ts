/** RANDOM: all chance of the fuzzer. Owns the state of one generator: two of one seed give the same on every machine. */
import { seededRandom } from '../support/random.js';

export class Random {
  readonly #next: () => number;

  constructor(seed: number) {
    this.#next = seededRandom(seed);
  }

  /** From 0 to `count` - 1. */
  below(count: number): number {
    return Math.floor(this.#next() * count);
  }
  chance(probability: number): boolean {
    return this.#next() < probability;
  }
  pick<Value>(from: readonly Value[]): Value {
    const value = from[this.below(from.length)];
    if (value === undefined) throw new Error('nothing to pick from');
    return value;
  }
  /** Out of one noise for all, from a place by chance: thousands of bytes for the price of one. */
  bytes(count: number): Buffer {
    const from = this.below(NOISE.length - count);
    return Buffer.from(NOISE.subarray(from, from + count));
  }
}

const NOISE = noise(128 * 1024);

function noise(count: number): Buffer {
  const next = seededRandom(1);
  return Buffer.from(Array.from({ length: count }, () => Math.floor(next() * 256)));
}

/** A seed of 32 bits for one case: MurmurHash3's finaliser over its parts, so that neighbours have nothing in common. */
export function seedOf(seed: number, phase: string, index: number): number {
  let mixed = seed >>> 0;
  for (const part of [...Buffer.from(phase), index]) {
    mixed = Math.imul(mixed ^ part, 0x85eb_ca6b);
    mixed = Math.imul(mixed ^ (mixed >>> 13), 0xc2b2_ae35);
    mixed ^= mixed >>> 16;
  }
  return mixed >>> 0;
}
