/** OPEN FILES: may a process here hold as many sockets as a cell wants? Owns nothing. */
import { readFileSync } from 'node:fs';

/** What a server needs beside its connections. */
const OTHERS = 200;

/** Node raises its own soft limit to the hard one when it starts, and what it starts inherits that.
 *  @throws telling the limit and how to raise it */
export function requireOpenFiles(connections: number): void {
  const limits = readFileSync('/proc/self/limits', 'utf8');
  const limit = Number(/^Max open files\s+(\d+)/m.exec(limits)?.[1] ?? Number.POSITIVE_INFINITY);
  const needed = connections + OTHERS;
  if (limit >= needed) return;
  throw new Error(`skipped: ${needed} open files are needed, the limit is ${limit}; raise it with ulimit -n ${needed}`);
}
