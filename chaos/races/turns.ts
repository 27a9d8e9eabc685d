/** TURNS: how long something takes, as the event loop counts: not at all, a few microtasks, or some turns in which sockets are
 *  heard. A race is lost or won by these; milliseconds have no part in it. */
import type { Dice } from '../dice.js';

export async function pause(dice: Dice): Promise<void> {
  const turns = dice.between(-3, 3);
  if (turns === -3) return;
  if (turns <= 0) for (let count = dice.between(1, 6); count > 0; count--) await null;
  for (let count = turns; count > 0; count--) await turn();
}

export function turn(): Promise<void> {
  return new Promise((resolve) => {
    setImmediate(resolve);
  });
}

/** What is said comes late, and in order: the channel between two processes. */
export class Pipe {
  readonly #dice: Dice;
  readonly #waiting: (() => void)[] = [];
  #working = false;

  constructor(dice: Dice) {
    this.#dice = dice;
  }

  get isEmpty(): boolean {
    return this.#waiting.length === 0 && !this.#working;
  }

  post(deliver: () => void): void {
    this.#waiting.push(deliver);
    if (!this.#working) void this.#work();
  }

  async #work(): Promise<void> {
    this.#working = true;
    for (let deliver = this.#waiting.shift(); deliver !== undefined; deliver = this.#waiting.shift()) {
      await pause(this.#dice);
      deliver();
    }
    this.#working = false;
  }
}
