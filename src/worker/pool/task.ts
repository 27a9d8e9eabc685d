/** TASK: what travels between the owner of the pool and its threads. Both sides compile against this file.
 *  Owns nothing. */

/** Name of the export that a task module gives to the pool. */
export const VERIFY_PASSWORD = 'verifyPassword';

export interface VerifyPasswordTask {
  /** argon2id, scrypt or bcrypt (shared/password_hash.ts): one of ours, never a peer's. */
  readonly phc: string;
  readonly password: string;
}

/** `ok: false` is no verdict at all: the caller denies. */
export type PasswordVerdict =
  | { readonly ok: true; readonly match: boolean }
  | { readonly ok: false; readonly code: PoolFailure };

/** Queue full, deadline passed, or thread lost (or pool closed). */
export type PoolFailure = 'POOL_BUSY' | 'HOOK_TIMEOUT' | 'HOOK_FAILED';
