/** WORKFORCE: what the primary does when a worker starts, when one of an earlier primary comes, and when one is gone.
 *  Owns whether the missing native binding has been told of. */
import type { Adoption } from '../shared/adoption.js';
import type { WorkerEnd } from '../shared/errors.js';
import type { EventSink } from '../shared/events.js';
import type { ToWorker } from '../shared/ipc.js';
import type { JsonLines } from '../shared/json_lines.js';
import { adoptedWorker, conflictText } from './adopted_worker.js';
import type { Clock } from './clock.js';
import type { Entrance } from './entrance.js';
import type { Log } from './event_log.js';
import type { LeaseDesk } from './lease_desk.js';
import type { Ledger } from './ledger.js';
import { removeSockets, tellLost } from './lost_worker.js';
import type { Metrics } from './metrics.js';
import type { Supervisor } from './supervisor.js';
import type { Survey } from './survey.js';
import type { UsedCodes } from './used_codes.js';
import type { ExitText } from './worker_process.js';
import type { WorkerStatus } from './worker_status.js';

export interface WorkforceOptions {
  readonly supervisor: Pick<Supervisor, 'adopt' | 'tell'>;
  readonly ledger: Pick<Ledger, 'held' | 'pathsOf'>;
  readonly entrance: Pick<Entrance, 'adopts' | 'handoff' | 'newNumbers' | 'workerLost'>;
  readonly desk: Pick<LeaseDesk, 'released'>;
  readonly usedCodes: Pick<UsedCodes, 'adopt'>;
  readonly survey: Pick<Survey, 'lost'>;
  readonly metrics: Pick<Metrics, 'workerStarted' | 'workerLost'>;
  readonly log: Pick<Log, 'event' | 'warn'>;
  readonly event: EventSink;
  readonly clock: Clock;
  /** Has another server this one's place? */
  isReplaced(): boolean;
  /** `timeouts.retire` in force. */
  retireMs(): number;
  /** The settings in force. */
  reloadMessage(): ToWorker;
}

export class Workforce {
  readonly #options: WorkforceOptions;
  #toldOfBinding = false;

  constructor(options: WorkforceOptions) {
    this.#options = options;
  }

  /** It is ready. */
  started({ id, pid, upMs }: WorkerStatus, nativeBinding: boolean): void {
    const { metrics, event, log } = this.#options;
    metrics.workerStarted(nativeBinding);
    event({ event: 'worker.started', worker: id, pid, durationMs: Math.round(upMs) });
    if (nativeBinding || this.#toldOfBinding) return;
    this.#toldOfBinding = true; // it is the same for all workers
    log.warn(
      "ssh2's native binding is missing: tunnels work, but several times slower. " +
        'With a C++ compiler, make and Python 3: npm rebuild ssh2 --foreground-scripts',
    );
  }

  /** A worker of an earlier primary comes with what it holds. */
  adopt(adoption: Adoption, lines: JsonLines): void {
    const { supervisor, entrance, usedCodes, log, clock, retireMs, reloadMessage } = this.#options;
    const numbers = entrance.newNumbers();
    const worker = supervisor.adopt(adoptedWorker(adoption, lines, numbers), retireMs());
    const { pid, connections, codes = [] } = adoption;
    for (const used of codes) usedCodes.adopt(used, clock.nowMs());
    const conflicts = entrance.adopts(worker, connections, numbers);
    for (const conflict of conflicts) log.warn(conflictText(conflict, pid));
    const forwards = connections.reduce((sum, { leases }) => sum + leases.length, 0);
    log.event({ event: 'worker.adopted', worker, pid, connections: connections.length, forwards });
    // It goes on by the settings of the primary that it had: what they gave and ours do not ends now, and no tunnel of its
    // connections may lead to our addresses.
    supervisor.tell(worker, reloadMessage());
  }

  /** Its process has ended, and nothing more comes from it. */
  lost({ id, pid }: WorkerStatus, end: WorkerEnd, how: ExitText): void {
    const { metrics, survey, ledger, entrance, event, clock, isReplaced } = this.#options;
    metrics.workerLost(id);
    survey.lost(id);
    if (isReplaced()) return; // the other server tells of it, and of what it held
    // One that drains ends with the last of its connections; if it has any, that was no end of its own.
    const reason = end === 'DRAINED' && ledger.held(id) > 0 ? 'CRASHED' : end;
    event({ event: 'worker.exited', worker: id, pid, reason, detail: how });
    entrance.handoff.workerLost(id);
    const paths = ledger.pathsOf(id);
    if (paths.length === 0) this.#forget(id);
    else void removeSockets(paths, clock).then(() => this.#forget(id));
  }

  /** What a dead worker held may be had again. */
  #forget(worker: number): void {
    const { entrance, desk, event, clock } = this.#options;
    for (const freed of entrance.workerLost(worker)) {
      tellLost(freed, clock.nowMs(), event);
      desk.released(freed.connection.id);
    }
  }
}
