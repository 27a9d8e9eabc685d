/** OVERRIDES: what a subclass of ConfiguredServer makes of an answer, and what it cannot lose by that: what a webhook has left of the
 *  rights, and the second factor of whoever's credential it was. Raw clients, a real service, real codes. */
import { join } from 'node:path';
import { hashSync } from '@node-rs/argon2';
import t, { type Test } from 'tap';
import { ConfiguredServer, type Identity, type LoginAnswer } from '../../src/index.js';
import type { Peer, PublicKeyInfo } from '../../src/shared/identity.js';
import { MSG, OPEN_FAILURE } from '../../src/shared/protocol.js';
import { type ConfiguredOptions, serveAsking } from '../support/asking_server.js';
import { loginBy } from '../support/key_login.js';
import { directOpen, openDirectChannel, openRefusal, type RawClient, rawClient } from '../support/raw_client.js';
import { startEcho } from '../support/targets.js';
import { tempDir } from '../support/temp.js';
import { codeNow, OTHER_URI, URI, writeTotp, wrongCode } from '../support/totp.js';
import { interactive, response } from '../worker/auth/client.js';
import { ed25519 } from '../worker/auth/keys.js';

type Asked<C> = [username: string, credential: C, peer: Peer, signal: AbortSignal, soFar: Identity | null];
type Override = (answer: LoginAnswer) => LoginAnswer;

/** A server whose hooks make something else of each yes. */
function overriding(override: Override): new (options: ConfiguredOptions) => ConfiguredServer {
  const over = (answer: LoginAnswer): LoginAnswer => (answer === false ? false : override(answer));
  return class extends ConfiguredServer {
    override async checkAuthPassword(...asked: Asked<string>): Promise<LoginAnswer> {
      return over(await super.checkAuthPassword(...asked));
    }
    override async checkAuthPublicKey(...asked: Asked<PublicKeyInfo>): Promise<LoginAnswer> {
      return over(await super.checkAuthPublicKey(...asked));
    }
  };
}

const PASSWORD = 'a password';
const HASH = hashSync(PASSWORD, { memoryCost: 1024, timeCost: 1, parallelism: 1 });

t.test(
  'a password: what the webhook has left of the rights holds, whatever an override makes of the answer',
  async (t) => {
    const [mine, other] = [await startEcho(t), await startEcho(t)];
    const users = { alice: { password: HASH, permitOpen: ['localhost:*'] } };
    const service = () => ({ allow: true, permitOpen: [`localhost:${mine.port}`], limits: { channels: 1 }, ttl: '1h' });
    const kept: Override = (answer) => ({ ...Object(answer), user: 'team' });
    for (const [name, override, user] of [
      ['a plain yes', () => true, 'alice'],
      ['an identity made of what super says', kept, 'team'],
    ] as const)
      await t.test(name, async (t) => {
        const { server, endpoint } = await serveAsking(t, overriding(override), service, { users });
        const limits = server.limits.bind(server);
        const seen: number[] = [];
        server.limits = (identity) => {
          const given = limits(identity);
          seen.push(given.expiresAtMs ?? 0);
          return given;
        };
        const startMs = Date.now();
        const client = rawClient(t, endpoint);
        const succeeded = new Promise((resolve) => server.on('auth', (event) => resolve(event)));
        await client.login('alice', { password: PASSWORD });
        t.match(await succeeded, { event: 'auth.succeeded', user });
        t.ok((seen[0] ?? 0) >= startMs + 3_600_000 && (seen[0] ?? 0) < startMs + 7_200_000, `${seen[0]}`);
        client.send(directOpen(other.port, { id: 1 }));
        t.match(await openRefusal(client, 1), { reason: OPEN_FAILURE.ADMINISTRATIVELY_PROHIBITED });
        await openDirectChannel(client, mine.port, { id: 2 });
        client.send(directOpen(mine.port, { id: 3 }));
        t.match(await openRefusal(client, 3), { reason: OPEN_FAILURE.RESOURCE_SHORTAGE });
      });
    await t.test('an identity of its own', async (t) => {
      const { server, endpoint } = await serveAsking(
        t,
        overriding(() => ({ user: 'alice' })),
        service,
        { users },
      );
      const failed = new Promise((resolve) => server.on('auth', (event) => resolve(event)));
      await rawClient(t, endpoint).refusedLogin('alice', { password: PASSWORD });
      t.match(await failed, { reason: 'HOOK_FAILED', detail: /^checkAuthPassword: lost what the credential permits/ });
    });
  },
);

