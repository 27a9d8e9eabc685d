/** WEBHOOK: a login service decides, seen through OpenSSH and raw clients: whom it lets in, what is left of their rights, what
 *  it is told, and that whatever is no plain yes lets nobody in and tells the peer nothing. */
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import t, { type Test } from 'tap';
import { DISCONNECT, OPEN_FAILURE } from '../../src/shared/protocol.js';
import { exchange } from '../support/bytes.js';
import { deferred, within } from '../support/deadline.js';
import { flow, ONE_AND_TWO_WORKERS } from '../support/flow.js';
import { directOpen, openDirectChannel, openRefusal, rawClient } from '../support/raw_client.js';
import { BOB_PASSWORD, type Login, makeLogin, type Sallyport, startSallyport } from '../support/server.js';
import { spoken, sshRun, tunnel } from '../support/ssh.js';
import { connect, freePort, startEcho } from '../support/targets.js';
import { tempDir } from '../support/temp.js';
import {
  type Asked,
  raw,
  type Service,
  selfSigned,
  startWebhook,
  type WebhookService,
} from '../support/webhook_service.js';
import { type KeyFile, makeKeyFile, signByKeygen } from '../worker/auth/certificates.js';

const PASSWORD = 'Tr0ub4dor "&" 3';
const TOKEN = 'token-of-the-test';
const BY_PASSWORD = [
  '-o',
  'BatchMode=no',
  '-o',
  'NumberOfPasswordPrompts=1',
  '-o',
  'PreferredAuthentications=password',
];
const withPassword = (password: string) => ({ program: ['sshpass', '-p', password, 'ssh'] });
/** A login that came through: there is no shell, which ends ssh with 1. */
const IN = 1;
const REFUSED = 255;

interface Setting {
  readonly server: Sallyport;
  readonly service: WebhookService;
  /** A key that the config does not know. */
  readonly zoe: Login;
  /** What the service was asked since the last call. */
  readonly questions: () => Asked[];
}

async function start(t: Test, workers: number, answer: Service, more: Record<string, unknown> = {}): Promise<Setting> {
  const dir = tempDir(t);
  const service = await startWebhook(t, answer);
  const tokenFile = join(dir, 'token');
  writeFileSync(tokenFile, `${TOKEN}\n`, { mode: 0o600 });
  const server = await startSallyport(t, {
    workers,
    withPassword: true,
    config: {
      auth: { webhook: { url: service.url, tokenFile, timeout: '3s', ...more } },
      defaults: { permitOpen: ['localhost:*'], permitListen: ['localhost:*'], limits: { channels: 50 } },
      penalties: false,
    },
  });
  let seen = 0;
  return {
    server,
    service,
    zoe: await makeLogin(t, dir, 'zoe'),
    questions: () => {
      const from = seen;
      seen = service.asked.length;
      return service.asked.slice(from);
    },
  };
}

const ALLOW: Service = () => ({ allow: true });
const NEEDS = ['ssh', 'ssh-keygen', 'sshpass'] as const;

