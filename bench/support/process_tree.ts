/** PROCESS TREE: CPU time and memory of a server, all its processes together, read from Linux' /proc. Owns nothing. */
import { readdirSync, readFileSync } from 'node:fs';

/** USER_HZ: the unit of utime and stime in /proc/PID/stat, 100 on every Linux. */
const TICKS_PER_SECOND = 100;

interface Stat {
  readonly parent: number;
  readonly ticks: number;
}

/** The roots and all their living descendants. */
export function treeOf(roots: readonly number[]): number[] {
  const children = new Map<number, number[]>();
  for (const name of readdirSync('/proc')) {
    const pid = Number(name);
    if (!Number.isInteger(pid)) continue;
    const stat = statOf(pid);
    if (stat === null) continue;
    const siblings = children.get(stat.parent);
    if (siblings === undefined) children.set(stat.parent, [pid]);
    else siblings.push(pid);
  }
  const tree = [...roots];
  for (let i = 0; i < tree.length; i++) tree.push(...(children.get(tree[i] ?? -1) ?? []));
  return [...new Set(tree)];
}

/** User and system seconds of the trees, with those of children that have ended and were waited for. Granularity 10 ms a
 *  process: measure long enough. */
export function cpuSeconds(roots: readonly number[]): number {
  let ticks = 0;
  for (const pid of treeOf(roots)) ticks += statOf(pid)?.ticks ?? 0;
  return ticks / TICKS_PER_SECOND;
}

/** The same for one process, without its children. */
export function ownCpuSeconds(pid: number): number {
  const fields = fieldsOf(pid);
  return fields === null ? 0 : (Number(fields[11]) + Number(fields[12])) / TICKS_PER_SECOND;
}

/** Proportional set size of the trees in bytes: shared pages are counted in shares, so that forked servers are not
 *  charged many times for one copy. */
export function pssBytes(roots: readonly number[]): number {
  let kibibytes = 0;
  for (const pid of treeOf(roots)) {
    try {
      const rollup = readFileSync(`/proc/${pid}/smaps_rollup`, 'utf8');
      kibibytes += Number(/^Pss:\s+(\d+) kB/m.exec(rollup)?.[1] ?? 0);
    } catch {
      // It ended between the two looks.
    }
  }
  return kibibytes * 1024;
}

function statOf(pid: number): Stat | null {
  const fields = fieldsOf(pid);
  if (fields === null) return null;
  const [parent, utime, stime, cutime, cstime] = [1, 11, 12, 13, 14].map((i) => Number(fields[i]));
  return { parent: parent ?? 0, ticks: (utime ?? 0) + (stime ?? 0) + (cutime ?? 0) + (cstime ?? 0) };
}

/** The fields behind the command's name, which may hold anything. */
function fieldsOf(pid: number): string[] | null {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
    return stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  } catch {
    return null;
  }
}
