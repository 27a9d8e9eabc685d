/** ESTIMATE: how long the rest of a run takes, from what its steps took until now. Owns those times; reads no clock. */
import { median } from '../../src/load/percentiles.js';
import type { Step } from '../plan.js';

/** Before the first step has ended. */
const GUESS_SECONDS = 5;

export class Estimate {
  readonly #left: Step[];
  readonly #steps: number;
  /** Seconds, by everything that a step has in common with others, from the narrowest to the widest. */
  readonly #taken = new Map<string, number[]>();

  constructor(steps: readonly Step[]) {
    this.#left = [...steps];
    this.#steps = steps.length;
  }

  /** Steps end in the order in which they were planned. @param seconds null: skipped, which says nothing of others */
  ended(step: Step, seconds: number | null): void {
    this.#left.shift();
    if (seconds === null) return;
    for (const key of keysOf(step)) {
      const taken = this.#taken.get(key);
      if (taken === undefined) this.#taken.set(key, [seconds]);
      else taken.push(seconds);
    }
  }

  /** 0 to 100, of steps. */
  get percent(): number {
    return this.#steps === 0 ? 100 : Math.floor(100 * (1 - this.#left.length / this.#steps));
  }

  get secondsLeft(): number {
    return this.#left.reduce((sum, step) => sum + this.#expected(step), 0);
  }

  #expected(step: Step): number {
    for (const key of keysOf(step)) {
      const taken = this.#taken.get(key);
      if (taken !== undefined) return median(taken);
    }
    return GUESS_SECONDS;
  }
}

function keysOf({ scenario, cell, peer }: Step): string[] {
  return [`${scenario}\n${cell}\n${peer.name}`, `${scenario}\n${cell}`, `${scenario}\n\n${peer.name}`, scenario, ''];
}

/** "40 s", "12 min", "1 h 5 min". */
export function duration(seconds: number): string {
  if (seconds < 90) return `${Math.round(seconds)} s`;
  const minutes = Math.round(seconds / 60);
  return minutes < 90 ? `${minutes} min` : `${Math.floor(minutes / 60)} h ${minutes % 60} min`;
}
