/** A02: an identification (RFC 4253 §4.2) that comes byte by byte. From a peer that dribbles it takes until the deadline,
 *  which no byte extends; from one whose network cuts it in pieces it is an identification like any other. */
import t from 'tap';
import { PASSWORD, startEndpoint } from '../support/endpoint_under_test.js';
import { hostile } from '../support/hostile.js';
import { type RawClient, rawClient } from '../support/raw_client.js';
import { cut } from '../support/targets.js';

hostile(t, 'A02', 'a byte now and then does not extend the 10 s', { workers: [2] }, async (t, { server, tcp }) => {
  const from = server.events.mark();
  const slow = await tcp();
  const line = [...'SSH-2.0-slowloris'];
  const drip = setInterval(() => slow.write(line.shift() ?? 'x'), 1_000);
  t.teardown(() => clearInterval(drip));
  await cut(slow);
  clearInterval(drip);
  const closed = await server.events.wait('connection.closed', { reason: 'IDENT_TIMEOUT' }, from);
  t.ok(Number(closed.bytesIn) > 1, 'bytes came');
  t.ok(Number(closed.durationMs) >= 9_900, 'it had its time');
  t.equal(server.events.list('connection.closed', { reason: 'IDENT_TIMEOUT' }, from).length, 1, 'one line tells it');
});

hostile(t, 'A02', 'an ident in 20 pieces is one', {}, async (t, { server, stranger }) => {
  const client = stranger();
  inPieces(client, 20);
  await t.resolves(client.login('alice', server.alice));
  await t.resolves(client.roundTrip());
});

t.test('A02 a login in which every byte is a piece of its own', async (t) => {
  const server = await startEndpoint(t);
  const client = rawClient(t, server);
  inPieces(client, Number.POSITIVE_INFINITY);
  await t.resolves(client.login('alice', { password: PASSWORD }));
});

/** Cuts each write into so many pieces, each handed to the kernel before the next. */
function inPieces({ socket }: RawClient, pieces: number): void {
  const write = socket.write.bind(socket);
  let turn: Promise<unknown> = Promise.resolve();
  socket.write = (bytes: string | Uint8Array) => {
    const copy = Buffer.from(bytes);
    const size = Math.max(1, Math.ceil(copy.length / pieces));
    for (let at = 0; at < copy.length; at += size) {
      const piece = copy.subarray(at, at + size);
      turn = turn.then(() => new Promise((resolve) => write(piece, resolve)));
    }
    return true;
  };
}