flow(t, 'webhook', { needs: NEEDS, workers: ONE_AND_TWO_WORKERS }, async (t, workers) => {
  const { server, service, zoe, questions } = await start(t, workers, ALLOW);
  const { alice, bob } = server;
  const login = async (login: Login, args: readonly string[] = []) => await sshRun(t, server, login, args);
  // By its reason: the log is a moment behind, and one of an earlier login may come after the mark.
  const refusalIn = async (from: number, reason: 'WEBHOOK_DENIED' | 'WEBHOOK_FAILED') =>
    await server.events.wait('auth.failed', { reason }, from);

  await t.test(
    'a key that the config does not know: asked about the offer, and again when it has signed',
    async (t) => {
      questions();
      const from = server.events.mark();
      t.equal((await login(zoe)).code, IN);
      const event = await server.events.wait('auth.succeeded', { user: 'zoe' }, from);
      const [offer, signed, ...rest] = questions();
      t.same(rest, []);
      const key = {
        type: 'ssh-ed25519',
        algorithm: 'ssh-ed25519',
        fingerprint: event.fingerprint,
        line: /^ssh-ed25519 AAAA\S+$/,
      };
      const peer = { address: '127.0.0.1', port: Number };
      const about = { version: 1, user: 'zoe', peer, method: 'publickey', checked: false, key, before: [] };
      t.match(offer?.body, { ...about, verified: false });
      t.match(signed?.body, { ...about, verified: true });
      t.equal(signed?.headers.authorization, `Bearer ${TOKEN}`);
      t.same(Object.keys(signed?.body ?? {}).sort(), [
        'before',
        'checked',
        'key',
        'method',
        'peer',
        'user',
        'verified',
        'version',
      ]);
    },
  );

  await t.test('a yes to the offer alone lets nobody in', async (t) => {
    service.answer = ({ body }) => ({ allow: body.verified === false, reason: 'not today' });
    questions();
    const from = server.events.mark();
    const outcome = await login(zoe);
    t.match(outcome, { code: REFUSED, stderr: /Permission denied/ });
    t.notMatch(outcome.stderr, /not today/);
    t.equal(questions().length, 2);
    t.match(await refusalIn(from, 'WEBHOOK_DENIED'), { user: 'zoe', detail: 'auth.webhook: not today' });
    t.same(server.events.list('auth.succeeded', {}, from), []);
  });

  await t.test('a no to the offer costs one question a key', async (t) => {
    service.answer = () => ({ allow: false });
    questions();
    const from = server.events.mark();
    t.equal((await login(zoe)).code, REFUSED);
    await refusalIn(from, 'WEBHOOK_DENIED');
    t.same(
      questions().map(({ body }) => body.verified),
      [false],
    );
  });

  await t.test('a password that the config does not know goes to the service, and never into the log', async (t) => {
    service.answer = ({ body }) => ({ allow: body.password === PASSWORD, reason: `so: ${body.password}` });
    questions();
    t.equal((await sshRun(t, server, zoe, BY_PASSWORD, [], withPassword(PASSWORD))).code, IN);
    t.match(
      questions().map(({ body }) => body),
      [{ user: 'zoe', method: 'password', checked: false, password: PASSWORD }],
    );
    const from = server.events.mark();
    await rawClient(t, server).refusedLogin('zoe', { password: 'wrong "horse"' });
    t.match(await refusalIn(from, 'WEBHOOK_DENIED'), {
      detail: 'auth.webhook: what it said is not shown: it repeats a secret',
    });
  });

  await t.test('what the config knows is checked first: one question, and no password in it', async (t) => {
    service.answer = ALLOW;
    questions();
    t.equal((await login(alice)).code, IN);
    t.match(
      questions().map(({ body }) => body),
      [{ user: 'alice', method: 'publickey', checked: true, verified: true }],
    );
    t.equal((await sshRun(t, server, bob, BY_PASSWORD, [], withPassword(BOB_PASSWORD))).code, IN);
    const [asked, ...rest] = questions();
    t.match(asked?.body, { user: 'bob', method: 'password', checked: true });
    t.notOk(Object.hasOwn(asked?.body ?? {}, 'password'));
    t.same(rest, []);
  });

  await t.test('and the service has no say where the config says no', async (t) => {
    questions();
    t.equal((await login({ ...zoe, name: 'alice' })).code, REFUSED);
    t.equal((await sshRun(t, server, alice, BY_PASSWORD, [], withPassword(PASSWORD))).code, REFUSED);
    t.equal((await sshRun(t, server, bob, BY_PASSWORD, [], withPassword(PASSWORD))).code, REFUSED);
    t.same(questions(), []);
  });

  await t.test('but its no holds for everybody', async (t) => {
    service.answer = () => ({ allow: false, reason: 'on leave' });
    const from = server.events.mark();
    t.equal((await login(alice)).code, REFUSED);
    t.match(await refusalIn(from, 'WEBHOOK_DENIED'), { user: 'alice', detail: 'auth.webhook: on leave' });
  });

  await t.test('rights: what the config gives and the service leaves of it', async (t) => {
    const [one, two] = [await startEcho(t), await startEcho(t)];
    const [mine, other] = [await freePort(), await freePort()];
    for (const who of [alice, zoe]) {
      service.answer = () => ({
        allow: true,
        permitOpen: [`localhost:${one.port}`, '192.0.2.1:*'],
        permitListen: [`localhost:${mine}`],
      });
      const [through, blocked] = [await freePort(), await freePort()];
      const from = server.events.mark();
      const { client } = await tunnel(t, server, who, [
        ...['-L', `${through}:localhost:${one.port}`, '-L', `${blocked}:localhost:${two.port}`],
        ...['-R', `localhost:${mine}:localhost:${one.port}`],
      ]);
      for (const port of [through, mine]) {
        const { sent, received } = await exchange(await connect(t, port), `${who.name} ${port}`, 1000);
        t.same(received, sent);
      }
      (await connect(t, blocked)).end('x');
      const refused = await server.events.wait('channel.refused', { user: who.name }, from);
      t.match(refused, { destination: `localhost:${two.port}`, reason: 'PROTECTED_DESTINATION' });
      t.match(String(refused.detail), /auth\.webhook/);
      await client.stop('SIGTERM');

      const outcome = await sshRun(t, server, who, ['-N', '-R', `localhost:${other}:localhost:1`]);
      t.match(outcome, { code: REFUSED, stderr: /remote port forwarding failed/ });
      t.match(await server.events.wait('forward.refused', { user: who.name }, from), {
        reason: 'POLICY_DENIED',
        detail: /auth\.webhook/,
      });
    }
    service.answer = () => ({ allow: true, permitOpen: ['*:*', '192.0.2.1:80'], permitListen: [] });
    const client = rawClient(t, server);
    await client.login('zoe', zoe);
    client.send(directOpen(one.port));
    t.match(
      await openRefusal(client, 0),
      { reason: OPEN_FAILURE.ADMINISTRATIVELY_PROHIBITED },
      '* covers nothing protected',
    );
    client.send(directOpen(80, { id: 1, host: '192.0.2.1' }));
    t.match(
      await openRefusal(client, 1),
      { reason: OPEN_FAILURE.ADMINISTRATIVELY_PROHIBITED },
      'it cannot widen the config',
    );
  });

  await t.test('limits: the smaller', async (t) => {
    const echo = await startEcho(t);
    service.answer = () => ({ allow: true, limits: { channels: 2, connections: 1 } });
    const client = rawClient(t, server);
    await client.login('zoe', zoe);
    for (const id of [0, 1]) await openDirectChannel(client, echo.port, { id });
    client.send(directOpen(echo.port, { id: 2 }));
    t.match(await openRefusal(client, 2), { reason: OPEN_FAILURE.RESOURCE_SHORTAGE });
    const second = rawClient(t, server);
    await second.login('zoe', zoe);
    t.match(await second.ended, { text: 'too many connections of this user' });
    client.socket.destroy();

    service.answer = () => ({ allow: true, limits: { channels: 1000 } });
    const wide = rawClient(t, server);
    await wide.login('yvonne', zoe);
    for (let id = 0; id < 50; id++) await openDirectChannel(wide, echo.port, { id });
    wide.send(directOpen(echo.port, { id: 50 }));
    t.match(await openRefusal(wide, 50), { reason: OPEN_FAILURE.RESOURCE_SHORTAGE }, 'defaults hold');
    wide.socket.destroy();
  });

  await t.test('ttl: the session is ended then', async (t) => {
    service.answer = ({ body }) => ({ allow: true, ttl: body.user === 'zoe' ? 1 : '1h' });
    const stays = rawClient(t, server);
    await stays.login('alice', alice);
    const from = server.events.mark();
    const client = rawClient(t, server);
    await client.login('zoe', zoe);
    t.same(await client.ended, { reason: DISCONNECT.BY_APPLICATION, text: 'access has expired' });
    t.match(await server.events.wait('connection.closed', { user: 'zoe' }, from), { reason: 'EXPIRED' });
    await stays.roundTrip();
    stays.socket.destroy();
  });

  await t.test('another name: its own count, never a name of the config', async (t) => {
    service.answer = () => ({ allow: true, user: 'team-a' });
    const from = server.events.mark();
    const client = rawClient(t, server);
    await client.login('zoe', zoe);
    await server.events.wait('auth.succeeded', { user: 'team-a' }, from);
    const echo = await startEcho(t);
    await openDirectChannel(client, echo.port);
    client.socket.destroy();

    service.answer = () => ({ allow: true, user: 'bob' });
    for (const who of [zoe, alice]) {
      const mark = server.events.mark();
      t.equal((await login(who)).code, REFUSED);
      t.match(await refusalIn(mark, 'WEBHOOK_FAILED'), {
        user: who.name,
        reason: 'WEBHOOK_FAILED',
        detail: 'auth.webhook: answered with the user bob, who is another one of the config',
      });
    }
    service.answer = () => ({ allow: true, user: 'alice' });
    t.equal((await login(alice)).code, IN, 'her own name');
  });

  await t.test('whatever is no answer: nobody comes in, and all hear the same', async (t) => {
    const spokenTo = async (): Promise<string> => spoken(await login(zoe)).replaceAll(/port \d+/g, '');
    service.answer = () => ({ allow: false });
    const mark = server.events.mark();
    const denied = await spokenTo();
    await refusalIn(mark, 'WEBHOOK_DENIED');
    for (const [answer, detail] of [
      [() => ({ allow: 'yes' }), /an allow that is a text/],
      [() => ({ allow: true, admin: true }), /unknown key "admin"/],
      [() => [true], /JSON that is a list/],
      [(_asked, response) => void response.writeHead(500).end(), /answered 500, wanted 200/],
      [
        (_asked, response) => void response.writeHead(302, { location: service.url }).end(),
        /redirects are not followed/,
      ],
      [(_asked, response) => void response.writeHead(200, { 'content-type': 'text/html' }).end('<h1>'), /content type/],
      [(_asked, response) => void response.socket?.destroy(), /cannot be reached/],
      [
        (_asked, response) => raw(response, 'HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n'),
        /no answer in 3000 ms/,
      ],
    ] as readonly (readonly [Service, RegExp])[]) {
      service.answer = answer;
      const from = server.events.mark();
      t.equal(await spokenTo(), denied, String(detail));
      const event = await refusalIn(from, 'WEBHOOK_FAILED');
      t.match(event, { user: 'zoe', detail });
      t.match(String(event.detail), /^auth\.webhook: /);
    }
  });

  await t.test('a peer that leaves takes its question along', async (t) => {
    const { promise, resolve } = deferred<void>();
    service.answer = (_asked, response) => {
      response.on('close', () => resolve());
      client.socket.destroy();
      return undefined;
    };
    const client = rawClient(t, server);
    await t.rejects(client.login('zoe', zoe));
    await within(promise, 'end of the question');
  });

  await t.test('no secret has reached the log', async (t) => {
    const log = [...server.events.list('auth.failed'), ...server.events.list('auth.succeeded')].map((event) =>
      JSON.stringify(event),
    );
    t.ok(log.length > 10);
    const all = [...log, ...server.events.otherLines].join('\n');
    for (const secret of [PASSWORD, JSON.stringify(PASSWORD).slice(1, -1), TOKEN, 'horse', BOB_PASSWORD])
      t.notOk(all.includes(secret), secret);
  });
});

