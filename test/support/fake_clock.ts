/** FAKE CLOCK: time that passes when a test says so. Owns the timers that nobody has cancelled. */
import type { Clock } from '../../src/master/clock.js';
import type { Cancel } from '../../src/shared/timer.js';

interface Timer {
  readonly atMs: number;
  readonly action: () => void;
}

export class FakeClock implements Clock {
  #nowMs = 1_000_000; // no code may take the start for zero
  readonly #timers = new Set<Timer>();
  readonly #polls = new Set<{ action: () => void }>();

  nowMs(): number {
    return this.#nowMs;
  }
  nowNs(): bigint {
    return BigInt(this.#nowMs) * 1_000_000n;
  }
  after(delayMs: number, action: () => void): Cancel {
    const timer = { atMs: this.#nowMs + delayMs, action };
    this.#timers.add(timer);
    return () => this.#timers.delete(timer);
  }
  afterPoll(action: () => void): Cancel {
    const entry = { action };
    this.#polls.add(entry);
    return () => this.#polls.delete(entry);
  }

  /** Timers that have not fired. */
  get pending(): number {
    return this.#timers.size + this.#polls.size;
  }

  /** Fires what is due, in order of time. */
  advance(byMs: number): void {
    const endMs = this.#nowMs + byMs;
    for (;;) {
      const next = [...this.#timers].filter(({ atMs }) => atMs <= endMs).sort((a, b) => a.atMs - b.atMs)[0];
      if (next === undefined) break;
      this.#timers.delete(next);
      this.#nowMs = next.atMs;
      next.action();
    }
    this.#nowMs = endMs;
  }

  /** One turn of the event loop has polled. */
  poll(): void {
    for (const entry of [...this.#polls]) {
      this.#polls.delete(entry);
      entry.action();
    }
  }
}
