/** SUPERVISOR: keeps the wanted number of workers alive, and replaces each one that dies, hangs or gives up.
 *  Owns the worker table: starting -> ready -> draining -> dead. Promises a replacement at once for the first crash, and
 *  growing pauses for a crash loop, so that a broken installation does not eat the machine. The heartbeat's last resort
 *  is a signal: behind an unanswered socket no message reaches a worker. */
import { assertNever, type ErrorCode, TunnelError, type WorkerEnd } from '../shared/errors.js';
import { closeHandle, type TcpHandle } from '../shared/handles.js';
import type { ToPrimary, ToWorker, WorkerLoad } from '../shared/ipc.js';
import type { Cancel } from '../shared/timer.js';
import type { Clock } from './clock.js';
import type { ExitText, Fork, WorkerProcess } from './worker_process.js';
import {
  SUPERVISOR_TIMING,
  type SupervisorOptions,
  type SupervisorTiming,
  type WorkerState,
  type WorkerStatus,
} from './worker_status.js';

/** Deaths before `ready`, in a row, after which the start is given up. */
const START_ATTEMPTS = 3;
/** Crashes in a row from which it is called a loop. */
const CRASH_LOOP = 3;

interface Member {
  readonly id: number;
  /** Null: adopted, so nobody fills its place. */
  readonly place: Place | null;
  process: WorkerProcess;
  state: WorkerState;
  load: WorkerLoad;
  readonly bornMs: number;
  lastSignMs: number;
  /** Pings in a row without an answer. Counted, not measured: if we were held up ourselves, no worker is to blame. */
  missed: number;
  /** What it said before it died. */
  lastWords: string | undefined;
  end: WorkerEnd | undefined;
  cancelReady: Cancel;
}

/** One of the `workers` places; a worker that dies or retires is replaced in its place. */
interface Place {
  crashes: number;
  cancelRespawn: Cancel;
}

const NO_LOAD: WorkerLoad = { connections: 0, channels: 0, bufferedBytes: 0, loopLagMs: 0 };

export class Supervisor {
  readonly #options: SupervisorOptions;
  readonly #timing: SupervisorTiming;
  readonly #clock: Clock;
  readonly #members = new Map<number, Member>();
  readonly #places: Place[] = [];
  #lastId = 0;
  #stopping = false;
  #cancelTick: Cancel = nothing;
  /** While the start is under way. */
  #startDone: { resolve(): void; reject(error: Error): void } | undefined;
  #startFailures = 0;
  #gaveUp = false;
  #emptied: (() => void)[] = [];
  #forced = false;

  constructor(options: SupervisorOptions) {
    this.#options = options;
    this.#timing = options.timing ?? SUPERVISOR_TIMING;
    this.#clock = options.clock;
  }

  /** Resolves when every worker is ready.
   *  @throws TunnelError WORKER_START_FAILED when workers keep dying before they are */
  start(): Promise<void> {
    const started = new Promise<void>((resolve, reject) => {
      this.#startDone = { resolve, reject };
    });
    for (let index = 0; index < this.#options.workers; index++) {
      const place: Place = { crashes: 0, cancelRespawn: nothing };
      this.#places.push(place);
      this.#spawn(place);
    }
    this.#scheduleTick();
    return started;
  }

  /** Takes in a worker that another primary has started. It gets no new sockets; for the rest it is one of ours. */
  adopt(open: Fork): number {
    const member = this.#add(open, null);
    member.state = 'draining';
    return member.id;
  }

