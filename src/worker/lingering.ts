/** LINGERING: bytes that wait for targets beyond the end of their channels. The connections that they came from, and those
 *  connections' budgets, may be gone.
 *  Owns their counts: of the worker, and of each user. */

/** Beyond this a target that rests loses them at once. */
const MAX_BYTES = 64 * 1024 * 1024;
const PART_OF_BUDGET = 1 / 4;

export class Lingering {
  readonly #mostBytes: number;
  #bytes = 0;
  readonly #byUser = new Map<string, number>();

  /** @param budgetBytes of the worker */
  constructor(budgetBytes: number) {
    this.#mostBytes = Math.min(MAX_BYTES, budgetBytes * PART_OF_BUDGET);
  }

  /** Nobody holds more than he leaves to the others: for his, the last bytes of theirs would be thrown away.
   *  @returns false when so many may not wait; true counts them until `end` */
  begin(user: string, bytes: number): boolean {
    const leftBytes = this.#mostBytes - this.#bytes;
    if (bytes > 0 && this.#of(user) + bytes > leftBytes) return false; // what the kernel has costs nobody anything
    this.#count(user, bytes);
    return true;
  }

  end(user: string, bytes: number): void {
    this.#count(user, -bytes);
  }

  #of(user: string): number {
    return this.#byUser.get(user) ?? 0;
  }

  #count(user: string, bytes: number): void {
    this.#bytes += bytes;
    const left = this.#of(user) + bytes;
    if (left === 0) this.#byUser.delete(user);
    else this.#byUser.set(user, left);
  }
}
