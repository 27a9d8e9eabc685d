/** PACE: how long after a look the next one begins. Owns nothing. Pure. */

const FIRST_RETRY_MS = 1_000;
const LAST_RETRY_MS = 5_000;
/** Long lists are work for every worker: a terminal has them busy for a fifth of the time at most. */
const REST = 4;

/** @param tookMs the look that has just ended */
export function nextLookMs(intervalMs: number, tookMs: number): number {
  return Math.max(intervalMs - tookMs, tookMs * REST, 0);
}

/** 1, 2, 4, then every 5 s. @param failures in a row, 1 or more */
export function retryMs(failures: number): number {
  return Math.min(LAST_RETRY_MS, FIRST_RETRY_MS * 2 ** (failures - 1));
}
