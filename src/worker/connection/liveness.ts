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

const DEFAULT_TICK_MS = 15_000;

export class Liveness {
  readonly #port: LivenessPort;
  readonly #limits: LivenessLimits;
  readonly #timer: NodeJS.Timeout;
  #heard = true;
  #unanswered = 0;
  #progress: number;
  #progressAtMs: number;
  readonly #probes = new Set<(alive: boolean) => void>();

  constructor(port: LivenessPort, limits: LivenessLimits) {
    this.#port = port;
    this.#limits = limits;
    this.#progress = port.writeProgress;
    this.#progressAtMs = port.now();
    const tickMs = Math.min(limits.keepaliveMs || DEFAULT_TICK_MS, limits.stalledWriteMs || DEFAULT_TICK_MS);
    this.#timer = setInterval(() => this.#tick(), tickMs);
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

  /** Asks now. @returns whether anything came within the time */
  probe(timeoutMs: number): Promise<boolean> {
    return new Promise((resolve) => {
      const timer = setTimeout(() => {
        this.#probes.delete(settle);
        resolve(false);
      }, timeoutMs);
      const settle = (alive: boolean): void => {
        clearTimeout(timer);
        resolve(alive);
      };
      this.#probes.add(settle);
      this.#port.sendKeepalive();
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
    if (keepaliveMs > 0 && !this.#heard) {
      if (this.#unanswered >= keepaliveCount) {
        this.#port.onDead('KEEPALIVE_TIMEOUT');
        return;
      }
      this.#unanswered++;
      this.#port.sendKeepalive();
    }
    this.#heard = false;
    this.#port.onTick();
  }
}
