/** EVENT QUEUE: bounded, one message at a time, and honest about what did not fit. */
import t from 'tap';
import type { AuditEvent } from '../../src/shared/events.js';
import { EventQueue } from '../../src/worker/event_queue.js';

const eventOf = (conn: number): AuditEvent => ({ event: 'connection.accepted', conn, peer: 'p', worker: 1 });

function room() {
  const sent: Array<{ events: readonly AuditEvent[]; lost: number }> = [];
  const waiting: (() => void)[] = [];
  let scheduled = false;
  const queue = new EventQueue(
    (events, lost, done) => {
      sent.push({ events, lost });
      waiting.push(done);
    },
    () => {
      scheduled = true;
    },
  );
  /** The turn is over: what was asked for happens. */
  const turn = (): void => {
    if (scheduled) queue.flush();
    scheduled = false;
  };
  const push = (count: number): void => {
    for (let index = 0; index < count; index++) queue.push(eventOf(index));
  };
  const written = (): void => {
    waiting.shift()?.();
    turn();
  };
  return { sent, queue, push, written, turn };
}

t.test('the events of one turn are one message, in order', async (t) => {
  const { sent, push, turn } = room();
  push(3);
  t.same(sent, []);
  turn();
  t.same(
    sent.map(({ events, lost }) => [events, lost]),
    [[[0, 1, 2].map(eventOf), 0]],
  );
});

t.test('while a message is under way the next ones wait, and go together', async (t) => {
  const { sent, push, written, turn } = room();
  push(1);
  turn();
  push(2);
  turn();
  push(3);
  turn();
  t.equal(sent.length, 1);
  written();
  t.same(
    sent.map(({ events }) => events.length),
    [1, 5],
  );
});

t.test('what does not fit is counted, and the count is told', async (t) => {
  const { sent, push, written, turn } = room();
  push(1);
  turn();
  push(100_000);
  written();
  t.equal(sent[1]?.lost, 100_000 - (sent[1]?.events.length ?? 0));
  t.ok((sent[1]?.events.length ?? 0) >= 1_000, 'a burst of honest events fits');
  written();
  t.equal(sent.length, 2, 'nothing more to tell');
});

t.test('flush sends what waits at once', async (t) => {
  const { sent, queue, push, turn } = room();
  push(2);
  queue.flush();
  t.equal(sent[0]?.events.length, 2);
  turn();
  t.equal(sent.length, 1);
});
