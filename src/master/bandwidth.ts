/** BANDWIDTH: how many bytes of each limited user's each worker may move.
 *  Owns one bucket for each such user and direction, filled by the second. A pure state machine: no socket, no timer, time is
 *  an argument. Workers that ask for the same user have equal parts, however their questions fall, and what one leaves of its
 *  part is for the others. */
import type { BandwidthGrant, BandwidthWant } from '../shared/ipc.js';

/** What may be moved at once after a rest. It is also how late a worker's question may come without a loss: they come every
 *  tenth of a second, from processes that have other things to do. */
const BURST_MS = 200;
/** A worker that moves something asks every tenth of a second; one that has not asked for so long has no part any more. */
const SILENT_MS = 300;
/** A bucket that nobody has asked for so long is full again, like a new one: it is forgotten. */
const FORGET_AFTER_MS = 1_000;

interface User {
  readonly up: SharedBucket;
  readonly down: SharedBucket;
  askedAtMs: number;
}

export class Bandwidth {
  readonly #users = new Map<string, User>();
  #sweptAtMs = Number.NEGATIVE_INFINITY;

  /** Users whose buckets are not known to be full. */
  get size(): number {
    return this.#users.size;
  }

  grant(worker: number, want: BandwidthWant, nowMs: number): BandwidthGrant {
    this.#sweep(nowMs);
    const user = this.#users.get(want.user) ?? newUser(want.bytesPerSecond, nowMs);
    this.#users.set(want.user, user);
    user.askedAtMs = nowMs;
    return {
      upBytes: user.up.take(worker, want.upBytes, want.bytesPerSecond, nowMs),
      downBytes: user.down.take(worker, want.downBytes, want.bytesPerSecond, nowMs),
    };
  }

  #sweep(nowMs: number): void {
    if (nowMs - this.#sweptAtMs < FORGET_AFTER_MS) return;
    this.#sweptAtMs = nowMs;
    for (const [name, user] of this.#users) if (nowMs - user.askedAtMs > FORGET_AFTER_MS) this.#users.delete(name);
  }
}

function newUser(bytesPerSecond: number, nowMs: number): User {
  return {
    up: new SharedBucket(bytesPerSecond, nowMs),
    down: new SharedBucket(bytesPerSecond, nowMs),
    askedAtMs: nowMs,
  };
}

/** What has come in for a worker since it asked last. */
interface Part {
  bytes: number;
  readonly askedAtMs: number;
}

class SharedBucket {
  /** For whoever asks first. */
  #freeBytes: number;
  readonly #parts = new Map<number, Part>();
  #filledAtMs: number;

  /** Begins full. */
  constructor(bytesPerSecond: number, nowMs: number) {
    this.#freeBytes = burstBytes(bytesPerSecond);
    this.#filledAtMs = nowMs;
  }

  /** @returns whole bytes, 0 to `wantedBytes` */
  take(worker: number, wantedBytes: number, bytesPerSecond: number, nowMs: number): number {
    this.#dropSilent(nowMs);
    this.#fill(bytesPerSecond, nowMs);
    this.#freeBytes += this.#parts.get(worker)?.bytes ?? 0;
    this.#parts.delete(worker);
    const granted = Math.max(0, Math.floor(Math.min(wantedBytes, this.#freeBytes)));
    this.#freeBytes -= granted;
    if (wantedBytes > 0) this.#parts.set(worker, { bytes: 0, askedAtMs: nowMs });
    return granted;
  }

  #fill(bytesPerSecond: number, nowMs: number): void {
    let heldBytes = this.#freeBytes;
    for (const { bytes } of this.#parts.values()) heldBytes += bytes;
    const roomBytes = Math.max(0, burstBytes(bytesPerSecond) - heldBytes);
    const newBytes = Math.min(roomBytes, ((nowMs - this.#filledAtMs) / 1_000) * bytesPerSecond);
    this.#filledAtMs = nowMs;
    if (this.#parts.size === 0) this.#freeBytes += newBytes;
    else for (const part of this.#parts.values()) part.bytes += newBytes / this.#parts.size;
  }

  #dropSilent(nowMs: number): void {
    for (const [worker, { bytes, askedAtMs }] of this.#parts) {
      if (nowMs - askedAtMs <= SILENT_MS) continue;
      this.#parts.delete(worker);
      this.#freeBytes += bytes;
    }
  }
}

function burstBytes(bytesPerSecond: number): number {
  return (bytesPerSecond * BURST_MS) / 1_000;
}
