/** A49: whoever goes away between login and bind, bind and reply, look-up and connect leaves nothing behind. The races are run in
 *  this process, where thousands of interleavings fit into seconds (`npm run chaos:races -- --count 1000000` for more); the
 *  same moments are then met by chance with a whole server, whose ports must be free afterwards. */
import { randomInt } from 'node:crypto';
import t from 'tap';
import { races } from '../../chaos/races/races.js';
import { MSG, message } from '../../src/shared/protocol.js';
import { hostile } from '../support/hostile.js';
import { directOpen } from '../support/raw_client.js';
import { canBind, freePort } from '../support/targets.js';

const RACES = 3_000;
const CLIENTS = 40;

t.test(`${RACES} races in one process leave nothing behind`, { timeout: 250_000 }, async (t) => {
  const seed = randomInt(2 ** 31);
  t.same(await races({ count: RACES, seed }), [], `seed ${seed}`);
});

hostile(t, 'A49', 'ports of clients that go at any moment are free', {}, async (t, { server, login, echoPort }) => {
  const ports: number[] = [];
  const from = server.events.mark();
  for (let count = 0; count < CLIENTS; count++) {
    const port = await freePort();
    ports.push(port);
    const client = await login();
    for (const payload of [
      directOpen(echoPort, { host: 'localhost' }),
      message(MSG.GLOBAL_REQUEST, 'tcpip-forward', true, 'localhost', port),
      message(MSG.GLOBAL_REQUEST, 'streamlocal-forward@openssh.com', true, `${server.dir}/${count}.sock`),
    ])
      client.send(payload);
    // From at once to after everything is answered: each client goes a little later.
    for (let turns = 0; turns < count; turns++) await new Promise((resolve) => setImmediate(resolve));
    client.socket.resetAndDestroy();
  }
  await server.events.waitAll(CLIENTS, 'connection.closed', { user: 'alice' }, from);
  for (const port of ports) t.ok(await canBind(port), `port ${port} is free`);
});
