/** HOSTILE TASK: a task module for the pool's tests that does what the password tells it to. */
import type { VerifyPasswordTask } from '../../../src/worker/pool/task.js';

export function verifyPassword({ phc, password }: VerifyPasswordTask): unknown {
  switch (password) {
    case 'hang':
      for (;;); // only ending the thread helps
    case 'exit':
      process.exit(0);
      return true;
    case 'throw':
      throw new Error('no');
    case 'odd':
      return 'true';
    default:
      return password === phc;
  }
}
