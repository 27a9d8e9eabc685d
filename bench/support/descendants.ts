/** DESCENDANTS: ends whatever processes of ours still run, by id. For the end of a run that was interrupted or failed:
 *  those who start a process end it themselves in every other case. */
import { setTimeout as delay } from 'node:timers/promises';
import { treeOf } from './process_tree.js';

const GRACE_MS = 2_000;
const LOOK_EVERY_MS = 50;

/** @returns how many there were */
export async function endDescendants(): Promise<number> {
  // Gathered before the first is ended: the children of one that ends go to init, and are found no more.
  const pids = treeOf([process.pid]).filter((pid) => pid !== process.pid);
  for (const pid of pids) kill(pid, 'SIGTERM');
  const deadlineMs = performance.now() + GRACE_MS;
  while (pids.some(isAlive) && performance.now() < deadlineMs) await delay(LOOK_EVERY_MS);
  for (const pid of pids) if (isAlive(pid)) kill(pid, 'SIGKILL');
  return pids.length;
}

function isAlive(pid: number): boolean {
  return kill(pid, 0);
}

function kill(pid: number, signal: NodeJS.Signals | 0): boolean {
  try {
    return process.kill(pid, signal);
  } catch {
    return false; // it has ended meanwhile
  }
}