const KEY = ed25519();
const [BY_KEY, BY_PASSWORD] = [[`${KEY.type} ${KEY.blob.toString('base64')}`], HASH];

/** The first factor, up to the server's answer: true is a login. */
const WAYS = {
  password: async (client: RawClient) => {
    await client.refusedLogin('alice', { password: PASSWORD }); // a partial success, or none
  },
  publickey: async (client: RawClient) => {
    const shown = { algorithm: KEY.type, blob: KEY.blob, sign: (data: Buffer) => KEY.sign(data) };
    if (await loginBy(client, 'alice', shown)) throw new Error('the key alone was enough');
  },
} as const;

async function typeCode(client: RawClient, code: string): Promise<'in' | 'refused'> {
  client.send(interactive('alice'));
  await client.take(MSG.USERAUTH_INFO_REQUEST);
  client.send(response(code));
  const [type] = await client.takeFirst([MSG.USERAUTH_SUCCESS, MSG.USERAUTH_FAILURE]);
  return type === MSG.USERAUTH_SUCCESS ? 'in' : 'refused';
}

t.test('another name does not spare the second factor of whose credential it was', async (t) => {
  const totp = (t: Test, uri?: string) => ({ totp: writeTotp(join(tempDir(t), 'totp'), uri) });
  const rename: Override = (answer) => ({ ...Object(answer), user: 'team' });
  for (const way of ['password', 'publickey'] as const)
    for (const [whose, uri] of [
      ['alice', URI],
      ['team', OTHER_URI],
    ] as const)
      await t.test(`${way}, a code of ${whose}`, async (t) => {
        const [alice, team] = whose === 'alice' ? [totp(t, uri), {}] : [{}, totp(t, uri)];
        const users = { alice: { authorizedKeys: BY_KEY, password: BY_PASSWORD, ...alice }, team };
        const { server, endpoint } = await serveAsking(t, overriding(rename), null, { users });
        const told: string[] = [];
        server.on('auth', ({ event, user }) => event !== 'auth.weakHash' && told.push(`${event} ${user}`));
        const client = rawClient(t, endpoint);
        await WAYS[way](client);
        t.equal(await typeCode(client, wrongCode(uri)), 'refused');
        t.equal(await typeCode(client, codeNow(uri)), 'in');
        t.same(told, ['auth.partial team', 'auth.failed alice', 'auth.succeeded team']);
      });
});

t.test('a webhook and a code: both have to say yes, and what the webhook left holds behind the code', async (t) => {
  const [mine, other] = [await startEcho(t), await startEcho(t)];
  const totp = writeTotp(join(tempDir(t), 'totp'));
  const users = { alice: { password: HASH, permitOpen: ['localhost:*'], totp } };
  const yes = { allow: true, permitOpen: [`localhost:${mine.port}`], limits: { channels: 1 } };
  const { server, service, endpoint } = await serveAsking(t, ConfiguredServer, () => yes, { users });
  const failed: unknown[] = [];
  server.on('auth', (event) => event.event === 'auth.failed' && failed.push(event.reason));
  const code = codeNow();
  const [first, second] = [rawClient(t, endpoint), rawClient(t, endpoint)];
  for (const client of [first, second]) await WAYS.password(client);
  t.equal(await typeCode(first, wrongCode()), 'refused');
  t.equal(await typeCode(first, code), 'in');
  first.send(directOpen(other.port, { id: 1 }));
  t.match(await openRefusal(first, 1), { reason: OPEN_FAILURE.ADMINISTRATIVELY_PROHIBITED });
  await openDirectChannel(first, mine.port, { id: 2 });
  first.send(directOpen(mine.port, { id: 3 }));
  t.match(await openRefusal(first, 3), { reason: OPEN_FAILURE.RESOURCE_SHORTAGE });
  t.equal(await typeCode(second, code), 'refused', 'the webhook has said yes, and the code was used');
  t.same(failed, ['CODE_WRONG', 'CODE_REPLAYED']);
  t.match(
    service.asked.map(({ body }) => [body.method, body.checked, body.password]),
    [
      ['password', true, undefined],
      ['password', true, undefined],
    ],
    'a code is none of its business',
  );
  service.answer = () => ({ allow: false });
  const refused = rawClient(t, endpoint);
  await refused.refusedLogin('alice', { password: PASSWORD });
  refused.send(interactive('alice'));
  const asked = await refused.take(MSG.USERAUTH_INFO_REQUEST);
  t.match(asked.toString('latin1'), /Password: /, 'who was not let in is asked for no code');
});
