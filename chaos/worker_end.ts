/** WORKER END: does something explain that a worker has ended? Pure. What nothing explains is a defect, and that one did not
 *  start in time is no exception: where the machine was too busy for it, so it is for whoever reads the ledger. */

export interface WorkerEnd {
  /** Of `worker.exited`. */
  readonly reason: string;
  /** It was replaced, or is an earlier primary's: it ends with its last connection. */
  readonly isLeaving: boolean;
  /** A fault has ended it. */
  readonly isDoomed: boolean;
  /** Its server is told to end, or was killed. */
  readonly isServerEnding: boolean;
}

export function isExplained({ reason, isLeaving, isDoomed, isServerEnding }: WorkerEnd): boolean {
  return isDoomed || isServerEnding || (isLeaving && reason === 'DRAINED');
}
