/** LAYOUT: how the lines of a screen are shared out. Owns nothing. Pure. */
import type { Size } from './state.js';

export interface Layout {
  /** Of these four, each 1 where there is room for it, else 0. */
  readonly title: 0 | 1;
  readonly counts: 0 | 1;
  readonly throughput: 0 | 1;
  readonly tabs: 0 | 1;
  readonly workers: number;
  /** Rows of the table, below its heading. */
  readonly rows: number;
  /** The last line: keys, questions and what goes wrong. */
  readonly foot: 0 | 1;
}

const MAX_WORKER_LINES = 2;

/** What tells least goes first where there are few lines: workers, counts, the title, the throughput, the tabs. The table keeps one
 *  row, its heading and the foot. */
export function layoutOf({ rows }: Size): Layout {
  const title = rows >= 10 ? 1 : 0;
  const counts = rows >= 11 ? 1 : 0;
  const throughput = rows >= 6 ? 1 : 0;
  const tabs = rows >= 5 ? 1 : 0;
  const workers = rows >= 24 ? MAX_WORKER_LINES : rows >= 14 ? 1 : 0;
  const foot = rows >= 3 ? 1 : 0;
  const heading = 1;
  const taken = title + counts + throughput + tabs + workers + heading + foot;
  return { title, counts, throughput, tabs, workers, foot, rows: Math.max(1, rows - taken) };
}