flow(t, 'webhook by https and by a socket', { needs: [...NEEDS, 'openssl'] }, async (t, workers) => {
  const { tls, file } = await selfSigned(t);
  const secure = await startWebhook(t, ALLOW, { tls });
  const socket = await startWebhook(t, ALLOW, { socketPath: join(tempDir(t), 'login.sock') });
  const zoe = await makeLogin(t, tempDir(t), 'zoe');
  for (const [service, env, code, questions] of [
    [socket, {}, IN, 2],
    [secure, {}, REFUSED, 0],
    [secure, { NODE_EXTRA_CA_CERTS: file }, IN, 2],
  ] as const)
    await t.test(`${service.url.split(':')[0]} ${Object.keys(env).join()}`, async (t) => {
      const before = service.asked.length;
      const server = await startSallyport(t, {
        workers,
        env,
        config: { auth: { webhook: { url: service.url } }, log: { level: 'debug', format: 'json' } },
      });
      t.equal((await sshRun(t, server, zoe, [])).code, code);
      t.equal(service.asked.length - before, questions);
      if (code === REFUSED)
        t.match(await server.events.wait('auth.failed', { reason: 'WEBHOOK_FAILED' }), {
          detail: /^auth\.webhook: cannot be reached: self-signed certificate/,
        });
    });
});

