/** ROUND TRIPS: one byte at a time to an echo, each checked. Owns nothing but the turn. */
import type { Socket } from 'node:net';
import { VerificationFailed } from '../types.js';

export interface Trips {
  readonly durationMs: number;
  /** It goes on until there are so many: a p99 of a few is only their worst. */
  readonly atLeast: number;
}

/** The first ones meet cold caches and code that is not yet compiled. */
const WARM_UP_TRIPS = 20;
const LOST_AFTER_MS = 10_000;

/** @param socket paused, its other end an echo
 *  @returns the time of each round trip in microseconds
 *  @throws VerificationFailed when anything but the byte that was sent comes back, or nothing */
export function roundTrips(socket: Socket, { durationMs, atLeast }: Trips): Promise<number[]> {
  return new Promise((resolve, reject) => {
    const microseconds: number[] = [];
    const byte = Buffer.alloc(1);
    const endMs = performance.now() + durationMs;
    let trips = 0;
    let sentMs = 0;
    const fail = (why: string): void => {
      clearTimeout(lost);
      socket.off('data', onData);
      reject(new VerificationFailed(`round trip ${trips + 1}: ${why}`));
    };
    const lost = setTimeout(() => fail(`nothing came back within ${LOST_AFTER_MS} ms`), LOST_AFTER_MS);
    const send = (): void => {
      byte[0] = trips & 0xff;
      sentMs = performance.now();
      socket.write(byte);
    };
    const onClose = (): void => fail('the tunnel was closed');
    const onData = (bytes: Buffer): void => {
      const nowMs = performance.now();
      if (bytes.length !== 1 || bytes[0] !== byte[0]) {
        fail(`sent ${byte.toString('hex')}, received ${bytes.toString('hex').slice(0, 64)}`);
        return;
      }
      if (trips++ >= WARM_UP_TRIPS) microseconds.push((nowMs - sentMs) * 1000);
      if (nowMs >= endMs && microseconds.length >= atLeast) {
        clearTimeout(lost);
        socket.off('data', onData).off('close', onClose);
        resolve(microseconds);
        return;
      }
      lost.refresh();
      send();
    };
    socket.on('data', onData).once('close', onClose).resume();
    send();
  });
}
