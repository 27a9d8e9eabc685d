/** A worker that drains while a target still takes what a peer has sent, whose connection is over: the bytes are in this process
 *  alone, and with it they would go, behind a FIN that says they were all. */
import { once } from 'node:events';
import type { Socket } from 'node:net';
import t, { type Test } from 'tap';
import { wasReset } from '../../src/shared/handles.js';
import { MSG, message } from '../../src/shared/protocol.js';
import { startAccepting } from '../support/accepting.js';
import { Credit } from '../support/credit.js';
import { within } from '../support/deadline.js';
import { startEndpoint } from '../support/endpoint_under_test.js';
import { collected } from '../support/joined.js';
import { openDirectChannel } from '../support/raw_client.js';

interface Draining {
  /** It has not read anything yet. */
  readonly target: Socket;
  readonly sent: Buffer;
  /** Resolves when the worker may end. */
  readonly drained: Promise<void>;
}

/** A peer has sent all that it may, more than the kernel takes, has ended its channel and is gone. */
async function drain(t: Test, deadlineMs: number): Promise<Draining> {
  const server = await startEndpoint(t);
  const { port, accepted } = await startAccepting(t);
  const client = await server.login(t);
  const channel = await openDirectChannel(client, port);
  const target = (await accepted()).pause();
  const sent: Buffer[] = [];
  const credit = new Credit(client, channel);
  await credit.exhaust(() => client.roundTrip(), { onSent: (bytes) => void sent.push(bytes) });
  for (const type of [MSG.CHANNEL_EOF, MSG.CHANNEL_CLOSE]) client.send(message(type, channel.peerId));
  await client.take(MSG.CHANNEL_CLOSE);
  client.socket.destroy();
  await server.primary.wait('connection.closed');
  t.equal(server.endpoint.load().connections, 0);
  return { target, sent: Buffer.concat(sent), drained: server.endpoint.drain(deadlineMs) };
}

t.test('it waits until the target has all of it', async (t) => {
  const { target, sent, drained } = await drain(t, 60_000);
  let over = false;
  void drained.then(() => {
    over = true;
  });
  for (let turns = 0; turns < 20; turns++) await new Promise((resolve) => setImmediate(resolve));
  t.notOk(over);
  const all = collected(target);
  target.resume();
  t.ok((await all).equals(sent), 'each byte of it, and the end');
  target.end();
  await t.resolves(within(drained, 'end of the drain'));
});

t.test('until its deadline: then the target is reset, and does not take what it has for the whole', async (t) => {
  const { target, sent, drained } = await drain(t, 100);
  await within(drained, 'end of the drain');
  let received = 0;
  const ended = once(target, 'end');
  target.on('data', (bytes: Buffer) => {
    received += bytes.length;
  });
  target.resume();
  await within(ended, 'end at the target');
  t.ok(received < sent.length, `${received} of ${sent.length} bytes`);
  t.ok(wasReset(target), 'which libuv takes for an end');
});
