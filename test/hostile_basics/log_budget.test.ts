/** LOG BUDGET: a user whom the log tells of no more, however often he comes back: what he binds and lets go, and what he is refused.
 *  One process, real sockets. */
import t from 'tap';
import { MSG, message } from '../../src/shared/protocol.js';
import { OpenServer, startEndpoint } from '../support/endpoint_under_test.js';
import { asked, bindRequest, cancelRequest, replied } from '../support/requests.js';
import { freePort } from '../support/targets.js';

const FORWARDS = 4;

class FewForwards extends OpenServer {
  override limits() {
    return { connections: 100, channels: 1_000, forwards: FORWARDS };
  }
}

t.test('binding and cancelling in a loop: refused after a while, on every connection of the user', async (t) => {
  const server = await startEndpoint(t, { hooks: new FewForwards() });
  const [client, other, port] = [await server.login(t), await server.login(t), await freePort()];
  let bound = 0;
  while (bound < 10_000 && (await asked(client, bindRequest('localhost', port))) !== null) {
    bound++;
    await asked(client, cancelRequest('localhost', port));
  }
  t.ok(bound >= 100 + 2 * FORWARDS, `${bound} times`);
  t.ok(bound < 10_000, 'and then no more');
  t.match(server.primary.list('forward.refused').at(-1), { reason: 'FORWARD_RATE' });

  const ports = await Promise.all(Array.from({ length: FORWARDS }, freePort));
  for (const port of ports) other.send(bindRequest('localhost', port));
  const answers = [];
  for (const _ of ports) answers.push(await replied(other));
  t.ok(answers.includes(null), 'another connection has no burst of its own');
  for (const one of [client, other]) await one.roundTrip();
});

t.test('refusals: who reconnects gets no new beginning in the log, and each one is counted', async (t) => {
  const [connections, each] = [20, 200];
  const server = await startEndpoint(t);
  for (let count = 0; count < connections; count++) {
    const client = await server.login(t);
    for (let id = 0; id < each; id++) client.send(message(MSG.CHANNEL_OPEN, 'nothing@test', id, 1_000, 1_000));
    for (let id = 0; id < each; id++) await client.take(MSG.CHANNEL_OPEN_FAILURE);
    client.socket.destroy();
    await server.primary.wait('connection.closed', ({ conn }) => conn === count + 1);
  }
  const told = server.primary.list('channel.refused');
  t.ok(told.length >= 1_000 && told.length < 2_000, `${told.length} lines`);
  const untold = told.map(({ detail }) => Number(/^(\d+) refusals before/.exec(detail ?? '')?.[1] ?? 0));
  t.equal(told.length + untold.reduce((sum, count) => sum + count, 0), connections * each);
});
