/** SUPERVISOR: keeps the wanted number of workers alive, and replaces each one that dies, hangs or gives up, or whose
 *  successor is wished for.
 *  Owns the worker table: starting -> ready -> draining -> dead. Promises a replacement at once for the first crash, and
 *  growing pauses for a crash loop, so that a broken installation does not eat the machine. The heartbeat's last resort
 *  is a signal: behind an unanswered socket no message reaches a worker. */
import { assertNever, type WorkerEnd } from '../shared/errors.js';
import { closeHandle, type TcpHandle } from '../shared/handles.js';
import type { ToPrimary, ToWorker, WorkerLoad } from '../shared/ipc.js';
import type { Cancel } from '../shared/timer.js';
import type { Clock } from './clock.js';
import { Ready, StartWatch } from './start_watch.js';
import type { ExitText, Fork } from './worker_process.js';
import {
  isFilling,
  type Member,
  type Place,
  pauseMs,
  SUPERVISOR_TIMING,
  type SupervisorOptions,
  type SupervisorTiming,
  statusOf,
  type WorkerStatus,
} from './worker_status.js';

/** Crashes in a row from which it is called a loop. */
const CRASH_LOOP = 3;

const NO_LOAD: WorkerLoad = { connections: 0, channels: 0, bufferedBytes: 0, loopLagMs: 0 };

export class Supervisor {
  readonly #options: SupervisorOptions;
  readonly #timing: SupervisorTiming;
  readonly #clock: Clock;
  readonly #members = new Map<number, Member>();
  readonly #places: Place[] = [];
  #wanted: number;
  #lastId = 0;
  #stopping = false;
  #cancelTick: Cancel = nothing;
  readonly #watch = new StartWatch();
  #emptied: (() => void)[] = [];
  #forced = false;

  constructor(options: SupervisorOptions) {
    this.#options = options;
    this.#timing = options.timing ?? SUPERVISOR_TIMING;
    this.#clock = options.clock;
    this.#wanted = options.workers;
  }

