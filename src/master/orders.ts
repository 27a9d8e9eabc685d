/** ORDERS: what an operator wants of a running server, one thing after the other.
 *  Owns the orders that wait. Whoever asks twice by signal before anything has happened asks once. */

interface Order {
  readonly name: string | null;
  readonly run: () => Promise<unknown>;
}

export class Orders {
  readonly #waiting: Order[] = [];
  #state: 'not yet' | 'open' | 'busy' | 'over' = 'not yet';

  /** @param run never rejects */
  give(name: string, run: () => Promise<unknown>): void {
    if (this.#waiting.some((order) => order.name === name)) return;
    this.#push({ name, run });
  }

  /** One that somebody waits for, so it is not one with any other. What waits when the server ends is run as well: it will
   *  find out.
   *  @param run never rejects */
  ask<Result>(run: () => Promise<Result>): Promise<Result> {
    return new Promise((resolve) => {
      this.#push({ name: null, run: () => run().then(resolve) });
    });
  }

  /** The server runs: what was asked for meanwhile is done now. */
  begin(): void {
    if (this.#state !== 'not yet') return;
    this.#state = 'open';
    this.#next();
  }

  /** The server ends: signals begin nothing more. */
  end(): void {
    this.#state = 'over';
    for (const { name, run } of this.#waiting.splice(0)) if (name === null) void run();
  }

  #push(order: Order): void {
    if (this.#state === 'over') {
      if (order.name === null) void order.run();
      return;
    }
    this.#waiting.push(order);
    this.#next();
  }

  #next(): void {
    if (this.#state !== 'open') return;
    const order = this.#waiting.shift();
    if (order === undefined) return;
    this.#state = 'busy';
    void order.run().then(() => {
      if (this.#state === 'busy') this.#state = 'open';
      this.#next();
    });
  }
}
