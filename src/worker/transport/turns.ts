/** TURNS: how much one socket may bring before it lets the event loop turn.
 *  Owns the count of sockets that have brought something in this turn and in the one before. libuv would read each ready socket up
 *  to 32 times in a row: with 200 bulk flows on a starved machine the heartbeat's turn came too late, and the primary killed the
 *  worker with everybody's tunnels. */

/** For all sockets together: some milliseconds of work. */
const BYTES_PER_TURN = 4 * 1024 * 1024;
/** What a single flow may take of it: 1 MiB would cost it 3 to 8 % (DECISIONS 38). */
const MOST_BYTES = 2 * 1024 * 1024;
/** What each may take, however many there are. */
const LEAST_BYTES = 16 * 1024;

export class Turns {
  #number = 0;
  #sockets = 0;
  #socketsBefore = 1;
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
    if (this.#sockets++ === 0) this.#afterTurn(this.#end);
    return this.#number;
  }
  /** @internal */
  get number(): number {
    return this.#number;
  }
  /** @internal What one socket may bring now: as many as came in the turn before are taken to come in this one. */
  get shareBytes(): number {
    const bytes = BYTES_PER_TURN / Math.max(this.#sockets, this.#socketsBefore);
    return Math.max(LEAST_BYTES, Math.min(MOST_BYTES, bytes));
  }

  readonly #end = (): void => {
    this.#number++;
    this.#socketsBefore = this.#sockets;
    this.#sockets = 0;
  };
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

  /** So many bytes have been read. @returns true when others should be heard before the next read */
  isUsedUp(bytes: number): boolean {
    if (this.#turn !== this.#turns.number) {
      this.#turn = this.#turns.enter();
      this.#bytes = 0;
    }
    this.#bytes += bytes;
    return this.#bytes >= this.#turns.shareBytes;
  }
}
