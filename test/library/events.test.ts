/** EVENTS as a program hears them: listeners that break, iterations that are slow, and the ends of both. The events
 *  themselves are seen in python_original.test.ts and lifecycle.test.ts. */
import { EventEmitter, once } from 'node:events';
import t from 'tap';
import { EventHub, type LostEvents, type TunnelEvent } from '../../src/library/events.js';
import { HEARING } from '../../src/library/served.js';
import type { AuditEvent } from '../../src/shared/events.js';

function accepted(conn: number): AuditEvent {
  return { event: 'connection.accepted', conn, peer: '127.0.0.1:1', worker: 1 };
}

async function all(events: AsyncIterable<TunnelEvent | LostEvents>): Promise<string[]> {
  const seen: string[] = [];
  for await (const event of events)
    seen.push(event.event === 'connection.accepted' ? `conn ${event.conn}` : `${event.event} ${JSON.stringify(event)}`);
  return seen;
}

t.test('a listener hears its category, with the time', async (t) => {
  const hub = new EventHub();
  const heard: unknown[] = [];
  hub.on('connection', (event) => heard.push(event));
  hub.on('auth', () => t.fail('another category'));
  hub[HEARING].event(accepted(1));
  t.match(heard, [{ event: 'connection.accepted', conn: 1, time: Date }]);
});

t.test('a listener that throws or rejects is told once, by its name, and stops nobody', async (t) => {
  const hub = new EventHub();
  const warnings: Error[] = [];
  const onWarning = (warning: Error): void => {
    warnings.push(warning);
  };
  process.on('warning', onWarning);
  t.teardown(() => process.off('warning', onWarning));
  let later = 0;
  hub.on('connection', () => {
    throw new Error('broken listener');
  });
  hub.on('channel', async () => {
    later++;
    throw new Error('broken later');
  });
  const warned = [once(process, 'warning'), once(process, 'warning')];
  for (const conn of [1, 2, 3]) hub[HEARING].event(accepted(conn));
  await warned[0];
  const opened = { kind: 'session', channel: 1, destination: 'session', conn: 1, peer: '', user: 'alice' } as const;
  hub[HEARING].event({ event: 'channel.opened', ...opened });
  hub[HEARING].event({ event: 'channel.opened', ...opened });
  await new Promise(setImmediate);
  await new Promise(setImmediate);
  t.equal(later, 2, 'called again all the same');
  t.match(
    warnings.map(({ name, message }) => `${name}: ${message}`),
    [
      /^SallyportWarning: a listener for 'connection' failed.*broken listener$/,
      /^SallyportWarning: a listener for 'channel' failed.*broken later$/,
    ],
  );
  t.equal(warnings.length, 2);
});

t.test('an iteration gets every event in order, and ends with the server', async (t) => {
  const hub = new EventHub();
  const seen = all(hub.events());
  for (const conn of [1, 2, 3]) hub[HEARING].event(accepted(conn));
  await new Promise(setImmediate);
  hub[HEARING].event(accepted(4));
  hub[HEARING].ended();
  t.same(await seen, ['conn 1', 'conn 2', 'conn 3', 'conn 4']);
});

t.test('a slow iteration is bounded and told what it missed, where it missed it', async (t) => {
  const hub = new EventHub();
  const events = hub.events({ maxWaiting: 2 });
  for (const conn of [1, 2, 3, 4]) hub[HEARING].event(accepted(conn));
  t.match(await events.next(), { value: { conn: 1 } });
  hub[HEARING].event(accepted(5));
  hub[HEARING].ended();
  t.match(await all(events), ['conn 2', /^events.lost .*"count":2/, 'conn 5']);
});

t.test('events that the server itself could not tell are told as lost', async (t) => {
  const hub = new EventHub();
  const counts: number[] = [];
  hub.on('lost', (count) => counts.push(count));
  const seen = all(hub.events());
  hub[HEARING].lost(7);
  hub[HEARING].ended();
  t.match(await seen, [/^events.lost .*"count":7/]);
  t.same(counts, [7]);
});

t.test('an iteration ends by its signal, by leaving the loop, and at once where the signal has fired', async (t) => {
  const hub = new EventHub();
  const controller = new AbortController();
  const seen = all(hub.events({ signal: controller.signal }));
  hub[HEARING].event(accepted(1));
  controller.abort();
  hub[HEARING].event(accepted(2));
  t.same(await seen, ['conn 1']);
  t.same(await all(hub.events({ signal: controller.signal })), []);

  const left = hub.events();
  hub[HEARING].event(accepted(3));
  hub[HEARING].event(accepted(4));
  for await (const event of left) {
    t.match(event, { conn: 3 });
    break;
  }
  t.same(await left.next(), { done: true, value: undefined });
});

t.test('whoever listens by the whole name of an event is told by which name he would hear it', async (t) => {
  const hub = new EventHub();
  const on = (name: string): unknown => EventEmitter.prototype.on.call(hub, name, () => undefined);
  const warnings: string[] = [];
  const onWarning = ({ message }: Error): void => {
    warnings.push(message);
  };
  process.on('warning', onWarning);
  t.teardown(() => process.off('warning', onWarning));
  for (const name of ['auth', 'lost', 'mine', 'mine.own']) on(name);
  const warned = once(process, 'warning');
  on('auth.failed');
  await warned;
  t.same(warnings, ["'auth.failed' is no name to listen by: listen by 'auth', and event.event says which one it is"]);
});
