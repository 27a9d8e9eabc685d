/** LINGERERS: sockets of targets that are still taking what a peer sent before its channel closed.
 *  Owns the list of them, so that a worker which ends can wait for them, and tells those that it does not wait for. */

export class Lingerers {
  /** Each ends one at once. */
  readonly #cuts = new Set<() => void>();
  #whenEmpty: (() => void)[] = [];

  begin(cut: () => void): void {
    this.#cuts.add(cut);
  }
  ended(cut: () => void): void {
    this.#cuts.delete(cut);
    if (this.#cuts.size === 0) for (const resolve of this.#whenEmpty.splice(0)) resolve();
  }

  /** Resolves when none is left; those that are at the deadline are cut. A process that ended meanwhile would end them for us,
   *  and the kernel's FIN would tell a target that it has got all. */
  async over(deadlineMs: number): Promise<void> {
    if (this.#cuts.size === 0) return;
    const empty = new Promise<void>((resolve) => {
      this.#whenEmpty.push(resolve);
    });
    const timer = setTimeout(() => {
      for (const cut of [...this.#cuts]) cut();
    }, deadlineMs);
    await empty;
    clearTimeout(timer);
  }
}
