import t from 'tap';
import type { RefusalNews } from '../../../src/shared/events.js';
import { Refusals } from '../../../src/worker/connection/refusals.js';

const news = (destination: string): RefusalNews => ({
  event: 'channel.refused',
  kind: 'unknown',
  destination,
  reason: 'UNKNOWN_TYPE',
});

t.test('the first ones are told, then a count, and none is forgotten', async (t) => {
  const told: RefusalNews[] = [];
  let nowMs = 0;
  let counted = 0;
  const refusals = new Refusals({
    onEvent: (event) => told.push(event),
    onRefusal: () => counted++,
    mayTell: () => true,
    now: () => nowMs,
  });
  for (let index = 0; index < 10_000; index++) refusals.tell(news(`number ${index}`));
  const first = told.length;
  t.ok(first >= 100 && first < 1_000, `${first} told`);
  t.notOk(told.some(({ detail }) => detail !== undefined));
  nowMs += 1_000;
  refusals.tell({
    event: 'forward.refused',
    kind: 'tcpip-forward',
    destination: 'localhost:1',
    reason: 'POLICY_DENIED',
    detail: 'why',
  });
  t.same(told.at(-1), {
    event: 'forward.refused',
    kind: 'tcpip-forward',
    destination: 'localhost:1',
    reason: 'POLICY_DENIED',
    detail: `why; ${10_000 - first} refusals before this were not logged`,
  });
  refusals.close();
  t.equal(told.length, first + 1, 'nothing left to tell');
  t.equal(counted, 10_001, 'each one is counted');
});

t.test('what is left is told at the end: the last one itself, and the number of the others', async (t) => {
  const told: RefusalNews[] = [];
  const refusals = new Refusals({
    onEvent: (event) => told.push(event),
    onRefusal() {},
    mayTell: () => true,
    now: () => 0,
  });
  for (let index = 0; index < 1_000; index++) refusals.tell(news(`number ${index}`));
  const first = told.length;
  refusals.close();
  t.equal(told.length, first + 1);
  t.same(told.at(-1), { ...news('number 999'), detail: `${999 - first} refusals before this were not logged` });
  refusals.close();
  t.equal(told.length, first + 1, 'once');
});

t.test('a single one that is left is told as it is, without a count', async (t) => {
  const told: RefusalNews[] = [];
  const refusals = new Refusals({
    onEvent: (event) => told.push(event),
    onRefusal() {},
    mayTell: () => true,
    now: () => 0,
  });
  const probe = new Refusals({ onEvent: () => burst++, onRefusal() {}, mayTell: () => true, now: () => 0 });
  let burst = 0;
  for (let index = 0; index < 1_000; index++) probe.tell(news('probe'));
  for (let index = 0; index <= burst; index++) refusals.tell(news(`number ${index}`));
  t.equal(told.length, burst);
  refusals.close();
  t.same(told.at(-1), news(`number ${burst}`));
});

t.test("what the user's other connections have told is gone: counted, and told at the end", async (t) => {
  const told: RefusalNews[] = [];
  let left = 2;
  const refusals = new Refusals({
    onEvent: (event) => told.push(event),
    onRefusal() {},
    mayTell: () => left-- > 0,
    now: () => 0,
  });
  for (let index = 0; index < 10; index++) refusals.tell(news(`number ${index}`));
  t.equal(told.length, 2);
  refusals.close();
  t.same(told.at(-1), { ...news('number 9'), detail: '7 refusals before this were not logged' });
});
