/** TURNS: how much of a turn of the event loop each socket may have, and who waits for a later one.
 *  Owns the count of bytes and of sockets of this turn, and the queue of those that have had their part. libuv reads each ready
 *  socket up to 32 times in a row and serves all that are ready before anybody is heard again: with 200 bulk flows on a starved
 *  machine the heartbeat came too late, and the primary killed the worker with everybody's tunnels; with 1,000 an echo beside
 *  them took half a second. So a turn is kept short: bulk flows take theirs one after the other, and who brings little waits for none. */

/** For all sockets together: some milliseconds of work. */
const BYTES_PER_TURN = 4 * 1024 * 1024;
/** What those who have waited may bring of it, and what a single flow may: 1 MiB would cost it 3 to 8 % (DECISIONS 38). */
const MOST_BYTES = 2 * 1024 * 1024;
/** What each may bring, however many there are: with less, a flow pays more for its turns than for its bytes. */
const LEAST_BYTES = 64 * 1024;
/** Who brings less in a turn than this is never made to wait: a keystroke, a question and its answer. */
const SMALL_BYTES = 8 * 1024;

export class Turns {
  #number = 0;
  #bytes = 0;
  #sockets = 0;
  /** That brought something in the turn before, or had to wait through it. */
  #socketsBefore = 1;
  #passedOver = 0;
  /** In the order in which they will go on. */
  #waiting: (() => void)[] = [];
  #isEndComing = false;
  readonly #afterTurn: (callback: () => void) => void;

  /** @param afterTurn calls back when all that was ready has been read */
  constructor(afterTurn: (callback: () => void) => void = setImmediate) {
    this.#afterTurn = afterTurn;
  }

  /** For a socket that may bring bytes. */
  share(): TurnShare {
    return new TurnShare(this);
  }

  /** @internal A socket brings its first bytes of this turn. @returns the number of the turn */
  enter(): number {
    this.#sockets++;
    this.#awaitEnd();
    return this.#number;
  }
  /** @internal */
  count(bytes: number): void {
    this.#bytes += bytes;
  }
  /** @internal */
  wait(goOn: () => void): void {
    this.#waiting.push(goOn);
    this.#awaitEnd();
  }

  /** @internal */
  get number(): number {
    return this.#number;
  }
  /** @internal What one socket may bring now: as many as there were in the turn before are taken to be there now. */
  get shareBytes(): number {
    const bytes = BYTES_PER_TURN / Math.max(this.#sockets, this.#socketsBefore);
    return Math.max(LEAST_BYTES, Math.min(MOST_BYTES, bytes));
  }
  /** @internal All have brought enough for one turn. */
  get isFull(): boolean {
    return this.#bytes >= BYTES_PER_TURN;
  }

  #awaitEnd(): void {
    if (this.#isEndComing) return;
    this.#isEndComing = true;
    this.#afterTurn(this.#end);
  }

  readonly #end = (): void => {
    this.#isEndComing = false;
    this.#number++;
    this.#socketsBefore = Math.max(1, this.#sockets + this.#passedOver);
    this.#sockets = 0;
    this.#bytes = 0;
    this.#passedOver = 0;
    if (this.#waiting.length > 0) this.#release();
  };

  /** As many as may bring half of a turn: others come who have not waited. */
  #release(): void {
    const released = this.#waiting.splice(0, Math.ceil(MOST_BYTES / this.shareBytes));
    this.#passedOver = this.#waiting.length;
    if (this.#passedOver > 0) this.#awaitEnd();
    for (const goOn of released) goOn();
  }
}

export class TurnShare {
  readonly #turns: Turns;
  #turn = -1;
  #bytes = 0;

  constructor(turns: Turns) {
    this.#turns = turns;
  }

  /** What it may bring in all in this turn: a larger read would be more than its part. */
  get bytes(): number {
    return this.#turns.shareBytes;
  }

  /** So many bytes have been read. @returns true when others should be heard before the next read: then call `wait` */
  isUsedUp(bytes: number): boolean {
    if (this.#turn !== this.#turns.number) {
      this.#turn = this.#turns.enter();
      this.#bytes = 0;
    }
    this.#bytes += bytes;
    this.#turns.count(bytes);
    return this.#bytes >= this.#turns.shareBytes || (this.#bytes >= SMALL_BYTES && this.#turns.isFull);
  }

  /** @param goOn called when it is its turn to read again, whether or not there still is anything to read from */
  wait(goOn: () => void): void {
    this.#turns.wait(goOn);
  }
}
