/** REST: a server after a load: when its processes have gone, and its CPU and memory stand still. Owns nothing. */
import { setTimeout as delay } from 'node:timers/promises';
import { cpuSeconds, pssBytes, treeOf } from './process_tree.js';

const CPU_EVERY_MS = 100;
const CPU_PATIENCE_MS = 15_000;
const MEMORY_EVERY_MS = 500;
const MEMORY_PATIENCE_MS = 20_000;
/** Looks in a row that must agree. */
const AGREEING = 3;
/** Memory that may still move: allocators breathe. */
const MEMORY_PLAY = 0.005;

export interface Rest {
  readonly cpuSeconds: number;
  readonly processes: number;
}

/** Waits until the processes that a load made have ended, and CPU time stands still. A process' time counts for its parent
 *  only when it has been waited for.
 *  @param before the rest before the load; it tells how many processes are to stay
 *  @throws when more processes stay than stood before */
export async function atRest(roots: readonly number[], before?: Rest): Promise<Rest> {
  const deadlineMs = performance.now() + CPU_PATIENCE_MS;
  let last = look(roots);
  for (let agreeing = 1; agreeing < AGREEING; ) {
    await delay(CPU_EVERY_MS);
    const now = look(roots);
    const hasGone = before === undefined || now.processes <= before.processes;
    agreeing = hasGone && now.cpuSeconds === last.cpuSeconds && now.processes === last.processes ? agreeing + 1 : 1;
    last = now;
    if (performance.now() < deadlineMs) continue;
    if (hasGone) break; // a server that never rests is measured as it is
    throw new Error(
      `${now.processes - (before?.processes ?? 0)} processes of the server stayed when its clients had gone`,
    );
  }
  return last;
}

function look(roots: readonly number[]): Rest {
  return { cpuSeconds: cpuSeconds(roots), processes: treeOf(roots).length };
}

/** Memory when it stands still, or after a time in which it did not. */
export async function restingPssBytes(roots: readonly number[], quick: boolean): Promise<number> {
  if (quick) {
    await delay(CPU_EVERY_MS);
    return pssBytes(roots);
  }
  const deadlineMs = performance.now() + MEMORY_PATIENCE_MS;
  const looks: number[] = [];
  while (!standsStill(looks) && performance.now() < deadlineMs) {
    await delay(MEMORY_EVERY_MS);
    looks.push(pssBytes(roots));
  }
  return looks.at(-1) ?? pssBytes(roots);
}

/** Do the last looks agree? */
export function standsStill(looks: readonly number[]): boolean {
  const last = looks.slice(-AGREEING);
  if (last.length < AGREEING) return false;
  const [low, high] = [Math.min(...last), Math.max(...last)];
  return high - low <= high * MEMORY_PLAY;
}
