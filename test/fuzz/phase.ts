/** PHASE: one way to reach a part of the server with hostile packets, and what all of them tell of a case.
 *  Owns nothing. */
import { DEADLINE_MS } from '../support/deadline.js';

export interface CaseResult {
  /** Packets that were handed over, and those of them that no honest peer would send there. */
  readonly packets: number;
  readonly mutated: number;
  /** What went wrong; empty: nothing did. */
  readonly faults: readonly string[];
}

/** Takes what is sent, as text; null where nobody reads it. */
export type Tell = (line: string) => void;

export interface Phase {
  readonly name: string;
  /** Cases that may run beside each other: more where a case waits for sockets. */
  readonly concurrency: number;
  /** Plays case `index` of this seed, the same one each time. */
  run(seed: number, index: number, tell: Tell | null): Promise<CaseResult>;
  /** Looked at now and then, when no case runs. */
  check(): Promise<readonly string[]>;
  /** @returns what is left behind */
  close(): Promise<readonly string[]>;
}

/** Lets everything that is ready have its turn. */
export function turn(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}

/** Most things come true within a few turns; what the file system or another process is asked for takes longer. */
const QUICK_TURNS = 100;
const LOOK_AGAIN_MS = 2;

/** Waits for `probe`, turn by turn and then now and then, until the deadline. @returns whether it came true */
export async function comesTrue(probe: () => boolean): Promise<boolean> {
  for (let count = 0; count < QUICK_TURNS; count++) {
    if (probe()) return true;
    await turn();
  }
  const endMs = performance.now() + DEADLINE_MS;
  while (!probe()) {
    if (performance.now() > endMs) return false;
    await new Promise((resolve) => setTimeout(resolve, LOOK_AGAIN_MS));
  }
  return true;
}
