/** HALF-WAY: a login that stops between its first factor and its second counts against its source as a failed one does: who guesses
 *  passwords learns from the partial success that one was right. */
import { join } from 'node:path';
import { hashSync } from '@node-rs/argon2';
import t from 'tap';
import { ConfiguredServer } from '../../src/index.js';
import { serveAsking } from '../support/asking_server.js';
import { rawClient } from '../support/raw_client.js';
import { connect, firstLine } from '../support/targets.js';
import { tempDir } from '../support/temp.js';
import { writeTotp } from '../support/totp.js';

t.test('a source whose login stopped at the code is refused', async (t) => {
  const password = hashSync('x', { memoryCost: 1024, timeCost: 1, parallelism: 1 });
  const users = { alice: { password, totp: writeTotp(join(tempDir(t), 'totp')) } };
  const penalties = { authFail: '1m', min: '1s', exempt: [] } as const;
  const { server, endpoint } = await serveAsking(t, ConfiguredServer, null, { users, penalties });
  const client = rawClient(t, endpoint);
  await client.refusedLogin('alice', { password: 'x' }); // half of it
  const ended = new Promise((resolve) => {
    server.on('connection', (event) => event.event === 'connection.closed' && resolve(event));
  });
  client.socket.destroy();
  t.match(await ended, { reason: 'PEER_CLOSED' });
  t.equal(await firstLine(await connect(t, endpoint.port)), 'Not allowed at this time');
});
