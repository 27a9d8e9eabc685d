/** OPEN FILES: takes the descriptors of a running process away, and gives them back.
 *  Owns nothing. RLIMIT_NOFILE bounds the number that a new descriptor may get, so the lowest number that is free is a limit
 *  under which the process keeps all that it has and gets nothing more. */
import { readdirSync } from 'node:fs';
import type { Test } from 'tap';
import { mustRun } from './process.js';

/** @returns gives them back */
export async function takeOpenFiles(t: Test, pid: number): Promise<() => Promise<void>> {
  const used = new Set(readdirSync(`/proc/${pid}/fd`).map(Number));
  let free = 0;
  while (used.has(free)) free++;
  const limit = async (soft: number | string): Promise<void> => {
    await mustRun(t, 'prlimit', ['--pid', String(pid), `--nofile=${soft}:`]);
  };
  const before = (
    await mustRun(t, 'prlimit', ['--pid', String(pid), '--nofile', '--noheadings', '--output', 'SOFT'])
  ).trim();
  await limit(free);
  return () => limit(before);
}
