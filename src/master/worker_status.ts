/** WORKER STATUS: the words of the worker table: states, ends, times, and what the supervisor tells the other rooms.
 *  Owns nothing but the default times. */
import type { WorkerEnd } from '../shared/errors.js';
import type { StartMessage, ToPrimary, WorkerLoad } from '../shared/ipc.js';
import type { Cancel } from '../shared/timer.js';
import type { Clock } from './clock.js';
import type { Ready } from './start_watch.js';
import type { ExitText, Fork, WorkerProcess } from './worker_process.js';

export type WorkerState = 'starting' | 'ready' | 'draining' | 'dead';

/** A worker as dispatch, logs and status pages see it. */
export interface WorkerStatus {
  readonly id: number;
  readonly pid: number;
  readonly state: WorkerState;
  readonly load: WorkerLoad;
  /** Since the last sign of life. */
  readonly silentMs: number;
  readonly upMs: number;
}

/** The same as the supervisor keeps it. */
export interface Member {
  readonly id: number;
  /** Null: adopted, so nobody fills its place. */
  readonly place: Place | null;
  process: WorkerProcess;
  readonly start: (worker: number) => StartMessage;
  /** It has got its `start`. */
  started: boolean;
  state: WorkerState;
  load: WorkerLoad;
  readonly bornMs: number;
  lastSignMs: number;
  /** Pings in a row without an answer. Counted, not measured: if we were held up ourselves, no worker is to blame. */
  missed: number;
  readonly ready: Ready;
  /** What it said before it died. */
  lastWords: string | undefined;
  end: WorkerEnd | undefined;
  cancelReady: Cancel;
}

/** One of the `workers` places; a worker that dies or gives up is replaced in its place. For a while it may hold two: one
 *  that serves, and its successor that starts. */
export interface Place {
  crashes: number;
  cancelRespawn: Cancel;
  /** Fewer workers are wanted: it is not filled again. */
  givenUp: boolean;
}

/** Ready, or soon. */
export function isFilling({ state }: Member): boolean {
  return state === 'ready' || state === 'starting';
}

export interface SupervisorTiming {
  /** From the fork to `ready`. */
  readonly readyMs: number;
  readonly pingMs: number;
  /** Silent for longer: dispatch leaves it out. */
  readonly lateMs: number;
  /** Silent for longer: killed and replaced. */
  readonly killMs: number;
  readonly backoffMinMs: number;
  readonly backoffMaxMs: number;
  /** A worker that lived longer starts the pauses anew. */
  readonly stableMs: number;
  /** What a worker may take beyond a drain's deadline. */
  readonly drainMarginMs: number;
}

/** Half a second between pings and one until a worker counts as late: no socket waits on a dead worker for longer. */
export const SUPERVISOR_TIMING: SupervisorTiming = {
  readyMs: 20_000,
  pingMs: 500,
  lateMs: 1_000,
  killMs: 5_000,
  backoffMinMs: 250,
  backoffMaxMs: 30_000,
  stableMs: 60_000,
  drainMarginMs: 2_000,
};

export interface SupervisorEvents {
  /** Whatever is not the supervisor's own: hand-offs, logins, leases, events. */
  message(worker: number, message: ToPrimary): void;
  started(worker: WorkerStatus, nativeBinding: boolean): void;
  /** After its last message; what it held is free. */
  lost(worker: WorkerStatus, end: WorkerEnd, how: ExitText): void;
  /** A worker may take sockets (again). */
  available(): void;
  /** In words, for the log. */
  trouble(text: string): void;
}

export interface SupervisorOptions {
  readonly workers: number;
  readonly fork: Fork;
  readonly startMessage: (worker: number) => StartMessage;
  readonly events: SupervisorEvents;
  readonly clock: Clock;
  readonly timing?: SupervisorTiming;
}

/** Before a place is filled again: none after its first crash, then pauses that double. */
export function pauseMs(crashes: number, { backoffMinMs, backoffMaxMs }: SupervisorTiming): number {
  return crashes === 0 ? 0 : Math.min(backoffMaxMs, backoffMinMs * 2 ** (crashes - 1));
}

export function statusOf(member: Member, nowMs: number): WorkerStatus {
  return {
    id: member.id,
    pid: member.process.pid,
    state: member.state,
    load: member.load,
    silentMs: nowMs - member.lastSignMs,
    upMs: nowMs - member.bornMs,
  };
}
