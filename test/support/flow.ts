/** FLOW: declares one whole way through the server as a test, once per number of workers.
 *  Owns the time limit and the question whether the foreign programs are here. */
import type { Test } from 'tap';
import { need, type Program } from './programs.js';

export interface FlowOptions {
  readonly needs: readonly Program[];
  /** Runs the flow once per entry. Default: two workers, the case in which state has to be shared. */
  readonly workers?: readonly number[];
  /** For the whole flow. */
  readonly timeoutMs?: number;
}

export const ONE_AND_TWO_WORKERS = [1, 2] as const;

export function flow(
  root: Test,
  name: string,
  options: FlowOptions,
  body: (t: Test, workers: number) => Promise<void>,
): void {
  const counts = options.workers ?? [2];
  for (const workers of counts) {
    const title = counts.length === 1 ? name : `${name}, ${workers} worker${workers === 1 ? '' : 's'}`;
    root.test(title, { timeout: options.timeoutMs ?? 170_000 }, async (t) => {
      if (need(t, options.needs)) await body(t, workers);
    });
  }
}