  workers(): WorkerStatus[] {
    return [...this.#members.values()].map((member) => this.#status(member));
  }

  /** Dropped when the worker is unknown. */
  tell(worker: number, message: ToWorker): void {
    this.#members.get(worker)?.process.send(message);
  }

  give(worker: number, message: ToWorker, handle: TcpHandle, failed: () => void): void {
    const member = this.#members.get(worker);
    if (member === undefined) failed();
    else member.process.sendWithHandle(message, handle, failed);
  }

  taken(worker: number, handle: TcpHandle): void {
    const member = this.#members.get(worker);
    if (member === undefined) closeHandle(handle);
    else member.process.taken(handle);
  }

  /** Lets the workers finish what runs and exit. Those that stay beyond the deadline and a margin are killed.
   *  @returns true when each of them went by itself */
  async drain(deadlineMs: number): Promise<boolean> {
    this.#stop();
    for (const member of this.#members.values()) {
      if (member.state === 'starting') this.#kill(member, 'DRAINED');
      else {
        member.state = 'draining';
        member.process.send({ type: 'drain', deadlineMs });
      }
    }
    const cancel = this.#clock.after(deadlineMs + this.#timing.drainMarginMs, () => this.kill());
    await this.#empty();
    cancel();
    this.#cancelTick();
    return !this.#forced;
  }

  /** Ends all workers at once. */
  kill(): void {
    this.#stop();
    for (const member of this.#members.values()) this.#kill(member, 'KILLED');
  }

  /** Resolves when no worker is left. */
  #empty(): Promise<void> {
    if (this.#members.size === 0) return Promise.resolve();
    return new Promise((resolve) => {
      this.#emptied.push(resolve);
    });
  }

  #stop(): void {
    this.#stopping = true;
    for (const place of this.#places) place.cancelRespawn();
  }

  #spawn(place: Place): void {
    const member = this.#add(this.#options.fork, place);
    member.cancelReady = this.#clock.after(this.#timing.readyMs, () => {
      member.lastWords ??= `not ready after ${this.#timing.readyMs} ms`;
      this.#kill(member, 'START_FAILED');
    });
  }

  #add(open: Fork, place: Place | null): Member {
    const nowMs = this.#clock.nowMs();
    const id = ++this.#lastId;
    const process = open({
      message: (message) => this.#message(member, message),
      gone: (how) => this.#gone(member, how),
    });
    const member: Member = {
      id,
      place,
      process,
      state: 'starting',
      load: NO_LOAD,
      bornMs: nowMs,
      lastSignMs: nowMs,
      missed: 0,
      lastWords: undefined,
      end: undefined,
      cancelReady: nothing,
    };
    this.#members.set(id, member);
    return member;
  }

  #message(member: Member, message: ToPrimary): void {
    const { events } = this.#options;
    switch (message.type) {
      case 'hello':
        member.process.send(this.#options.startMessage(member.id));
        return;
      case 'ready':
        if (member.state !== 'starting') return;
        member.state = 'ready';
        member.cancelReady();
        this.#startFailures = 0;
        this.#alive(member);
        events.started(this.#status(member), message.nativeBinding);
        if (this.workers().filter((worker) => worker.state === 'ready').length >= this.#options.workers) {
          this.#startDone?.resolve();
          this.#startDone = undefined;
        }
        events.available();
        return;
      case 'failed':
        member.lastWords = message.message;
        if (message.code !== undefined) this.#giveUp(message.code, message.message);
        return;
      case 'stopping':
        member.lastWords = message.message;
        this.#retire(member);
        return;
      case 'pong':
        this.#alive(member);
        return;
      case 'load':
        member.load = message.load;
        return;
      case 'accepted':
      case 'refused':
      case 'closed':
      case 'ask':
      case 'want':
      case 'release':
      case 'probed':
      case 'events':
        events.message(member.id, message);
        return;
      default:
        assertNever(message);
    }
  }

  #alive(member: Member): void {
    const wasLate = this.#clock.nowMs() - member.lastSignMs > this.#timing.lateMs;
    member.lastSignMs = this.#clock.nowMs();
    member.missed = 0;
    if (wasLate) this.#options.events.available();
  }

  /** A worker that gave up: its place is filled at once, and it may use its last seconds. */
  #retire(member: Member): void {
    if (member.state !== 'ready') return; // one that is starting dies soon, one that drains does already
    member.state = 'draining';
    member.end = 'FAULT';
    this.#options.events.trouble(`worker ${member.id}: ${member.lastWords ?? 'fault'}`);
    if (!this.#stopping) this.#replace(member);
  }

  #gone(member: Member, how: ExitText): void {
    if (member.state === 'dead') return;
    const before = member.state;
    member.state = 'dead';
    member.cancelReady();
    this.#members.delete(member.id);
    const end = member.end ?? (before === 'starting' ? 'START_FAILED' : before === 'draining' ? 'DRAINED' : 'CRASHED');
    this.#options.events.lost(this.#status(member), end, how);
    if (before === 'starting' && !this.#stopping) this.#startFailed(member, how);
    if (before !== 'draining' && !this.#stopping && !this.#gaveUp) this.#replace(member);
    if (this.#members.size === 0) for (const resolve of this.#emptied.splice(0)) resolve();
  }

  /** It would be the same with the next one. Not after the start: by then a module may be mended, and its place is filled. */
  #giveUp(code: ErrorCode, why: string): void {
    if (this.#gaveUp || this.#startDone === undefined) return;
    this.#gaveUp = true;
    this.#startDone.reject(new TunnelError(code, why));
  }

  #startFailed(member: Member, how: ExitText): void {
    if (this.#gaveUp) return;
    const why = member.lastWords ?? how;
    this.#startFailures++;
    this.#options.events.trouble(`worker ${member.id} did not start: ${why}`);
    if (this.#startFailures < START_ATTEMPTS || this.#startDone === undefined) return;
    this.#startDone.reject(new TunnelError('WORKER_START_FAILED', `no worker starts: ${why}`));
  }

  /** Fills a place: at once after the first crash, then after pauses that double. */
  #replace(member: Member): void {
    const { place } = member;
    if (place === null) return;
    const { stableMs, backoffMinMs, backoffMaxMs } = this.#timing;
    if (this.#clock.nowMs() - member.bornMs >= stableMs) place.crashes = 0;
    const delayMs = place.crashes === 0 ? 0 : Math.min(backoffMaxMs, backoffMinMs * 2 ** (place.crashes - 1));
    place.crashes++;
    if (place.crashes >= CRASH_LOOP)
      this.#options.events.trouble(`crash loop: ${place.crashes} in a row; the next worker starts in ${delayMs} ms`);
    if (delayMs === 0) this.#spawn(place);
    else place.cancelRespawn = this.#clock.after(delayMs, () => this.#spawn(place));
  }

  #scheduleTick(): void {
    this.#cancelTick = this.#clock.after(this.#timing.pingMs, () => {
      for (const member of this.#members.values()) this.#beat(member);
      this.#scheduleTick();
    });
  }

  #beat(member: Member): void {
    if (member.state !== 'ready' && member.state !== 'draining') return;
    if (member.missed * this.#timing.pingMs >= this.#timing.killMs) {
      member.lastWords ??= `no sign of life for ${this.#timing.killMs} ms`;
      this.#kill(member, 'UNRESPONSIVE');
      return;
    }
    member.missed++;
    member.process.send({ type: 'ping' });
  }

  #kill(member: Member, end: WorkerEnd): void {
    member.end ??= end;
    if (this.#stopping && end !== 'DRAINED') this.#forced = true;
    member.process.kill();
  }

  #status(member: Member): WorkerStatus {
    const nowMs = this.#clock.nowMs();
    return {
      id: member.id,
      pid: member.process.pid,
      state: member.state,
      load: member.load,
      silentMs: nowMs - member.lastSignMs,
      upMs: nowMs - member.bornMs,
    };
  }
}

function nothing(): void {}
