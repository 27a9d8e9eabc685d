/** RELOAD UNDER WAY: a login that has begun before a reload, and would succeed after it: it is judged by the settings of then, and its
 *  peer is told what they ask for. Raw clients, real services. */
import { join } from 'node:path';
import { hashSync } from '@node-rs/argon2';
import t, { type Test } from 'tap';
import { ConfiguredServer, TunnelServer } from '../../src/index.js';
import type { AuthMethod } from '../../src/shared/identity.js';
import { MSG, WireReader } from '../../src/shared/protocol.js';
import { serveAsking } from '../support/asking_server.js';
import { deferred } from '../support/deadline.js';
import { passwordRequest, type RawClient, rawClient } from '../support/raw_client.js';
import { tempDir } from '../support/temp.js';
import { codeNow, URI, writeTotp } from '../support/totp.js';
import { startWebhook } from '../support/webhook_service.js';
import { interactive, none, response } from '../worker/auth/client.js';

const PASSWORD = 'a password';
const HASH = hashSync(PASSWORD, { memoryCost: 1024, timeCost: 1, parallelism: 1 });
const CODE_NEXT = 'keyboard-interactive, partial success';
const ALL: readonly AuthMethod[] = ['publickey', 'password', 'keyboard-interactive'];

/** What the server says next of the login. */
async function said(client: RawClient): Promise<string> {
  const payload = await client.takeFirst([MSG.USERAUTH_SUCCESS, MSG.USERAUTH_FAILURE, MSG.USERAUTH_INFO_REQUEST]);
  if (payload[0] === MSG.USERAUTH_SUCCESS) return 'in';
  const reader = new WireReader(payload, 1);
  const text = reader.text();
  if (payload[0] === MSG.USERAUTH_INFO_REQUEST) return 'question';
  return reader.boolean() ? `${text}, partial success` : text;
}
async function ask(client: RawClient, payload: Buffer): Promise<string> {
  client.send(payload);
  return await said(client);
}

/** A server with a user who has a password and a code. */
async function serve(t: Test, methods: readonly AuthMethod[]) {
  const users = { alice: { password: HASH, totp: writeTotp(join(tempDir(t), 'totp')) } };
  const served = await serveAsking(t, ConfiguredServer, null, { users, auth: { methods: [...methods] } });
  const failed: unknown[] = [];
  served.server.on('auth', (event) => event.event === 'auth.failed' && failed.push(event.reason));
  const atQuestion = async (): Promise<RawClient> => {
    const client = rawClient(t, served.endpoint);
    await client.refusedLogin('alice', { password: 'another one' }); // gets it past the service request
    t.equal(await ask(client, passwordRequest('alice', PASSWORD)), CODE_NEXT);
    t.equal(await ask(client, interactive('alice')), 'question');
    failed.length = 0;
    return client;
  };
  return { ...served, failed, atQuestion };
}

t.test('a webhook that comes while the code is typed is asked', async (t) => {
  const { server, options, failed, atQuestion } = await serve(t, ['password']);
  const client = await atQuestion();
  const service = await startWebhook(t, () => ({ allow: true }));
  await server.reload({ ...options, auth: { ...options.auth, webhook: { url: service.url } } });
  t.equal(await ask(client, response(codeNow())), 'password', 'told afresh');
  t.strictSame(failed, ['SETTINGS_CHANGED']);
  t.equal(service.asked.length, 0);
  t.equal(await ask(client, interactive('alice')), 'password', 'the code is none of a first factor');
  t.equal(await ask(client, passwordRequest('alice', PASSWORD)), CODE_NEXT);
  t.equal(service.asked.length, 1);
  t.equal(await ask(client, interactive('alice')), 'question');
  t.equal(await ask(client, response(codeNow(URI, 1))), 'in');
});

t.test('another webhook is asked too, where the one before has not answered yet', async (t) => {
  const [asked, reloaded] = [deferred<void>(), deferred<void>()];
  const { server, options, endpoint } = await serveAsking(t, ConfiguredServer, async () => {
    asked.resolve();
    await reloaded.promise;
    return { allow: true };
  });
  const client = rawClient(t, endpoint);
  const refused = client.refusedLogin('zoe', { password: 'x' });
  const unasked = refused.then(() => Promise.reject(new Error('refused before the service was asked')));
  await Promise.race([asked.promise, unasked]);
  const other = await startWebhook(t, () => ({ allow: true }));
  await server.reload({ ...options, auth: { webhook: { url: other.url } } });
  reloaded.resolve();
  await refused;
  t.equal(other.asked.length, 0);
  t.equal(await ask(client, passwordRequest('zoe', 'x')), 'in');
  t.equal(other.asked.length, 1);
});

t.test('methods that become stricter hold for whoever is about to log in', async (t) => {
  for (const [name, now, isIn, list] of [
    ['the same', ['password'], true, ''],
    ['one more to choose from', ALL, true, ''],
    ['a key in its place', ['publickey'], false, 'publickey'],
  ] as const)
    await t.test(name, async (t) => {
      const { server, options, failed, atQuestion, endpoint } = await serve(t, ['password']);
      const [client, early] = [await atQuestion(), rawClient(t, endpoint)];
      await early.refusedLogin('alice', { password: 'another one' });
      failed.length = 0;
      await server.reload({ ...options, auth: { ...options.auth, methods: [...now] } });
      t.equal(await ask(client, response(codeNow())), isIn ? 'in' : list);
      t.strictSame(failed, isIn ? [] : ['METHOD_NOT_ALLOWED']);
      const open = await ask(early, none('alice'));
      t.equal(open, now.join(','), 'who has proven nothing is told at the next try');
    });
});

t.test('a program whose hooks decide: its peers are asked by the methods of now', async (t) => {
  class Open extends TunnelServer {
    override checkAuthPassword(): boolean {
      return true;
    }
  }
  const options = { listen: ['127.0.0.1:0'], stateDir: join(tempDir(t), 'state'), log: { level: 'silent' } } as const;
  const server = new Open({ ...options, auth: { methods: ['password'] } });
  const [address] = await server.listen();
  t.teardown(() => server.close({ now: true }));
  const client = rawClient(t, { host: '127.0.0.1', port: address?.kind === 'tcp' ? address.port : 0 });
  await client.refusedLogin('alice', { password: '' });
  await server.reload({ ...options, auth: { methods: ['publickey'] } });
  t.equal(await ask(client, passwordRequest('alice', 'x')), 'publickey');
});
