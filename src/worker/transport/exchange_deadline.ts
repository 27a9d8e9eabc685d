/** EXCHANGE DEADLINE: the time that a peer has for its part of a key exchange.
 *  Owns the timer. Of one that has logged in the time counts from its last sign of life: on a slow line it takes longer than any answer
 *  to read what was written before our KEXINIT, and to send what was sealed before it came. */

/** So often the time may pass while the peer is busy; then it has let us wait long enough. */
const MOST_TIMES = 10;

/** What the deadline looks at and does. */
export interface ExchangeDeadlinePort {
  /** Bytes that wait for the peer to read them, our KEXINIT behind them, and a number that changes when it has read some. */
  readonly queue: { readonly queuedBytes: number; readonly progress: number };
  now(): number;
  onExpired(): void;
}

export class ExchangeDeadline {
  readonly #port: ExchangeDeadlinePort;
  #timeMs = 0;
  #timer: NodeJS.Timeout | null = null;
  #latestMs = 0;
  #progress = 0;

  constructor(port: ExchangeDeadlinePort) {
    this.#port = port;
  }

  /** Does nothing where it runs already: an exchange has one deadline, whoever began it.
   *  @param patient whether signs of life count */
  start(timeMs: number, patient: boolean): void {
    if (this.#timer !== null) return;
    this.#timeMs = timeMs;
    this.#latestMs = this.#port.now() + (patient ? (MOST_TIMES - 1) * timeMs : 0);
    this.#arm();
  }

  /** Something came from the peer. */
  heard(): void {
    if (this.#timer !== null && this.#port.now() < this.#latestMs) this.#timer.refresh();
  }

  stop(): void {
    if (this.#timer !== null) clearTimeout(this.#timer);
    this.#timer = null;
  }

  #arm(): void {
    this.#progress = this.#port.queue.progress;
    this.#timer = setTimeout(() => this.#look(), this.#timeMs);
  }

  #look(): void {
    this.#timer = null;
    const { queuedBytes, progress } = this.#port.queue;
    const isReading = queuedBytes > 0 && progress !== this.#progress;
    if (isReading && this.#port.now() < this.#latestMs) this.#arm();
    else this.#port.onExpired();
  }
}
