/** HAND-OFF: brings each untouched socket to exactly one worker, and knows of each what became of it.
 *  Owns the sockets that no worker has acknowledged yet; closes or ends every one of them. The primary keeps its copy
 *  until the answer comes, so a worker that dies or hangs costs nothing but time. No socket is served
 *  twice: the message carries a deadline after which a worker refuses it, and we wait a margin longer than that before
 *  somebody else gets it; an `accepted` that comes later still is answered by `revoke`. */
import { assertNever, type RefuseReason } from '../shared/errors.js';
import { endHandle, type TcpHandle } from '../shared/handles.js';
import type { Peer } from '../shared/identity.js';
import type { ConnId, ToWorker } from '../shared/ipc.js';
import type { Cancel } from '../shared/timer.js';
import type { Clock } from './clock.js';
import type { Pick } from './dispatch.js';

/** A socket that was let in. */
export interface Arrival {
  readonly id: ConnId;
  readonly handle: TcpHandle;
  readonly peer: Peer;
  /** It begins with a PROXY header. */
  readonly proxied: boolean;
}

/** What the hand-off needs of the workers. */
export interface HandoffWorkers {
  pick(tried: ReadonlySet<number>): Pick;
  /** `failed` is called when the worker's channel did not take the message; then nothing was sent. */
  give(worker: number, message: ToWorker, handle: TcpHandle, failed: () => void): void;
  tell(worker: number, message: ToWorker): void;
  /** The worker has the socket: our copy is not needed any more. */
  taken(worker: number, handle: TcpHandle): void;
}

export interface HandoffOutcomes {
  /** Called before our copy is closed. */
  accepted(id: ConnId, worker: number): void;
  refused(id: ConnId, reason: RefuseReason): void;
}

export interface HandoffTiming {
  /** After this time a worker refuses what it reads. */
  readonly deadlineMs: number;
  /** What we wait beyond, for an answer that is on its way. */
  readonly marginMs: number;
  /** How long a socket may wait for some worker to have time for it. */
  readonly waitMs: number;
}

/** A peer hears from a worker, or sees the end, within the sum of the three. */
export const HANDOFF_TIMING: HandoffTiming = { deadlineMs: 2_000, marginMs: 1_000, waitMs: 8_000 };

/** How often each outcome came, since the start. */
export interface HandoffCounters {
  sent: number;
  accepted: number;
  /** By a worker; the socket then goes to the next one. */
  refused: number;
  timedOut: number;
  workerLost: number;
  sendFailed: number;
  /** Accepted after we had given it up. */
  revoked: number;
  /** Nobody took it: the peer was shown out. */
  ended: number;
}

interface Waiting extends Arrival {
  readonly tried: Set<number>;
  /** The worker that has a copy, while we wait for its answer. */
  sentTo: number | undefined;
  lastRefusal: RefuseReason | undefined;
  /** Stops the answer's deadline. */
  cancelAnswer: Cancel;
  /** Stops the limit of the whole wait. */
  readonly cancelWait: Cancel;
  overdue: boolean;
}

export class Handoff {
  readonly #workers: HandoffWorkers;
  readonly #outcomes: HandoffOutcomes;
  readonly #clock: Clock;
  readonly #timing: HandoffTiming;
  /** In order of arrival, which is also the order of service. */
  readonly #waiting = new Map<ConnId, Waiting>();
  readonly #inFlight = new Map<number, number>();
  readonly counters: HandoffCounters = {
    sent: 0,
    accepted: 0,
    refused: 0,
    timedOut: 0,
    workerLost: 0,
    sendFailed: 0,
    revoked: 0,
    ended: 0,
  };
  #draining = false;
  #whenEmpty: (() => void)[] = [];

  constructor(
    workers: HandoffWorkers,
    outcomes: HandoffOutcomes,
    clock: Clock,
    timing: HandoffTiming = HANDOFF_TIMING,
  ) {
    this.#workers = workers;
    this.#outcomes = outcomes;
    this.#clock = clock;
    this.#timing = timing;
  }

  /** Sockets that no worker has acknowledged. */
  get size(): number {
    return this.#waiting.size;
  }
  /** Sockets sent to a worker and not answered yet. */
  inFlight(worker: number): number {
    return this.#inFlight.get(worker) ?? 0;
  }

