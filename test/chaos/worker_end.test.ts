import t from 'tap';
import { isExplained, type WorkerEnd } from '../../chaos/worker_end.js';

const SOUND: Omit<WorkerEnd, 'reason'> = { isLeaving: false, isDoomed: false, isServerEnding: false };

t.test('the end of a worker that nothing explains is a defect', async (t) => {
  for (const reason of ['CRASHED', 'START_FAILED', 'UNRESPONSIVE', 'FAULT', 'KILLED', 'DRAINED']) {
    t.notOk(isExplained({ ...SOUND, reason }), reason);
    t.equal(
      isExplained({ ...SOUND, reason, isLeaving: true }),
      reason === 'DRAINED',
      `${reason} of one that was replaced`,
    );
    t.ok(isExplained({ ...SOUND, reason, isDoomed: true }), `${reason} by a fault`);
    t.ok(isExplained({ ...SOUND, reason, isServerEnding: true }), `${reason} with its server`);
  }
});
