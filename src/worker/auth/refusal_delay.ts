/** REFUSAL DELAY: when a refused try may be answered, so that the time which it took does not tell whether the user exists,
 *  or has this key, or where the check ended (sshd's ensure_minimum_time_since and user_specific_delay, auth2.c).
 *  Owns the secret. The price is some milliseconds for each key of an agent that opens nothing. */
import { createHash } from 'node:crypto';

/** The least that a refusal takes. What differs between one refusal and another is a tenth of it. */
const LEAST_MS = 5;
/** A user's own share: 32 bits of a digest, as up to 4.3 ms. */
const UNITS_PER_MS = 1e9;
/** The wait doubles up to so many times a name's own share, 320 to 595 ms, and goes on by steps of that: sshd doubles for ever, and a
 *  password that was checked for 4.9 s on a busy machine is answered after 9.5 there. */
const MOST_SHARES = 64;

export class RefusalDelay {
  readonly #secret: Uint8Array;

  /** As sshd's: the host keys' secret is the same in all workers and after each start. */
  static of(hostKeys: ReadonlyArray<{ readonly pem: string }>): RefusalDelay {
    const digest = createHash('sha512').update('refusal delay');
    for (const { pem } of hostKeys) digest.update(pem);
    return new RefusalDelay(digest.digest());
  }

  /** @param secret the same in all workers, and known to nobody else: whoever knew it could subtract what it adds */
  constructor(secret: Uint8Array) {
    this.#secret = secret;
  }

  /** A name is always answered after the same time, which nobody can foretell and no averaging takes away; where that is over,
   *  after twice as long, or four times, and so on; each step is the name's own too.
   *  @param userName as it was sent
   *  @param tookMs since the request came
   *  @returns ms to wait before the answer */
  leftMs(userName: Uint8Array, tookMs: number): number {
    const digest = createHash('sha512').update(userName).update(this.#secret).digest();
    const shareMs = LEAST_MS + digest.readUInt32BE(0) / UNITS_PER_MS;
    const stepMs = MOST_SHARES * shareMs;
    if (tookMs > stepMs) return Math.max(0, stepMs * Math.ceil(tookMs / stepMs) - tookMs);
    let wholeMs = shareMs;
    while (wholeMs < tookMs) wholeMs *= 2;
    return wholeMs - tookMs;
  }
}