  /** Resolves when no socket waits any more. */
  emptied(): Promise<void> {
    if (this.#waiting.size === 0) return Promise.resolve();
    return new Promise((resolve) => {
      this.#whenEmpty.push(resolve);
    });
  }

  /** Takes ownership of the handle. */
  offer(arrival: Arrival): void {
    const waiting: Waiting = {
      ...arrival,
      tried: new Set(),
      sentTo: undefined,
      lastRefusal: undefined,
      cancelAnswer: nothing,
      cancelWait: this.#clock.after(this.#timing.waitMs, () => {
        waiting.overdue = true;
        if (waiting.sentTo === undefined) this.#end(waiting, waiting.lastRefusal ?? 'NO_WORKER');
      }),
      overdue: false,
    };
    this.#waiting.set(arrival.id, waiting);
    this.#send(waiting);
  }

  /** A worker has the socket now. */
  accepted(worker: number, id: ConnId): void {
    const waiting = this.#waiting.get(id);
    if (waiting?.sentTo !== worker) {
      this.counters.revoked++;
      this.#workers.tell(worker, { type: 'revoke', id });
      return;
    }
    this.counters.accepted++;
    this.#forget(waiting);
    this.#outcomes.accepted(id, worker);
    this.#workers.taken(worker, waiting.handle);
    this.pump();
  }

  /** A worker did not take the socket and has closed its copy unread. */
  refused(worker: number, id: ConnId, reason: RefuseReason): void {
    const waiting = this.#waiting.get(id);
    if (waiting?.sentTo !== worker) return; // late: it went elsewhere
    this.counters.refused++;
    waiting.lastRefusal = reason;
    this.#next(waiting);
    this.pump();
  }

  /** A worker is dead and all that it had sent is read: what it never answered it never read. */
  workerLost(worker: number): void {
    for (const waiting of [...this.#waiting.values()]) {
      if (waiting.sentTo !== worker) continue;
      this.counters.workerLost++;
      this.#next(waiting);
    }
    this.pump();
  }

  /** Some worker may have time again. */
  pump(): void {
    for (const waiting of [...this.#waiting.values()]) {
      if (waiting.sentTo === undefined && this.#send(waiting) === 'wait' && waiting.tried.size === 0) return;
    }
  }

  /** From now on nobody new is served; sockets that a worker has in its hands get their answer. */
  drain(): void {
    this.#draining = true;
    for (const waiting of [...this.#waiting.values()]) if (waiting.sentTo === undefined) this.#end(waiting, 'DRAINING');
  }

  /** Shows everybody out at once. */
  close(): void {
    this.#draining = true;
    for (const waiting of [...this.#waiting.values()]) this.#end(waiting, 'DRAINING');
  }

  #send(waiting: Waiting): Pick['kind'] {
    if (this.#draining) {
      this.#end(waiting, 'DRAINING');
      return 'none';
    }
    const pick = this.#workers.pick(waiting.tried);
    switch (pick.kind) {
      case 'worker':
        this.#give(waiting, pick.id);
        break;
      case 'none':
        this.#end(waiting, waiting.lastRefusal ?? 'HANDOFF_FAILED');
        break;
      case 'wait':
        break;
      default:
        assertNever(pick);
    }
    return pick.kind;
  }

  #give(waiting: Waiting, worker: number): void {
    const { id, handle, peer, proxied } = waiting;
    const { deadlineMs, marginMs } = this.#timing;
    waiting.sentTo = worker;
    waiting.tried.add(worker);
    this.#inFlight.set(worker, this.inFlight(worker) + 1);
    this.counters.sent++;
    waiting.cancelAnswer = this.#clock.after(deadlineMs + marginMs, () => this.#timedOut(waiting, worker));
    const message: ToWorker = {
      type: 'connection',
      id,
      peerAddress: peer.address,
      peerPort: peer.port,
      proxied,
      deadlineNs: String(this.#clock.nowNs() + BigInt(deadlineMs) * 1_000_000n),
    };
    this.#workers.give(worker, message, handle, () => {
      if (waiting.sentTo !== worker || this.#waiting.get(id) !== waiting) return;
      this.counters.sendFailed++;
      this.#next(waiting);
    });
  }

  /** One more turn of the event loop before the verdict: if we ourselves were held up, the answer may lie unread. */
  #timedOut(waiting: Waiting, worker: number): void {
    waiting.cancelAnswer = this.#clock.afterPoll(() => {
      if (waiting.sentTo !== worker) return;
      this.counters.timedOut++;
      this.#next(waiting);
    });
  }

  /** Back from a worker that did not take it. */
  #next(waiting: Waiting): void {
    this.#takeBack(waiting);
    if (waiting.overdue) this.#end(waiting, waiting.lastRefusal ?? 'HANDOFF_FAILED');
    else this.#send(waiting);
  }

  #takeBack(waiting: Waiting): void {
    waiting.cancelAnswer();
    waiting.cancelAnswer = nothing;
    const worker = waiting.sentTo;
    if (worker === undefined) return;
    waiting.sentTo = undefined;
    const left = this.inFlight(worker) - 1;
    if (left > 0) this.#inFlight.set(worker, left);
    else this.#inFlight.delete(worker);
  }

  #forget(waiting: Waiting): void {
    this.#takeBack(waiting);
    waiting.cancelWait();
    this.#waiting.delete(waiting.id);
    if (this.#waiting.size === 0) for (const resolve of this.#whenEmpty.splice(0)) resolve();
  }

  /** A stopped worker may still have a copy in its mailbox: only a shutdown tells the peer that it is over. */
  #end(waiting: Waiting, reason: RefuseReason): void {
    this.#forget(waiting);
    this.counters.ended++;
    endHandle(waiting.handle);
    this.#outcomes.refused(waiting.id, reason);
  }
}

function nothing(): void {}
