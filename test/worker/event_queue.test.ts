/** EVENT QUEUE: bounded, one message at a time, and honest about what did not fit. */
import { setImmediate } from 'node:timers/promises';
import t from 'tap';
import type { AuditEvent } from '../../src/shared/events.js';
import { EventQueue } from '../../src/worker/event_queue.js';

const eventOf = (conn: number): AuditEvent => ({ event: 'connection.accepted', conn, peer: 'p', worker: 1 });

function room() {
  const sent: Array<{ events: readonly AuditEvent[]; lost: number }> = [];
  const waiting: (() => void)[] = [];
  const queue = new EventQueue((events, lost, done) => {
    sent.push({ events, lost });
    waiting.push(done);
  });
  const push = (count: number): void => {
    for (let index = 0; index < count; index++) queue.push(eventOf(index));
  };
  return { sent, queue, push, written: () => waiting.shift()?.() };
}

t.test('the events of one turn are one message, in order', async (t) => {
  const { sent, push } = room();
  push(3);
  t.same(sent, []);
  await setImmediate();
  t.same(
    sent.map(({ events, lost }) => [events, lost]),
    [[[0, 1, 2].map(eventOf), 0]],
  );
});

t.test('while a message is under way the next ones wait, and go together', async (t) => {
  const { sent, push, written } = room();
  push(1);
  await setImmediate();
  push(2);
  await setImmediate();
  push(3);
  await setImmediate();
  t.equal(sent.length, 1);
  written();
  t.same(
    sent.map(({ events }) => events.length),
    [1, 5],
  );
});

t.test('what does not fit is counted, and the count is told', async (t) => {
  const { sent, push, written } = room();
  push(1);
  await setImmediate();
  push(100_000);
  written();
  t.equal(sent[1]?.lost, 100_000 - (sent[1]?.events.length ?? 0));
  t.ok((sent[1]?.events.length ?? 0) >= 1_000, 'a burst of honest events fits');
  written();
  t.equal(sent.length, 2, 'nothing more to tell');
});

t.test('flush sends what waits at once', async (t) => {
  const { sent, queue, push } = room();
  push(2);
  queue.flush();
  t.equal(sent[0]?.events.length, 2);
  await setImmediate();
  t.equal(sent.length, 1);
});
