/** PROCESS SHARES: CPU of a sharded server, the process that accepts apart from those that serve. Owns nothing. */
import type { RunningServer } from '../types.js';
import { ownCpuSeconds } from './process_tree.js';
import { atRest, type Rest } from './rest.js';

export interface Shares {
  readonly primarySeconds: number;
  readonly workersSeconds: number;
  readonly rest: Rest;
}

/** At rest. @throws when the server is not sharded */
export async function sharesAtRest({ primary, roots }: RunningServer, before?: Shares): Promise<Shares> {
  if (primary === undefined) throw new Error('this server has no process that only accepts');
  const rest = await atRest(roots, before?.rest);
  const primarySeconds = ownCpuSeconds(primary);
  return { primarySeconds, workersSeconds: rest.cpuSeconds - primarySeconds, rest };
}

/** What was spent between two looks. */
export function spent(
  before: Shares,
  after: Shares,
): { readonly primarySeconds: number; readonly workersSeconds: number } {
  return {
    primarySeconds: after.primarySeconds - before.primarySeconds,
    workersSeconds: after.workersSeconds - before.workersSeconds,
  };
}
