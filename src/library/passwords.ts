/** PASSWORDS: hashes that a program keeps, checked in threads.
 *  Owns the pool, whose threads are started by the first password, and the cost of the hash that was checked last. */
import { TunnelError } from '../shared/errors.js';
import { costOf } from '../shared/password_hash.js';
import { hashOfNothing } from '../worker/auth/no_password.js';
import { CryptoPool } from '../worker/pool/pool.js';

export class Passwords {
  #pool: CryptoPool | null = null;
  #cost: string | undefined;

  pool(): CryptoPool {
    this.#pool ??= new CryptoPool();
    return this.#pool;
  }

  /** @param hash undefined: there is none; that takes as long as the last one
   *  @throws TunnelError POOL_BUSY, HOOK_TIMEOUT or HOOK_FAILED */
  async verify(hash: string | undefined, password: string, signal?: AbortSignal): Promise<boolean> {
    if (hash !== undefined) this.#cost = costOf(hash) ?? this.#cost;
    const verdict = await this.pool().verifyPassword(hash ?? hashOfNothing(this.#cost), password, signal);
    if (!verdict.ok) throw new TunnelError(verdict.code, 'the password could not be checked');
    return hash !== undefined && verdict.match;
  }

  async close(): Promise<void> {
    const pool = this.#pool;
    this.#pool = null;
    await pool?.close();
  }
}
