/** LIVENESS: is the peer still there, and does it read what we send?
 *  Owns the connection's one timer after login, the keepalive count, and the probes of the primary. */

/** What liveness looks at and does. */
export interface LivenessPort {
  /** GLOBAL_REQUEST keepalive@openssh.com with a reply wanted; every SSH peer answers it, if only with a failure. */
  sendKeepalive(): void;
  /** Bytes that wait for the peer to read them, and a number that changes when it has read some. */
  readonly queuedBytes: number;
  readonly writeProgress: number;
  /** Called at each tick, for what else is due (re-keying). */
  onTick(): void;
  onDead(reason: 'KEEPALIVE_TIMEOUT' | 'WRITE_STALLED'): void;
  now(): number;
}

export interface LivenessLimits {
  /** Silence after which a keepalive is sent; 0 = never. */
  readonly keepaliveMs: number;
  /** Keepalives without any answer after which the peer is dead. */
  readonly keepaliveCount: number;
  /** Time without progress while bytes wait for the peer; 0 = no limit. */
  readonly stalledWriteMs: number;
}

/** The longest pause between two looks: re-keying by time is due within it. */
const MAX_TICK_MS = 15_000;

export class Liveness {
  readonly #port: LivenessPort;
  readonly #limits: LivenessLimits;
  readonly #tickMs: number;
  readonly #timer: NodeJS.Timeout;
  /** Since the last tick: a flag and not a time, since it is set for every packet. */
  #heard = true;
  /** The tick up to which the peer was last heard, or that of the last keepalive. */
  #quietSinceMs: number;
  #unanswered = 0;
  #progress: number;
  #progressAtMs: number;
  readonly #probes = new Set<(alive: boolean) => void>();

  constructor(port: LivenessPort, limits: LivenessLimits) {
    this.#port = port;
    this.#limits = limits;
    this.#progress = port.writeProgress;
    this.#progressAtMs = port.now();
    this.#quietSinceMs = this.#progressAtMs;
    this.#tickMs = Math.min(limits.keepaliveMs || MAX_TICK_MS, limits.stalledWriteMs || MAX_TICK_MS, MAX_TICK_MS);
    this.#timer = setInterval(() => this.#tick(), this.#tickMs);
    this.#timer.unref();
  }

  /** Anything at all came from the peer. */
  heard(): void {
    this.#heard = true;
    this.#unanswered = 0;
    if (this.#probes.size === 0) return;
    for (const settle of this.#probes) settle(true);
    this.#probes.clear();
  }

  /** Asks now. @returns whether anything came within the time, or, where bytes waited before the question already, whether
   *  the peer has read any of them: behind a full queue on a slow line no answer can come that fast */
  probe(timeoutMs: number): Promise<boolean> {
    const port = this.#port;
    const waited = port.queuedBytes > 0;
    const progress = port.writeProgress;
    return new Promise((resolve) => {
      const judge = (): void => {
        if (this.#probes.delete(settle)) resolve(waited && port.writeProgress !== progress);
      };
      // Timers run before the poll that may hold the answer.
      const timer = setTimeout(() => setImmediate(judge), timeoutMs);
      const settle = (alive: boolean): void => {
        clearTimeout(timer);
        resolve(alive);
      };
      this.#probes.add(settle);
      port.sendKeepalive();
    });
  }

  stop(): void {
    clearInterval(this.#timer);
    for (const settle of this.#probes) settle(false);
    this.#probes.clear();
  }

  #tick(): void {
    const { keepaliveMs, keepaliveCount, stalledWriteMs } = this.#limits;
    const nowMs = this.#port.now();
    const progress = this.#port.writeProgress;
    if (progress !== this.#progress || this.#port.queuedBytes === 0) {
      this.#progress = progress;
      this.#progressAtMs = nowMs;
    } else if (stalledWriteMs > 0 && nowMs - this.#progressAtMs >= stalledWriteMs) {
      this.#port.onDead('WRITE_STALLED');
      return;
    }
    if (this.#heard) {
      this.#heard = false;
      this.#quietSinceMs = nowMs;
    } else if (keepaliveMs > 0 && nowMs - this.#quietSinceMs >= keepaliveMs - this.#tickMs / 2) {
      // Half a tick of grace: the interval's own jitter must not cost a whole tick more.
      if (this.#unanswered >= keepaliveCount) {
        this.#port.onDead('KEEPALIVE_TIMEOUT');
        return;
      }
      this.#unanswered++;
      this.#quietSinceMs = nowMs;
      this.#port.sendKeepalive();
    }
    this.#port.onTick();
  }
}
