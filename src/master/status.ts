/** STATUS: what a primary says of itself, as types. Owns nothing. */
import type { DoorStatus } from './door.js';
import type { HandoffCounters } from './handoff.js';
import type { WorkerStatus } from './worker_status.js';

/** Numbers for status pages and tests; what is counted over all workers stands in the metrics. */
export interface PrimaryStatus extends DoorStatus {
  readonly draining: boolean;
  readonly connections: number;
  /** Sockets that no worker has acknowledged. */
  readonly waiting: number;
  readonly handoff: Readonly<HandoffCounters>;
  readonly workers: readonly WorkerStatus[];
}
