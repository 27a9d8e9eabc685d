/** RESIDENT: the memory of processes as the kernel counts it. Owns nothing. */
import { readFileSync } from 'node:fs';

/** Bytes that the process has in memory now. */
export function residentBytes(pid: number): number {
  return 1024 * Number(/^VmRSS:\s+(\d+)/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1]);
}
