/** EXPIRY: the end of a session by its key, where a reload moves it. Raw clients, and the clock of the machine. */
import t from 'tap';
import { ConfiguredServer } from '../../src/index.js';
import { serveAsking } from '../support/asking_server.js';
import { loginBy } from '../support/key_login.js';
import { rawClient } from '../support/raw_client.js';
import { ed25519 } from '../worker/auth/keys.js';

const KEY = ed25519();
const shown = { algorithm: KEY.type, blob: KEY.blob, sign: (data: Buffer) => KEY.sign(data) };

/** A line with the key, until so many seconds from now. */
function line(seconds: number): string {
  const text = new Date(Date.now() + seconds * 1_000).toISOString().replaceAll(/[-:T]|\.\d+/g, '');
  return `expiry-time="${text}" ${KEY.type} ${KEY.blob.toString('base64')}`;
}

t.test('a reload that shortens an expiry ends the session then, one that lengthens it does not', async (t) => {
  const HOUR = 3_600;
  const users = (alice: string, bob: string) => ({
    alice: { authorizedKeys: [alice] },
    bob: { authorizedKeys: [bob] },
  });
  const auth = { endExpired: true };
  const made = { users: users(line(HOUR), line(5)), auth };
  const { server, options, endpoint } = await serveAsking(t, ConfiguredServer, null, made);
  const [alice, bob] = [rawClient(t, endpoint), rawClient(t, endpoint)];
  t.equal(await loginBy(alice, 'alice', shown), true);
  t.equal(await loginBy(bob, 'bob', shown), true);
  await server.reload({ ...options, users: users(line(6), line(HOUR)) });
  await alice.roundTrip();
  t.match(await alice.ended, { text: 'access has expired' });
  await bob.roundTrip();
});

t.test('a reload that makes expiry end sessions reaches those that are there', async (t) => {
  const users = { alice: { authorizedKeys: [line(4)] } };
  const { server, options, endpoint } = await serveAsking(t, ConfiguredServer, null, { users });
  const alice = rawClient(t, endpoint);
  t.equal(await loginBy(alice, 'alice', shown), true);
  await server.reload({ ...options, auth: { endExpired: true } });
  t.match(await alice.ended, { text: 'access has expired' });
});
