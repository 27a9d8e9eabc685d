/** LIVENESS: is the peer still there, and does it read what we send?
 *  Owns the connection's one timer after login, the keepalive count, and the probes of the primary. */

/** The way to the peer, as it stands. */
export interface Line {
  /** Bytes that wait for the peer to read them, and a number that changes when it has read some. */
  readonly queuedBytes: number;
  readonly writeProgress: number;
  /** A key exchange is under way: questions and answers wait for its end, and it has a deadline of its own. */
  readonly isExchanging: boolean;
}

/** What liveness looks at and does. */
export interface LivenessPort {
  /** GLOBAL_REQUEST keepalive@openssh.com with a reply wanted; every SSH peer answers it, if only with a failure. */
  sendKeepalive(): void;
  readonly line: Line;
  /** Called at each tick, for what else is due (re-keying). */
  onTick(): void;
  onDead(reason: 'KEEPALIVE_TIMEOUT' | 'WRITE_STALLED'): void;
  now(): number;
}

export interface LivenessLimits {
  /** Silence after which a keepalive is sent; 0 = never. */
  readonly keepaliveMs: number;
  /** Such times of silence after which the peer is dead; each but the last ends with a keepalive, so 1 counts as 2. */
  readonly keepaliveCount: number;
  /** Time without progress while bytes wait for the peer; 0 = no limit. */
  readonly stalledWriteMs: number;
}

/** The longest pause between two looks: re-keying by time is due within it. */
const MAX_TICK_MS = 15_000;
/** Looks within one `keepalive`, at least. When the peer was last heard is known to one of these parts, and the earliest
 *  moment of it is taken: a dead peer is found in two thirds of the last interval or up to a whole one, never later. */
const LOOKS = 3;

export class Liveness {
  readonly #port: LivenessPort;
  readonly #limits: LivenessLimits;
  readonly #tickMs: number;
  readonly #timer: NodeJS.Timeout;
  #lastTickMs: number;
  /** Since the last tick: a flag and not a time, since it is set for every packet. */
  #heard = true;
  /** Until then the peer may be silent; then comes the next question, or the end. */
  #dueMs: number;
  #unanswered = 0;
  #progress: number;
  #progressAtMs: number;
  /** Null: none, as nearly always. */
  #probes: Set<(alive: boolean) => void> | null = null;

  constructor(port: LivenessPort, limits: LivenessLimits) {
    this.#port = port;
    this.#limits = limits;
    this.#progress = port.line.writeProgress;
    this.#progressAtMs = port.now();
    this.#lastTickMs = this.#progressAtMs;
    this.#dueMs = this.#lastTickMs + limits.keepaliveMs;
    const longestMs = Math.min(limits.stalledWriteMs || MAX_TICK_MS, MAX_TICK_MS);
    const { keepaliveMs } = limits; // a whole number of ticks: its end falls on one of them
    this.#tickMs = keepaliveMs > 0 ? keepaliveMs / Math.max(LOOKS, Math.ceil(keepaliveMs / longestMs)) : longestMs;
    this.#timer = setInterval(() => this.#tick(), this.#tickMs);
    this.#timer.unref();
  }

  /** Anything at all came from the peer. */
  heard(): void {
    this.#heard = true;
    this.#unanswered = 0;
    if (this.#probes !== null) this.#settle(true);
  }

  /** Asks now. @returns whether anything came within the time, or, where bytes waited before the question already, whether
   *  the peer has read any of them: behind a full queue on a slow line no answer can come that fast. Within a key exchange the
   *  question waits for its end, which may be minutes away: that says nothing of the peer, and in doubt it is there. Price: one that
   *  died in an exchange counts as there until the exchange's deadline ends the connection */
  probe(timeoutMs: number): Promise<boolean> {
    const { line } = this.#port;
    const waited = line.queuedBytes > 0;
    const progress = line.writeProgress;
    const wasExchanging = line.isExchanging;
    return new Promise((resolve) => {
      const judge = (): void => {
        if (this.#probes?.delete(settle) !== true) return;
        const wasHeldUp = wasExchanging || line.isExchanging;
        resolve(wasHeldUp || (waited && line.writeProgress !== progress));
      };
      // Timers run before the poll that may hold the answer.
      const timer = setTimeout(() => setImmediate(judge), timeoutMs);
      const settle = (alive: boolean): void => {
        clearTimeout(timer);
        resolve(alive);
      };
      this.#probes ??= new Set();
      this.#probes.add(settle);
      this.#port.sendKeepalive();
    });
  }

  stop(): void {
    clearInterval(this.#timer);
    this.#settle(false);
  }

  #settle(isAlive: boolean): void {
    for (const settle of this.#probes ?? []) settle(isAlive);
    this.#probes = null;
  }

  #tick(): void {
    const nowMs = this.#port.now();
    let beforeMs = this.#lastTickMs;
    this.#lastTickMs = nowMs;
    // Time in which this process stood still (SIGSTOP, a paused machine) is no silence of the peer's: what it said
    // meanwhile is not read yet.
    const heldUpMs = nowMs - beforeMs - this.#tickMs;
    if (heldUpMs > this.#tickMs) {
      beforeMs += heldUpMs;
      this.#dueMs += heldUpMs;
      this.#progressAtMs += heldUpMs;
    }
    if (this.#port.line.isExchanging) this.#excuse(nowMs);
    else if (this.#isStalled(nowMs)) this.#port.onDead('WRITE_STALLED');
    else if (this.#isSilent(nowMs, beforeMs)) this.#port.onDead('KEEPALIVE_TIMEOUT');
    else this.#port.onTick();
  }

  /** What the peer cannot do now does not count against it. */
  #excuse(nowMs: number): void {
    this.#heard = true;
    this.#unanswered = 0;
    this.#progressAtMs = nowMs;
  }

  #isStalled(nowMs: number): boolean {
    const { stalledWriteMs } = this.#limits;
    const { queuedBytes, writeProgress: progress } = this.#port.line;
    if (progress === this.#progress && queuedBytes > 0)
      return stalledWriteMs > 0 && nowMs - this.#progressAtMs >= stalledWriteMs;
    this.#progress = progress;
    this.#progressAtMs = nowMs;
    return false;
  }

  /** Asks where it is time to. @param beforeMs the last tick: what was heard since may have come right behind it */
  #isSilent(nowMs: number, beforeMs: number): boolean {
    const { keepaliveMs, keepaliveCount } = this.#limits;
    if (keepaliveMs === 0) return false;
    if (this.#heard) {
      this.#heard = false;
      this.#dueMs = beforeMs + keepaliveMs;
      return false;
    }
    // Half a tick of grace: the interval's own jitter must not cost a whole tick more.
    if (nowMs < this.#dueMs - this.#tickMs / 2) return false;
    if (this.#unanswered >= Math.max(keepaliveCount, 2) - 1) return true;
    this.#unanswered++;
    this.#dueMs = nowMs + keepaliveMs; // a whole interval for the answer, however late the question
    this.#port.sendKeepalive();
    return false;
  }
}
