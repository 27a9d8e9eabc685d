/** PROGRESS: what a run tells the person who waits. On a terminal one line is rewritten; elsewhere each step has a line.
 *  Failures stay to be seen in both. Owns that line. */
import type { Step } from '../plan.js';
import type { Outcome } from '../run.js';
import type { Sample } from '../types.js';
import { duration, Estimate } from './estimate.js';

export interface Output {
  readonly isTTY?: boolean;
  readonly columns?: number;
  write(text: string): unknown;
}

const DEFAULT_COLUMNS = 100;
const CLEAR_LINE = '\r\u001b[K';

export class Progress {
  readonly #output: Output;
  readonly #nowMs: () => number;
  readonly #estimate: Estimate;
  #step: Step | undefined;
  #startedMs = 0;
  #note = '';

  constructor(steps: readonly Step[], output: Output, nowMs: () => number) {
    this.#output = output;
    this.#nowMs = nowMs;
    this.#estimate = new Estimate(steps);
  }

  stepStarted(step: Step): void {
    this.#step = step;
    this.#startedMs = this.#nowMs();
    this.#note = '';
    if (this.#isTerminal) this.draw();
  }

  stepEnded(step: Step, outcome: Outcome): void {
    const isSkipped = 'skipped' in outcome;
    this.#estimate.ended(step, isSkipped ? null : (this.#nowMs() - this.#startedMs) / 1000);
    this.#step = undefined;
    if ('failure' in outcome) {
      const { kind, reason } = outcome.failure;
      this.say(`${nameOf(step)}: ${kind === 'verification' ? 'VERIFICATION FAILED' : 'failed'}: ${reason}`);
    } else if (!this.#isTerminal) {
      this.say(`${nameOf(step)}: ${isSkipped ? `left out, ${outcome.skipped}` : figures(outcome.sample)}`);
    }
  }

  /** Shown while the step runs. */
  note(text: string): void {
    this.#note = text;
    if (this.#isTerminal) this.draw();
    else this.say(`${this.#step === undefined ? '' : `${nameOf(this.#step)}: `}${text}`);
  }

  /** A line that stays. */
  say(text: string): void {
    if (!this.#isTerminal) this.#output.write(`[${this.#position}] ${text}\n`);
    else {
      this.#output.write(`${CLEAR_LINE}${text}\n`);
      this.draw();
    }
  }

  /** Rewrites the line, on a terminal. Called once a second too: a step may be long and silent. */
  draw(): void {
    if (!this.#isTerminal || this.#step === undefined) return;
    const text = `${this.#position}  ${nameOf(this.#step)}${this.#note === '' ? '' : `: ${this.#note}`}`;
    this.#output.write(`${CLEAR_LINE}${text.slice(0, (this.#output.columns ?? DEFAULT_COLUMNS) - 1)}`);
  }

  /** Leaves the terminal's line empty. */
  end(): void {
    this.#step = undefined;
    if (this.#isTerminal) this.#output.write(CLEAR_LINE);
  }

  get #isTerminal(): boolean {
    return this.#output.isTTY === true;
  }

  get #position(): string {
    const { percent, secondsLeft } = this.#estimate;
    const inThisStep = this.#step === undefined ? 0 : (this.#nowMs() - this.#startedMs) / 1000;
    return `${String(percent).padStart(3)} %, ${duration(Math.max(0, secondsLeft - inThisStep))} left`;
  }
}

function nameOf({ scenario, cell, peer, round, rounds }: Step): string {
  return `${scenario} | ${cell} | ${peer.name} | ${round === 0 ? 'warm-up' : `round ${round} of ${rounds}`}`;
}

function figures(sample: Sample): string {
  return Object.entries(sample)
    .map(([name, value]) => `${name} ${Number(value.toPrecision(4))}`)
    .join(', ');
}
