/** ACCOUNT: memory without an end, for tests that are about something else. Owns nothing. */
import { type Account, WorkerMemory } from '../../src/worker/memory.js';

export function plenty(): Account {
  return new WorkerMemory({ budgetBytes: Number.POSITIVE_INFINITY }).open(() => {});
}