  /** Resolves when every worker is ready.
   *  @throws TunnelError WORKER_START_FAILED when workers keep dying before they are */
  start(): Promise<void> {
    for (let index = 0; index < this.#wanted; index++) this.#addPlace();
    this.#scheduleTick();
    return this.#watch.done;
  }

  /** Starts a successor of this worker. When that is ready, the worker takes no new connection and exits with the last of
   *  those that it has; `retireMs` from then on it is drained, 0: never.
   *  @returns the successor, or undefined where none was needed: the worker ends already, or another one has its place
   *  @throws TunnelError WORKER_START_FAILED, or what the successor said; then the worker stays as it is */
  async succeed(worker: number, retireMs: number, start = this.#options.startMessage): Promise<number | undefined> {
    const member = this.#members.get(worker);
    if (member === undefined || member.place === null || this.#stopping || !isFilling(member)) return undefined;
    const successor = this.#spawn(member.place, start);
    await successor.ready.settled;
    this.#letGo(member, retireMs);
    return successor.id;
  }

  /** Another number of workers: the new ones start, those that are too many are let go. */
  resize(workers: number, retireMs: number): void {
    if (this.#stopping) return;
    this.#wanted = workers;
    for (const place of this.#places.splice(workers)) {
      place.cancelRespawn();
      place.givenUp = true;
      for (const member of this.#members.values()) if (member.place === place) this.#letGo(member, retireMs);
    }
    while (this.#places.length < workers) this.#addPlace();
  }

  #addPlace(): void {
    const place: Place = { crashes: 0, cancelRespawn: nothing, givenUp: false };
    this.#places.push(place);
    this.#spawn(place);
  }

  #letGo(member: Member, retireMs: number): void {
    if (member.state === 'starting') this.#kill(member, 'DRAINED');
    if (member.state === 'ready') this.#retire(member, retireMs); // else it died, or is told to drain
  }

  #retire(member: Member, retireMs: number): void {
    member.state = 'draining';
    member.process.send({ type: 'retire', deadlineMs: retireMs });
  }

  /** Takes in a worker that another primary has started. Ours have its place: it gets no new sockets and retires, as in
   *  `succeed`; for the rest it is one of ours. */
  adopt(open: Fork, retireMs: number): number {
    const member = this.#add(open, null);
    member.started = true;
    this.#retire(member, retireMs);
    return member.id;
  }

  workers(): WorkerStatus[] {
    const nowMs = this.#clock.nowMs();
    return [...this.#members.values()].map((member) => statusOf(member, nowMs));
  }

  /** Told to whoever has been told how to start, also to those that drain. */
  tellAll(message: ToWorker): void {
    for (const member of this.#members.values()) if (member.started) member.process.send(message);
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

  /** Lets the workers go on without this primary. Resolves when all of them have ended. */
  async release(): Promise<void> {
    this.#stop();
    this.#cancelTick();
    for (const member of this.#members.values()) {
      if (member.state === 'starting') this.#kill(member, 'DRAINED');
      else {
        member.state = 'draining';
        member.process.release();
      }
    }
    await this.#empty();
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

  #spawn(place: Place, start = this.#options.startMessage): Member {
    const member = this.#add(this.#options.fork, place, start);
    member.cancelReady = this.#clock.after(this.#timing.readyMs, () => {
      member.lastWords ??= `not ready after ${this.#timing.readyMs} ms`;
      this.#kill(member, 'START_FAILED');
    });
    return member;
  }

  #add(open: Fork, place: Place | null, start = this.#options.startMessage): Member {
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
      start,
      started: false,
      state: 'starting',
      load: NO_LOAD,
      bornMs: nowMs,
      lastSignMs: nowMs,
      missed: 0,
      ready: new Ready(),
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
        member.started = true;
        member.process.send(member.start(member.id));
        return;
      case 'ready':
        if (member.state !== 'starting') return;
        member.state = 'ready';
        member.cancelReady();
        this.#alive(member);
        events.started(statusOf(member, this.#clock.nowMs()), message.nativeBinding);
        this.#watch.ready(this.workers().filter((worker) => worker.state === 'ready').length >= this.#wanted);
        member.ready.is();
        events.available();
        return;
      case 'failed':
        member.lastWords = message.message;
        if (message.code === undefined) return;
        member.ready.never(message.code, message.message);
        this.#watch.giveUp(message.code, message.message);
        return;
      case 'stopping':
        member.lastWords = message.message;
        this.#faulty(member);
        return;
      case 'pong':
        this.#alive(member);
        return;
      case 'load':
        member.load = message.load;
        events.message(member.id, message);
        return;
      case 'accepted':
      case 'refused':
      case 'closed':
      case 'ask':
      case 'want':
      case 'code':
      case 'proxied':
      case 'release':
      case 'probed':
      case 'seen':
      case 'counted':
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
  #faulty(member: Member): void {
    if (member.state === 'starting') return; // it dies soon, and says why then
    member.end ??= 'FAULT';
    this.#options.events.trouble(`worker ${member.id}: ${member.lastWords ?? 'fault'}`);
    if (member.state !== 'ready') return;
    member.state = 'draining';
    if (!this.#stopping) this.#replace(member);
  }

  #gone(member: Member, how: ExitText): void {
    if (member.state === 'dead') return;
    const before = member.state;
    member.state = 'dead';
    member.cancelReady();
    this.#members.delete(member.id);
    const end = member.end ?? (before === 'starting' ? 'START_FAILED' : before === 'draining' ? 'DRAINED' : 'CRASHED');
    this.#options.events.lost(statusOf(member, this.#clock.nowMs()), end, how);
    const why = member.lastWords ?? how;
    member.ready.never('WORKER_START_FAILED', why);
    if (before === 'starting' && end !== 'DRAINED' && !this.#stopping && this.#watch.failed(why))
      this.#options.events.trouble(`worker ${member.id} did not start: ${why}`);
    if (before !== 'draining' && !this.#stopping && !this.#watch.gaveUp) this.#replace(member);
    if (this.#members.size === 0) for (const resolve of this.#emptied.splice(0)) resolve();
  }

  /** Fills a place, unless somebody else does: at once after the first crash, then after pauses that double. */
  #replace(member: Member): void {
    const { place } = member;
    if (place === null || place.givenUp) return;
    if ([...this.#members.values()].some((other) => other.place === place && isFilling(other))) return;
    if (this.#clock.nowMs() - member.bornMs >= this.#timing.stableMs) place.crashes = 0;
    const delayMs = pauseMs(place.crashes, this.#timing);
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
}

function nothing(): void {}
