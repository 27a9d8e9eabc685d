/** BROKEN TASK: a task module that cannot be loaded, as when a native addon is missing. */
import type { VerifyPasswordTask } from '../../../src/worker/pool/task.js';

throw new Error('this module does not load');

export function verifyPassword(_task: VerifyPasswordTask): boolean {
  return true;
}
