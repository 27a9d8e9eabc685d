/** ECHO: a signal that comes twice for one wish. A terminal sends Ctrl-C to its whole foreground group, and npm, which is in it, hands
 *  it on to its child as well; timeout(1) does the same with SIGTERM.
 *  Owns when each signal was last taken. Price: who presses Ctrl-C twice within half a second has to press it once more. */
const ECHO_MS = 500;

export class Echo {
  readonly #takenMs = new Map<NodeJS.Signals, number>();

  /** @param nowMs monotonic
   *  @returns false for one that has been taken just now */
  takes(signal: NodeJS.Signals, nowMs: number): boolean {
    const takenMs = this.#takenMs.get(signal);
    if (takenMs !== undefined && nowMs - takenMs < ECHO_MS) return false;
    this.#takenMs.set(signal, nowMs);
    return true;
  }
}
