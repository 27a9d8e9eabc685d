/** FAKE TIMERS: `setTimeout` of this process on a fake clock, until the test ends. (Those of node:test do not know
 *  `refresh()` in Node 20: a timer that is put off would fire all the same.)
 *  Owns the timers that were made meanwhile; older ones stay real. */
import type { Test } from 'tap';
import type { Cancel } from '../../src/shared/timer.js';
import { FakeClock } from './fake_clock.js';

class FakeTimeout {
  readonly #start: () => Cancel;
  #cancel: Cancel;

  constructor(clock: FakeClock, delayMs: number, action: () => void) {
    this.#start = () => clock.after(delayMs, action);
    this.#cancel = this.#start();
  }
  refresh(): this {
    this.#cancel();
    this.#cancel = this.#start();
    return this;
  }
  ref(): this {
    return this;
  }
  unref(): this {
    return this;
  }
  clear(): void {
    this.#cancel();
  }
}

export function fakeTimers(t: Test): FakeClock {
  const clock = new FakeClock();
  const real = { setTimeout: globalThis.setTimeout, clearTimeout: globalThis.clearTimeout };
  const fake = {
    setTimeout: (action: (...args: unknown[]) => void, delayMs = 1, ...args: unknown[]) =>
      new FakeTimeout(clock, delayMs, () => action(...args)),
    clearTimeout: (timer: unknown) =>
      timer instanceof FakeTimeout ? timer.clear() : real.clearTimeout(timer as NodeJS.Timeout | undefined),
  };
  Object.assign(globalThis, fake);
  t.teardown(() => Object.assign(globalThis, real));
  return clock;
}
