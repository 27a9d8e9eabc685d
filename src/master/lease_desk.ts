/** LEASE DESK: answers what a worker asks of the ledger, always, and within about a second; two while the workers of a server
 *  before come over.
 *  Owns the probes under way. A user who comes back for a port that an older connection of theirs still holds gets it
 *  as soon as that connection's peer proves to be dead; another user never does (DECISIONS 6). Behind the interface
 *  stand messages to workers, or plain calls in a single process. */
import type { CloseReason } from '../shared/errors.js';
import type { Answer, ConnId, Question } from '../shared/ipc.js';
import type { Cancel } from '../shared/timer.js';
import type { Clock } from './clock.js';
import type { LeaseOutcome, Ledger } from './ledger.js';

/** What the desk asks of the worker that has the holder. */
export interface Holders {
  /** Ask whether the peer of `id` lives; the answer comes by `probed`. */
  probe(worker: number, probe: number, id: ConnId, timeoutMs: number): void;
  close(worker: number, id: ConnId, reason: CloseReason): void;
}

export interface LeaseDeskTiming {
  /** How long a peer may take to answer. */
  readonly probeMs: number;
  /** How much longer its worker may take. */
  readonly slackMs: number;
  /** How long the stale connection may take to let go. */
  readonly releaseMs: number;
}

/** Together one second: the client that came back waits for its answer. */
export const LEASE_DESK_TIMING: LeaseDeskTiming = { probeMs: 700, slackMs: 100, releaseMs: 200 };

/** `silent`: the worker did not answer, so nobody knows, and the port is still bound. */
type Finding = 'alive' | 'dead' | 'gone' | 'silent';

interface Probe {
  readonly number: number;
  readonly holder: ConnId;
  readonly worker: number;
  readonly finding: Promise<Finding>;
  readonly settle: (finding: Finding) => void;
}

const TAKEN: Answer = { ok: false, reason: 'TAKEN' };

export class LeaseDesk {
  readonly #ledger: Ledger;
  readonly #holders: Holders;
  readonly #clock: Clock;
  readonly #timing: LeaseDeskTiming;
  readonly #probes = new Map<ConnId, Probe>();
  readonly #waiting = new Map<ConnId, Set<() => void>>();
  readonly #complete: () => Promise<void> | null;
  #lastProbe = 0;

  /** @param complete resolves when the ledger knows of all that is held; null: it does */
  constructor(
    ledger: Ledger,
    holders: Holders,
    clock: Clock,
    timing: LeaseDeskTiming = LEASE_DESK_TIMING,
    complete: () => Promise<void> | null = () => null,
  ) {
    this.#ledger = ledger;
    this.#holders = holders;
    this.#clock = clock;
    this.#timing = timing;
    this.#complete = complete;
  }

  /** Never rejects. */
  async answer(question: Question): Promise<Answer> {
    const { id, user, limit } = question;
    const complete = this.#complete();
    if (complete !== null) await complete;
    if (question.kind === 'login') return this.#ledger.login(id, user, limit);
    const first = this.#ledger.lease(id, user, limit, question.target);
    if (first.kind === 'answer') return first.answer;
    if (!(await this.#evict(first))) return TAKEN;
    const second = this.#ledger.lease(id, user, limit, question.target);
    return second.kind === 'answer' ? second.answer : TAKEN; // somebody was quicker
  }

  /** A worker's answer to a probe. Late and foreign ones change nothing. */
  probed(worker: number, number: number, alive: boolean): void {
    for (const probe of this.#probes.values())
      if (probe.number === number && probe.worker === worker) probe.settle(alive ? 'alive' : 'dead');
  }

  /** A connection has closed or given a lease back, or its worker died: whoever waits for that looks again. */
  released(id: ConnId): void {
    this.#probes.get(id)?.settle('gone');
    const waiting = this.#waiting.get(id);
    this.#waiting.delete(id);
    for (const wake of waiting ?? []) wake();
  }

  /** @returns true when the holder has let go */
  async #evict(outcome: Extract<LeaseOutcome, { kind: 'probe' }>): Promise<boolean> {
    const { holder, worker } = outcome;
    const probe = this.#probes.get(holder) ?? this.#startProbe(holder, worker);
    const finding = await probe.finding;
    if (finding === 'gone') return true;
    if (finding !== 'dead') return false;
    if (this.#ledger.connection(holder) === undefined) return true;
    const released = this.#untilReleased(holder);
    this.#holders.close(worker, holder, 'REPLACED');
    return released;
  }

  /** Two binds for the same holder share one probe. */
  #startProbe(holder: ConnId, worker: number): Probe {
    const number = ++this.#lastProbe;
    const { promise, resolve } = newPromise<Finding>();
    const settle = (finding: Finding): void => {
      cancel();
      this.#probes.delete(holder);
      resolve(finding);
    };
    const { probeMs, slackMs } = this.#timing;
    const cancel: Cancel = this.#clock.after(probeMs + slackMs, () => settle('silent'));
    const probe: Probe = { number, holder, worker, finding: promise, settle };
    this.#probes.set(holder, probe);
    this.#holders.probe(worker, number, holder, probeMs);
    return probe;
  }

  #untilReleased(holder: ConnId): Promise<boolean> {
    const { promise, resolve } = newPromise<boolean>();
    const waiting = this.#waiting.get(holder) ?? new Set();
    this.#waiting.set(holder, waiting);
    const wake = (): void => {
      cancel();
      resolve(true);
    };
    const cancel = this.#clock.after(this.#timing.releaseMs, () => {
      waiting.delete(wake);
      if (waiting.size === 0) this.#waiting.delete(holder);
      resolve(false);
    });
    waiting.add(wake);
    return promise;
  }
}

/** Promise.withResolvers, which Node 20 does not have. */
function newPromise<T>(): { promise: Promise<T>; resolve: (value: T) => void } {
  let resolve: (value: T) => void = () => {};
  const promise = new Promise<T>((settle) => {
    resolve = settle;
  });
  return { promise, resolve };
}
