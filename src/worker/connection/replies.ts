/** REPLIES: answers to global requests in the order of the requests (RFC 4254 §4), however long each takes.
 *  Owns the answers that are still open. A peer that asks faster than it lets us answer is cut by the caller. */

export class OrderedReplies {
  readonly #send: (payload: Buffer) => void;
  /** One slot per request that wants a reply; null until its answer is known. */
  readonly #slots: Array<{ payload: Buffer | null }> = [];

  constructor(send: (payload: Buffer) => void) {
    this.#send = send;
  }

  /** Requests without an answer. */
  get open(): number {
    return this.#slots.length;
  }

  /** Takes the next place in the order. @returns how to answer it, exactly once */
  reserve(): (payload: Buffer) => void {
    const slot: { payload: Buffer | null } = { payload: null };
    this.#slots.push(slot);
    return (payload) => {
      slot.payload = payload;
      this.#flush();
    };
  }

  #flush(): void {
    for (let slot = this.#slots[0]; slot?.payload != null; slot = this.#slots[0]) {
      this.#slots.shift();
      this.#send(slot.payload);
    }
  }
}
