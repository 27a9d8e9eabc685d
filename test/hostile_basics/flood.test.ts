/** FLOOD: a logged-in user who asks for what is refused, over and over. Each request is answered, the others on the worker are
 *  served meanwhile, and the log gets a number. That the heartbeat does not wait behind the events, and that a read yields,
 *  stands in worker/primary_link.test and worker/transport/transport.test: a client in JavaScript is too slow to show it here. */
import t from 'tap';

import { MSG, message } from '../../src/shared/protocol.js';
import { flow } from '../support/flow.js';
import { dataMessage, directOpen, openDirectChannel, type RawClient, rawClient } from '../support/raw_client.js';
import { startSallyport } from '../support/server.js';
import { startEcho } from '../support/targets.js';

const REQUESTS = 30_000;
const BATCH = 500;

const KINDS: ReadonlyArray<readonly [name: string, request: Buffer]> = [
  ['opens of an unknown type', message(MSG.CHANNEL_OPEN, 'x', 1, 1 << 20, 32_768)],
  ['opens of port 0', directOpen(0, { id: 1 })],
  ['binds that nobody may have', message(MSG.GLOBAL_REQUEST, 'tcpip-forward', false, '192.0.2.1', 22)],
];

flow(t, 'a flood of refused requests', { needs: ['ssh-keygen'], workers: [1] }, async (t, workers) => {
  const server = await startSallyport(t, { workers });
  const echo = await startEcho(t);
  const bystander = rawClient(t, server);
  await bystander.login('bob', server.bob);
  const channel = await openDirectChannel(bystander, echo.port);

  for (const [name, request] of KINDS)
    await t.test(name, async (t) => {
      const from = server.events.mark();
      const flooder = rawClient(t, server);
      await flooder.login('alice', server.alice);
      for (let sent = 0; sent < REQUESTS; sent += BATCH) {
        for (let index = 0; index < BATCH; index++) flooder.send(request);
        if (sent % 10_000 !== 0) continue;
        bystander.send(dataMessage(channel, 'x'));
        await bystander.take(MSG.CHANNEL_DATA); // its echo comes back while the flood goes on
        await drained(flooder);
      }
      await flooder.roundTrip();
      t.notOk(flooder.hasEnded, 'it is refused, not cut');
      flooder.socket.destroy();
      await server.events.wait('connection.closed', { user: 'alice' }, from);
      t.equal(server.events.list('worker.exited').length, 0);
      const refused = (['channel.refused', 'forward.refused'] as const).flatMap((event) =>
        server.events.list(event, {}, from),
      );
      t.ok(refused.length > 0 && refused.length < 2_000, `${refused.length} lines for ${REQUESTS} refusals`);
      t.ok(
        refused.some(({ detail }) => /\d+ refusals before this were not logged/.test(String(detail))),
        'the rest is told as a number',
      );
    });
});

flow(t, "the server's own port on another address", { needs: ['ssh-keygen'] }, async (t, workers) => {
  const server = await startSallyport(t, { workers });
  const client = rawClient(t, server);
  await client.login('alice', server.alice);
  const hosts = ['::1', '127.0.0.1', 'localhost'];
  for (const host of hosts) {
    client.send(message(MSG.GLOBAL_REQUEST, 'tcpip-forward', true, host, server.port));
    await client.take(MSG.REQUEST_FAILURE);
    t.match(await server.events.wait('forward.refused', { user: 'alice' }), { reason: 'PORT_TAKEN' }, host);
  }
});

/** Until what was sent has left this process. */
function drained({ socket }: RawClient): Promise<void> {
  if (socket.writableLength === 0) return Promise.resolve();
  return new Promise((resolve) => socket.once('drain', () => resolve()));
}
