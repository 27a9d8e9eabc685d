/** ARGON2 TASK: runs in a thread of the pool: one password against one argon2id PHC string.
 *  Owns nothing. Throws on a PHC string that it cannot read; the pool turns that into no verdict. */
import { verifySync } from '@node-rs/argon2';
import type { VerifyPasswordTask } from './task.js';

/** Synchronous on purpose: the thread exists for this one task, and a second pool of threads behind it would hide the load
 *  from the queue's bound. */
export function verifyPassword(task: VerifyPasswordTask): boolean {
  return verifySync(task.phc, task.password);
}
