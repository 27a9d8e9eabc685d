/** WEBHOOK in the library: a ConfiguredServer and what is made of it, in this process, with a real service and raw clients. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import {
  type AuthChain,
  ConfiguredServer,
  type Identity,
  type LoginAnswer,
  startCluster,
  TunnelServer,
} from '../../src/index.js';
import type { Destination, Origin, Peer } from '../../src/shared/identity.js';
import { MSG, OPEN_FAILURE } from '../../src/shared/protocol.js';
import { fingerprint as fingerprintOf } from '../../src/worker/auth/public_key.js';
import { serveAsking } from '../support/asking_server.js';
import { deferred } from '../support/deadline.js';
import { loginBy } from '../support/key_login.js';
import { handlerUrl, logins } from '../support/library.js';
import { need } from '../support/programs.js';
import { directOpen, openDirectChannel, openRefusal, passwordRequest, rawClient } from '../support/raw_client.js';
import { startEcho } from '../support/targets.js';
import { tempDir } from '../support/temp.js';
import { writeTotp } from '../support/totp.js';
import { certify } from '../worker/auth/certificates.js';
import { ed25519 } from '../worker/auth/keys.js';

t.test('several methods in a row: each is asked about, with those before it, and the answers add up', async (t) => {
  if (!need(t, ['ssh-keygen'])) return;
  class InARow extends ConfiguredServer {
    override getAllowedAuths(): readonly AuthChain[] {
      return ['publickey,password'];
    }
  }
  const { zoe } = await logins(t, 'zoe');
  const { server, service, endpoint } = await serveAsking(t, InARow, () => ({ allow: true }));
  const [one, two, three] = [await startEcho(t), await startEcho(t), await startEcho(t)];
  service.answer = ({ body }) =>
    body.method === 'publickey'
      ? {
          allow: true,
          user: 'team',
          permitOpen: [`localhost:${one.port},${two.port}`],
          limits: { channels: 9 },
          ttl: '1h',
        }
      : {
          allow: true,
          permitOpen: [`localhost:${two.port},${three.port}`],
          limits: { channels: 5, forwards: 3 },
          ttl: '2h',
        };
  const seen: { identity: Identity; expiresAtMs: number | undefined; channels: number; forwards: number }[] = [];
  const limits = server.limits.bind(server);
  server.limits = (identity) => {
    const given = limits(identity);
    const { expiresAtMs, channels, forwards } = given;
    seen.push({ identity, expiresAtMs, channels, forwards });
    return given;
  };
  const client = rawClient(t, endpoint);
  const startMs = Date.now();
  await client.refusedLogin('zoe', zoe); // partial success is a USERAUTH_FAILURE
  client.send(passwordRequest('zoe', 'secret'));
  await client.take(MSG.USERAUTH_SUCCESS);
  await openDirectChannel(client, two.port, { id: 1 });
  for (const [id, { port }] of [
    [2, one],
    [3, three],
  ] as const) {
    client.send(directOpen(port, { id }));
    t.match(await openRefusal(client, id), { reason: OPEN_FAILURE.ADMINISTRATIVELY_PROHIBITED });
  }
  const fingerprint = /^SHA256:/;
  t.match(
    service.asked.map(({ body }) => [body.method, body.verified, body.before]),
    [
      ['publickey', false, []],
      ['publickey', true, []],
      ['password', undefined, [{ method: 'publickey', fingerprint }]],
    ],
  );
  t.match(seen, [{ identity: { user: 'team', fingerprint }, channels: 5, forwards: 3 }]);
  const leftMs = (seen[0]?.expiresAtMs ?? 0) - startMs;
  t.ok(leftMs >= 3_600_000 && leftMs < 7_200_000, `${leftMs}`);
});

t.test('a certificate of a CA of the config: the service is told of it, and has to say yes too', async (t) => {
  const [ca, stranger, key] = [ed25519(), ed25519(), ed25519()];
  const line = `cert-authority ${ca.type} ${ca.blob.toString('base64')}`;
  const users = { ann: { authorizedKeys: [line] } };
  const { service, endpoint } = await serveAsking(t, ConfiguredServer, () => ({ allow: true }), { users });
  const enter = (blob: Buffer): Promise<boolean> =>
    loginBy(rawClient(t, endpoint), 'ann', {
      algorithm: 'ssh-ed25519-cert-v01@openssh.com',
      blob,
      sign: (data) => key.sign(data),
    });
  const blob = certify(key, ca, { principals: ['ann'], keyId: 'laptop', serial: 2n ** 63n });
  t.equal(await enter(blob), true);
  const asked = service.asked.map(({ body }) => body);
  const certificate = { keyId: 'laptop', serial: '9223372036854775808', caFingerprint: fingerprintOf(ca.blob) };
  t.match(asked, [{ method: 'publickey', checked: true, key: { fingerprint: fingerprintOf(key.blob) }, certificate }]);
  t.equal(asked.length, 1);
  t.equal(await enter(certify(key, ca, { principals: ['bob'] })), false);
  t.equal(await enter(certify(key, stranger, { principals: ['ann'] })), false);
  t.equal(service.asked.length, 1, 'what the config does not let in is not asked about');
  service.answer = () => ({ allow: false });
  t.equal(await enter(blob), false);
});

t.test('a subclass that hands on the identity keeps what the service said of it', async (t) => {
  interface Member extends Identity {
    readonly team: string;
  }
  class Teams extends ConfiguredServer {
    readonly seen: Identity[] = [];
    override async checkAuthPassword(
      ...args: [string, string, Peer, AbortSignal, Identity | null]
    ): Promise<LoginAnswer> {
      const answer = await super.checkAuthPassword(...args);
      if (typeof answer === 'boolean') return answer;
      const member: Member = { ...answer, team: 'red' };
      return member;
    }
    override checkDirect(origin: Origin, destination: Destination, identity: Identity, signal: AbortSignal) {
      this.seen.push(identity);
      return super.checkDirect(origin, destination, identity, signal);
    }
  }
  const [mine, other] = [await startEcho(t), await startEcho(t)];
  const answer = () => ({ allow: true, permitOpen: [`localhost:${mine.port}`] });
  const { server, endpoint } = await serveAsking(t, Teams, answer);
  const client = rawClient(t, endpoint);
  await client.login('zoe', { password: 'x' });
  await openDirectChannel(client, mine.port, { id: 1 });
  client.send(directOpen(other.port, { id: 2 }));
  t.match(await openRefusal(client, 2), { reason: OPEN_FAILURE.ADMINISTRATIVELY_PROHIBITED });
  t.match(server.seen, [
    { user: 'zoe', team: 'red' },
    { user: 'zoe', team: 'red' },
  ]);
});

t.test('a reload: sessions that the service alone let in end with its say in them', async (t) => {
  if (!need(t, ['ssh-keygen'])) return;
  const { alice, zoe } = await logins(t, 'alice', 'zoe');
  const line = (keyFile: string): string => readFileSync(`${keyFile}.pub`, 'utf8').trim();
  const users = { alice: { authorizedKeys: [line(alice.keyFile)] } };
  for (const [name, change, zoeStays, yvesStays] of [
    ['nothing changes', {}, true, true],
    ['another url', { auth: { webhook: { url: 'http://127.0.0.1:1/' } } }, true, true],
    ['zoe is written down, without credentials', { users: { ...users, zoe: {} } }, true, true],
    ['zoe gets another key', { users: { ...users, zoe: { authorizedKeys: [line(alice.keyFile)] } } }, false, true],
    ['zoe gets none', { users: { ...users, zoe: { authorizedKeys: [] } } }, false, true],
    ['keys for everybody', { defaults: { authorizedKeys: [] } }, false, false],
    ['no webhook', { auth: {} }, false, false],
  ] as const)
    await t.test(name, async (t) => {
      const { server, options, endpoint } = await serveAsking(
        t,
        ConfiguredServer,
        () => ({ allow: true, user: 'team' }),
        {
          users,
        },
      );
      const [known, byKey, byPassword] = [rawClient(t, endpoint), rawClient(t, endpoint), rawClient(t, endpoint)];
      await known.login('alice', alice);
      await byKey.login('zoe', zoe);
      await byPassword.login('yves', { password: 'x' });
      await server.reload({ ...options, ...change });
      await known.roundTrip();
      for (const [client, stays] of [
        [byKey, zoeStays],
        [byPassword, yvesStays],
      ] as const) {
        if (stays) await client.roundTrip();
        else t.match(await client.ended, { text: 'access was withdrawn' });
      }
    });
});

t.test('a reload: a name that the service gave becomes a user, and whoever had it must log in anew', async (t) => {
  const { server, options, endpoint } = await serveAsking(t, ConfiguredServer, ({ body }) =>
    body.user === 'zoe' ? { allow: true, user: 'team' } : { allow: true },
  );
  const [zoe, yves] = [rawClient(t, endpoint), rawClient(t, endpoint)];
  await zoe.login('zoe', { password: 'x' });
  await yves.login('yves', { password: 'x' });
  await server.reload({ ...options, users: { team: { authorizedKeys: [] } } });
  t.match(await zoe.ended, { text: 'access was withdrawn' });
  await yves.roundTrip();
  const failed = new Promise((resolve) => server.on('auth', (event) => resolve(event)));
  await rawClient(t, endpoint).refusedLogin('zoe', { password: 'x' });
  t.match(await failed, { reason: 'WEBHOOK_FAILED', detail: /team, who is another one of the config/ });
});

t.test('a reload: an answer that was asked for before it cannot name one of its users', async (t) => {
  const asked = deferred<void>();
  const reloaded = deferred<void>();
  const { server, options, endpoint } = await serveAsking(t, ConfiguredServer, async () => {
    asked.resolve();
    await reloaded.promise;
    return { allow: true, user: 'team' };
  });
  const login = rawClient(t, endpoint).refusedLogin('zoe', { password: 'x' });
  await asked.promise;
  await server.reload({ ...options, users: { team: { authorizedKeys: [] } } });
  reloaded.resolve();
  await login;
});

t.test('a reload: tunnels of whom the service let in go by the defaults of now', async (t) => {
  const [one, two] = [await startEcho(t), await startEcho(t)];
  const { server, options, endpoint } = await serveAsking(t, ConfiguredServer, () => ({ allow: true, user: 'team' }));
  const client = rawClient(t, endpoint);
  await client.login('zoe', { password: 'x' });
  const [first, second] = [
    await openDirectChannel(client, one.port, { id: 1 }),
    await openDirectChannel(client, two.port, { id: 2 }),
  ];
  t.ok(first && second);
  await server.reload({ ...options, defaults: { permitOpen: [`localhost:${two.port}`] } });
  await client.take(MSG.CHANNEL_CLOSE, (payload) => payload.readUInt32BE(1) === 1);
  client.send(directOpen(one.port, { id: 3 }));
  t.match(await openRefusal(client, 3), { reason: OPEN_FAILURE.ADMINISTRATIVELY_PROHIBITED });
  await openDirectChannel(client, two.port, { id: 4 });
  t.notOk(client.untaken.includes(MSG.CHANNEL_CLOSE));
});

t.test('another name brings no other rights: those of the name that was given hold', async (t) => {
  if (!need(t, ['ssh-keygen'])) return;
  const { alice } = await logins(t, 'alice');
  const [hers, others] = [await startEcho(t), await startEcho(t)];
  const authorizedKeys = [readFileSync(`${alice.keyFile}.pub`, 'utf8').trim()];
  const users = { alice: { authorizedKeys, permitOpen: [`localhost:${hers.port}`], limits: { channels: 1 } } };
  const defaults = { permitOpen: [`localhost:${others.port}`] };
  const answer = () => ({ allow: true, user: 'team', limits: { channels: 1000 } });
  const { endpoint } = await serveAsking(t, ConfiguredServer, answer, { users, defaults });
  const client = rawClient(t, endpoint);
  await client.login('alice', alice);
  client.send(directOpen(others.port, { id: 1 }));
  t.match(await openRefusal(client, 1), { reason: OPEN_FAILURE.ADMINISTRATIVELY_PROHIBITED });
  await openDirectChannel(client, hers.port, { id: 2 });
  client.send(directOpen(hers.port, { id: 3 }));
  t.match(await openRefusal(client, 3), { reason: OPEN_FAILURE.RESOURCE_SHORTAGE });
  const stranger = rawClient(t, endpoint);
  await stranger.login('zoe', { password: 'x' });
  stranger.send(directOpen(hers.port, { id: 1 }));
  t.match(await openRefusal(stranger, 1), { reason: OPEN_FAILURE.ADMINISTRATIVELY_PROHIBITED });
  await openDirectChannel(stranger, others.port, { id: 2 });
});

t.test('another name does not spare the second factor', async (t) => {
  if (!need(t, ['ssh-keygen'])) return;
  const { alice } = await logins(t, 'alice');
  const authorizedKeys = [readFileSync(`${alice.keyFile}.pub`, 'utf8').trim()];
  const users = { alice: { authorizedKeys, totp: writeTotp(join(tempDir(t), 'alice.totp')) } };
  const { server, endpoint } = await serveAsking(t, ConfiguredServer, () => ({ allow: true, user: 'team' }), { users });
  const told: string[] = [];
  server.on('auth', ({ event, user }) => told.push(`${event} ${user}`));
  await rawClient(t, endpoint).refusedLogin('alice', alice);
  t.same(told, ['auth.partial team']);
});

t.test('a server that is closed asks nobody, keeps no connection, and may listen again', async (t) => {
  const { server, service, endpoint } = await serveAsking(t, ConfiguredServer, () => ({ allow: true }));
  await rawClient(t, endpoint).login('zoe', { password: 'x' });
  const [kept] = service.open;
  t.ok(kept);
  const gone = new Promise((resolve) => kept?.once('close', resolve));
  await server.close({ now: true });
  await gone;
  const [address] = await server.listen();
  const port = address?.kind === 'tcp' ? address.port : 0;
  await rawClient(t, { host: '127.0.0.1', port }).login('zoe', { password: 'x' });
});

t.test('a server whose hooks decide would never ask: that is a mistake, and no silence', async (t) => {
  class Own extends TunnelServer {
    override checkAuthPassword(): boolean {
      return true;
    }
  }
  const options = {
    listen: ['127.0.0.1:0'],
    stateDir: join(tempDir(t), 'state'),
    log: { level: 'silent' },
    auth: { webhook: { url: 'http://127.0.0.1:1/' } },
  } as const;
  const error = { message: /auth\.webhook: here the hooks decide, and nobody would ask it; ConfiguredServer does/ };
  await t.rejects(new Own(options).listen(), { code: 'CONFIG_INVALID', ...error });
  const { auth, ...without } = options;
  const server = new Own(without);
  await server.listen();
  t.teardown(() => server.close({ now: true }));
  await t.rejects(server.reload({ ...without, auth }), { code: 'CONFIG_INVALID', ...error });
  const cluster = { ...options, handler: handlerUrl('shell'), workers: 1, signals: false };
  await t.rejects(startCluster(cluster), error);
});
