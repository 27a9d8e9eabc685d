/** METER: what the limit on its user's bytes means for one channel.
 *  Owns the channel's accounts in the user's two purses, and the credit that the peer has earned and not been given. Towards the
 *  peer bytes are paid for as they are sealed. From the peer they are paid for when it is allowed to send them, so that what
 *  comes has been paid for already; the SSH socket itself is always read, and control messages wait for nothing. */
import type { Account, Purses } from './purse.js';
import type { ReceiveWindow } from './window.js';

/** What the meter does with its channel. */
export interface Metered {
  /** The peer may send so many bytes more. */
  adjust(bytes: number): void;
  onWritable(): void;
}

/** What a channel is allowed before it has sent anything: a request, not a file. Each idle channel holds that much of the
 *  user's bytes; from there on a channel holds at most twice what it has sent, up to its window. */
const FIRST_CREDIT_BYTES = 4 * 1024;
/** The window of a limited channel holds this part of a second of the limit. It grows with the path as others do. */
const WINDOW_S = 1 / 10;
const MIN_WINDOW_BYTES = 256;

/** What a channel's receive window needs to be with this limit. */
export function meteredWindowBytes({ bytesPerSecond }: Purses): number {
  return Math.max(MIN_WINDOW_BYTES, Math.ceil(bytesPerSecond * WINDOW_S));
}

export class Meter {
  readonly #purses: Purses;
  readonly #window: ReceiveWindow;
  readonly #channel: Metered;
  readonly #up: Account;
  readonly #down: Account;
  /** Bytes from the peer that the other side has taken. */
  #takenBytes = 0;
  /** What the peer has been promised in all, and the part of that which is not paid for. */
  #promisedBytes = 0;
  #owedBytes = 0;
  #upEnded = false;

  constructor(purses: Purses, window: ReceiveWindow, channel: Metered) {
    this.#purses = purses;
    this.#window = window;
    this.#channel = channel;
    this.#up = purses.up.account(() => this.#pay());
    this.#down = purses.down.account(() => channel.onWritable());
  }

  /** It has to wait for its user's limit: whoever sees nothing move must not take it for idle. */
  get isWaiting(): boolean {
    return this.#purses.up.isWaiting(this.#up) || this.#purses.down.isWaiting(this.#down);
  }

  /** Bytes that may go to the peer now. */
  get sendableBytes(): number {
    return this.#purses.down.available(this.#down);
  }
  sent(bytes: number): void {
    if (bytes > 0) this.#purses.down.spend(this.#down, bytes);
  }
  /** `onWritable` comes when there is more. */
  awaitSendable(): void {
    this.#purses.down.wait(this.#down);
  }

  /** The peer may begin. */
  begin(): void {
    this.#promise();
  }
  /** So many bytes of the peer's have been taken by the other side. */
  taken(bytes: number): void {
    this.#takenBytes += bytes;
    this.#promise();
  }
  /** The peer will send nothing more: what it was allowed beyond that is its user's again. */
  endUp(): void {
    if (this.#upEnded) return;
    this.#upEnded = true;
    this.#purses.up.leave(this.#up);
    this.#purses.up.giveBack(this.#window.openBytes);
  }
  /** Nothing moves any more. */
  end(): void {
    this.endUp();
    this.#purses.down.leave(this.#down);
  }

  get #windowBytes(): number {
    return Math.min(this.#window.sizeBytes, Math.max(FIRST_CREDIT_BYTES, 2 * this.#takenBytes));
  }

  #promise(): void {
    if (this.#upEnded) return;
    const bytes = Math.max(0, this.#takenBytes + this.#windowBytes - this.#promisedBytes);
    this.#promisedBytes += bytes;
    this.#owedBytes += bytes;
    // As with other windows, one message for half of it and not one for each packet.
    if (this.#owedBytes * 2 >= this.#windowBytes && !this.#purses.up.isWaiting(this.#up)) this.#pay();
  }

  #pay(): void {
    const { up } = this.#purses;
    const bytes = Math.min(this.#owedBytes, up.available(this.#up));
    if (bytes < this.#owedBytes) up.wait(this.#up);
    if (bytes === 0) return;
    this.#owedBytes -= bytes;
    up.spend(this.#up, bytes);
    this.#window.open(bytes);
    this.#channel.adjust(bytes); // last: it may be one message too many for a peer that does not read
  }
}
