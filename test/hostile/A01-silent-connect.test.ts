/** A01: a TCP connection that says nothing. It costs a descriptor until the deadline of the ident, and no key exchange. */
import t from 'tap';
import { hostile } from '../support/hostile.js';
import { cut } from '../support/targets.js';

hostile(t, 'A01', 'a peer that says nothing is closed after 10 s', { workers: [2] }, async (t, { server, tcp }) => {
  const from = server.events.mark();
  const silent = await tcp();
  await cut(silent);
  const closed = await server.events.wait('connection.closed', { reason: 'IDENT_TIMEOUT' }, from);
  t.ok(Number(closed.durationMs) >= 9_900, 'not before its time');
  t.equal(server.events.list('connection.closed', { reason: 'IDENT_TIMEOUT' }, from).length, 1, 'one line tells it');
});