flow(t, "webhook: certificates and revoked keys are the config's to judge", { needs: NEEDS }, async (t, workers) => {
  const dir = tempDir(t);
  const service = await startWebhook(t, ({ body }) => ({ allow: Object.hasOwn(body, 'certificate') }));
  const [ca, stranger] = [
    await makeKeyFile(t, dir, 'ca', ['-t', 'ed25519']),
    await makeKeyFile(t, dir, 'other', ['-t', 'ed25519']),
  ];
  const revoked = await makeLogin(t, dir, 'revoked');
  writeFileSync(join(dir, 'revoked_keys'), readFileSync(`${revoked.keyFile}.pub`));
  const server = await startSallyport(t, {
    workers,
    config: {
      auth: {
        webhook: { url: service.url },
        trustedUserCAKeys: `${ca.file}.pub`,
        revokedKeys: join(dir, 'revoked_keys'),
      },
      penalties: false,
    },
  });
  let count = 0;
  /** What was asked about a certificate, or about whatever else. */
  const asked = async (by: KeyFile, args: readonly string[], code: number) => {
    const key = await makeKeyFile(t, dir, `zoe${count++}`, ['-t', 'ed25519']);
    await signByKeygen(t, by, key, ['-I', 'zoe@laptop', ...args]);
    const from = service.asked.length;
    t.equal((await sshRun(t, server, { name: 'zoe', keyFile: key.file }, [])).code, code);
    return service.asked.slice(from).map(({ body }) => body);
  };

  // The client offers the key in it as well, and first; that is the service's to judge.
  const [plain, question, ...more] = await asked(ca, ['-n', 'zoe', '-z', '18446744073709551615'], IN);
  t.match(question, {
    checked: true,
    verified: true,
    key: { fingerprint: /^SHA256:/ },
    certificate: { keyId: 'zoe@laptop', serial: '18446744073709551615', caFingerprint: /^SHA256:/ },
  });
  t.match(plain, { checked: false, verified: false, key: { type: 'ssh-ed25519' } });
  t.same(more, []);
  for (const [by, args] of [
    [stranger, ['-n', 'zoe']],
    [ca, ['-n', 'alice']],
    [ca, ['-n', 'zoe', '-V', '-2h:-1h']],
  ] as const) {
    const [plain, ...others] = await asked(by, args, REFUSED);
    t.match(plain, { checked: false, verified: false, key: { type: 'ssh-ed25519' } });
    t.same(others, []);
  }
  const from = service.asked.length;
  t.equal((await sshRun(t, server, { ...revoked, name: 'zoe' }, [])).code, REFUSED);
  t.equal(service.asked.length, from);
  t.ok(await server.events.wait('auth.failed', { reason: 'KEY_REVOKED' }));
});
