/** SESSION: `top` on a terminal from its first look to its end: keys, signals, the clock and answers go to the model, and what the
 *  model wants is done. Owns the state, the look that is under way and the timers. */
import { constants } from 'node:os';
import type { ReadStream, WriteStream } from 'node:tty';
import { reasonOf } from '../../shared/errors.js';
import { type AdminApi, lookAt, pastOf } from './asker.js';
import type { Glyphs } from './cells.js';
import { frameOf } from './frame.js';
import { decode } from './keys.js';
import type { Look } from './look.js';
import { type Input, step } from './model.js';
import { nextLookMs, retryMs } from './pace.js';
import { type Palette, paint } from './paint.js';
import { Screen } from './screen.js';
import type { Effect, State } from './state.js';

export interface SessionOptions {
  readonly api: AdminApi;
  readonly input: ReadStream;
  readonly output: WriteStream;
  readonly glyphs: Glyphs;
  readonly palette: Palette;
  /** From the end of one look to the end of the next. */
  readonly intervalMs: number;
}

const ENDING = ['SIGINT', 'SIGTERM', 'SIGHUP', 'SIGQUIT'] as const;
/** After an ESC: the rest of a sequence comes at once, a key of that name alone. */
const ESCAPE_MS = 50;
/** To be stopped after a signal, if anybody can continue us. */
const STOP_MS = 100;

export class Session {
  readonly #options: SessionOptions;
  readonly #screen: Screen;
  #state: State;
  #typed = '';
  #escapeTimer: NodeJS.Timeout | undefined;
  #lookTimer: NodeJS.Timeout | undefined;
  #isLooking = false;
  #isLookWanted = false;
  #failures = 0;
  #finish: (exitCode: number) => void = () => {};
  #hasEnded = false;

  /** @param state with a first look */
  constructor(options: SessionOptions, state: State) {
    this.#options = options;
    this.#state = state;
    this.#screen = new Screen(options.input, options.output);
  }

  /** Until a key or a signal ends it. The terminal is as it was then, and after a fault of ours too.
   *  @returns the exit code: 0, or 128 and the signal's number */
  async run(): Promise<number> {
    const { input, output } = this.#options;
    const ended = new Promise<number>((resolve) => {
      this.#finish = resolve;
    });
    process.on('exit', this.#close);
    for (const signal of ENDING) process.on(signal, this.#onEnding);
    process.on('SIGTSTP', this.#onStop).on('SIGCONT', this.#onContinue);
    input.setEncoding('utf8').on('data', this.#onData).on('end', this.#onGone).on('error', this.#onGone);
    output.on('resize', this.#onResize).on('error', this.#onGone);
    try {
      this.#screen.open();
      this.#apply({ kind: 'size', size: this.#screen.size });
      this.#lookIn(this.#options.intervalMs);
      void this.#recall();
      return await ended;
    } finally {
      this.#hasEnded = true;
      clearTimeout(this.#escapeTimer);
      clearTimeout(this.#lookTimer);
      this.#close();
      input.off('data', this.#onData).off('end', this.#onGone).pause();
      output.off('resize', this.#onResize);
      process.off('SIGTSTP', this.#onStop).off('SIGCONT', this.#onContinue).off('exit', this.#close);
      for (const signal of ENDING) process.off(signal, this.#onEnding);
    }
  }

  readonly #close = (): void => this.#screen.close();

  readonly #onEnding = (signal: NodeJS.Signals): void => this.#finish(128 + constants.signals[signal]);

  /** The terminal has gone. */
  readonly #onGone = (): void => this.#finish(128 + constants.signals.SIGHUP);

  readonly #onResize = (): void => {
    this.#screen.forget();
    this.#apply({ kind: 'size', size: this.#screen.size });
  };

  /** Stops as if nobody had listened to the signal: with nobody to continue it, in a session of its own, a process is not stopped. */
  readonly #onStop = (): void => {
    this.#screen.close();
    process.off('SIGTSTP', this.#onStop);
    process.kill(process.pid, 'SIGTSTP');
    setTimeout(this.#onContinue, STOP_MS);
  };

  /** Also after a SIGSTOP, of which nobody was told: the shell has changed the terminal meanwhile. */
  readonly #onContinue = (): void => {
    if (this.#hasEnded) return;
    process.off('SIGTSTP', this.#onStop).on('SIGTSTP', this.#onStop);
    this.#screen.close();
    this.#screen.open();
    this.#apply({ kind: 'size', size: this.#screen.size });
  };

  readonly #onData = (text: string): void => this.#read(this.#typed + text, false);

  #read(text: string, isLast: boolean): void {
    clearTimeout(this.#escapeTimer);
    const { keys, rest } = decode(text, isLast);
    this.#typed = rest;
    for (const key of keys) this.#apply({ kind: 'key', key });
    if (rest !== '') this.#escapeTimer = setTimeout(() => this.#read(this.#typed, true), ESCAPE_MS);
  }

  #apply(input: Input): void {
    if (this.#hasEnded) return;
    const { state, effect } = step(this.#state, input);
    this.#state = state;
    const { glyphs, palette } = this.#options;
    this.#screen.draw(frameOf(state, glyphs).map((line) => paint(line, palette)));
    if (effect !== undefined) this.#do(effect);
  }

  #do(effect: Effect): void {
    switch (effect.kind) {
      case 'quit':
        return this.#finish(0);
      case 'interrupt':
        return this.#finish(128 + constants.signals.SIGINT);
      case 'suspend':
        // As the terminal would have done it: whoever started us, such as npx, stops with us.
        process.kill(0, 'SIGTSTP');
        return;
      case 'redraw':
        return this.#onResize();
      case 'look':
        return this.#lookIn(0);
      case 'end':
        void this.#end(effect.id);
        return;
      default:
        return effect satisfies never;
    }
  }

  #lookIn(ms: number): void {
    clearTimeout(this.#lookTimer);
    if (this.#hasEnded) return;
    if (this.#isLooking) this.#isLookWanted = true;
    else this.#lookTimer = setTimeout(() => void this.#look(), ms);
  }

  /** Never rejects. */
  async #look(): Promise<void> {
    this.#isLooking = true;
    this.#isLookWanted = false;
    const beganMs = performance.now();
    const outcome = await this.#asked();
    this.#isLooking = false;
    this.#failures = outcome.kind === 'lost' ? this.#failures + 1 : 0;
    this.#apply(outcome);
    if (this.#isLookWanted) this.#lookIn(0);
    else if (outcome.kind === 'lost') this.#lookIn(outcome.retryMs);
    else if (!this.#state.isPaused) this.#lookIn(nextLookMs(this.#options.intervalMs, performance.now() - beganMs));
  }

  async #asked(): Promise<{ kind: 'look'; look: Look } | { kind: 'lost'; why: string; retryMs: number }> {
    try {
      return { kind: 'look', look: await lookAt(this.#options.api, this.#state, () => performance.now()) };
    } catch (thrown) {
      return { kind: 'lost', why: reasonOf(thrown), retryMs: retryMs(this.#failures + 1) };
    }
  }

  async #recall(): Promise<void> {
    this.#apply({ kind: 'history', samples: await pastOf(this.#options.api) });
  }

  /** Never rejects. */
  async #end(id: number): Promise<void> {
    try {
      const wasThere = await this.#options.api.end(id);
      this.#apply({ kind: 'told', notice: `connection ${id} ${wasThere ? 'was ended' : 'had ended before'}` });
    } catch (thrown) {
      this.#apply({ kind: 'told', notice: `connection ${id} was not ended: ${reasonOf(thrown)}` });
    }
  }
}
