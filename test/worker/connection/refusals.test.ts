import t from 'tap';
import type { AuditEvent } from '../../../src/shared/log.js';
import { Refusals } from '../../../src/worker/connection/refusals.js';

t.test('the first ones are told, then a count, and none is forgotten', async (t) => {
  const told: AuditEvent[] = [];
  let nowMs = 0;
  const refusals = new Refusals({ onEvent: (event) => told.push(event), now: () => nowMs });
  for (let index = 0; index < 10_000; index++) refusals.tell({ event: 'channel.refused', reason: 'UNKNOWN_TYPE' });
  const first = told.length;
  t.ok(first >= 100 && first < 1_000, `${first} told`);
  t.notOk(told.some(({ detail }) => detail !== undefined));
  nowMs += 1_000;
  refusals.tell({ event: 'forward.refused', reason: 'POLICY_DENIED', detail: 'why' });
  t.match(told.at(-1), {
    event: 'forward.refused',
    detail: `why; ${10_000 - first} refusals before this were not logged`,
  });
  refusals.close();
  t.equal(told.length, first + 1, 'nothing left to tell');
});

t.test('what is left is told at the end', async (t) => {
  const told: AuditEvent[] = [];
  const refusals = new Refusals({ onEvent: (event) => told.push(event), now: () => 0 });
  for (let index = 0; index < 1_000; index++) refusals.tell({ event: 'channel.refused', reason: 'UNKNOWN_TYPE' });
  const first = told.length;
  refusals.close();
  t.match(told.at(-1), { event: 'channel.refused', detail: `${1_000 - first} refusals before this were not logged` });
});
