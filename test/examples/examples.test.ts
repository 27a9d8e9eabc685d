/** EXAMPLES: each is run as its head says, and does what it says there, with OpenSSH's clients. */
import { EventEmitter, once } from 'node:events';
import { createReadStream, createWriteStream, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import root, { type Test } from 'tap';
import { collect, exchange, MIB, send } from '../support/bytes.js';
import { within } from '../support/deadline.js';
import { examplePath, freshLogin, startExample, tunnelByPassword } from '../support/example.js';
import { cliEntry } from '../support/paths.js';
import { mustRun, type Running, run } from '../support/process.js';
import { need } from '../support/programs.js';
import { HOST, sshConfig, sshRun, startTunnel, tunnel } from '../support/ssh.js';
import { connect, cut, freePort, startEcho } from '../support/targets.js';
import { tempDir } from '../support/temp.js';

const LOGGED_IN = /Entering interactive session/;
const NOT_PERMITTED = /open failed: administratively prohibited: not permitted/;

function example(name: string, body: (t: Test) => Promise<void>): void {
  root.test(name, { timeout: 120_000 }, async (t) => {
    if (need(t, ['ssh', 'ssh-keygen', 'sftp', 'sshpass'])) await body(t);
  });
}

/** Sends a MiB through the tunnel at `port` to an echo and looks at what comes back. */
async function echoes(t: Test, port: number, what: string): Promise<void> {
  const { sent, received } = await exchange(await connect(t, port), what, MIB);
  t.same(received, sent, what);
}

/** The client is refused at the login. */
async function denied(t: Test, client: Running, what: string): Promise<void> {
  t.equal((await within(client.exited, `end of ${what}`)).code, 255, what);
  t.match(client.stderr, /Permission denied/, what);
}

example('demo', async (t) => {
  const server = await startExample(t, 'demo');
  const echo = await startEcho(t);
  const [near, alsoNear] = [await freePort(), await freePort()];

  const byPassword = tunnelByPassword(t, server, 'anybody', 'foo', ['-L', `${near}:localhost:${echo.port}`]);
  await byPassword.waitFor(LOGGED_IN);
  await echoes(t, near, 'by password');

  await tunnel(t, server, await freshLogin(t, 'somebody'), ['-L', `${alsoNear}:localhost:${echo.port}`]);
  await echoes(t, alsoNear, 'by a key that nobody has seen before');

  await denied(t, tunnelByPassword(t, server, 'anybody', 'bar'), 'a wrong password');
  await byPassword.stop();
});

root.test('demo: 10 lines of code', (t) => {
  const source = readFileSync(examplePath('demo.ts'), 'utf8').replaceAll(/\/\*.*?\*\//gs, '');
  const lines = source.split('\n').filter((line) => line.trim() !== '' && !line.trim().startsWith('//'));
  t.equal(lines.length, 10, lines.join('\n'));
  t.end();
});

example('users_file: the users.json beside it', async (t) => {
  const server = await startExample(t, 'users_file');
  const echo = await startEcho(t);
  const near = await freePort();
  const alice = tunnelByPassword(t, server, 'alice', 'open sesame', ['-L', `${near}:localhost:${echo.port}`]);
  await alice.waitFor(LOGGED_IN);
  await echoes(t, near, 'by the password of its head');
  await alice.stop();
});

example('users_file: a file of ours', async (t) => {
  const [echo, other] = [await startEcho(t), await startEcho(t)];
  const far = await freePort();
  const bob = await freshLogin(t, 'bob');
  const [type, key] = readFileSync(`${bob.keyFile}.pub`, 'utf8').split(' ');
  const users = join(bob.keyFile, '../users.json');
  const rights = { permitOpen: [`localhost:${echo.port}`], permitListen: [`localhost:${far}`] };
  writeFileSync(
    users,
    JSON.stringify({
      alice: { passwordHash: await hashed(t, 'tree'), ...rights },
      bob: { keys: [`${type} ${key}`], ...rights },
    }),
  );
  const server = await startExample(t, 'users_file', [users]);
  const [near, forbidden] = [await freePort(), await freePort()];
  const specs = ['-L', `${near}:localhost:${echo.port}`, '-L', `${forbidden}:localhost:${other.port}`];

  const alice = tunnelByPassword(t, server, 'alice', 'tree', specs);
  await alice.waitFor(LOGGED_IN);
  await echoes(t, near, 'a permitted destination');
  await connect(t, forbidden);
  await alice.waitFor(NOT_PERMITTED);
  await alice.stop();

  await tunnel(t, server, bob, ['-R', `${far}:localhost:${echo.port}`]);
  await echoes(t, far, 'by key, a permitted port');
  const refused = await sshRun(t, server, bob, ['-N', '-R', `${await freePort()}:localhost:${echo.port}`]);
  t.match(refused.stderr, /remote port forwarding failed/);

  await denied(t, tunnelByPassword(t, server, 'alice', 'trees'), 'a wrong password');
  await denied(t, tunnelByPassword(t, server, 'bob', 'tree'), 'a user without a password');
  await denied(t, tunnelByPassword(t, server, 'nobody', 'tree'), 'a user that does not exist');
  const stranger = { ...(await freshLogin(t, 'stranger')), name: 'bob' };
  await denied(t, startTunnel(t, server, stranger, []).client, "somebody else's key");
  t.same(
    (await server.events.waitAll(3, 'auth.failed', { method: 'password' })).map(({ reason }) => reason),
    ['WRONG_PASSWORD', 'WRONG_PASSWORD', 'WRONG_PASSWORD'],
    'nothing broke',
  );
});

/** The command that the head of users_file.ts names. */
async function hashed(t: Test, password: string): Promise<string> {
  return (await mustRun(t, process.execPath, [cliEntry, 'hash-password'], `${password}\n`)).trim();
}

interface Question {
  readonly body: Readonly<Record<string, unknown>>;
  /** Resolves when the answer is sent, or whoever asked has gone. */
  readonly over: Promise<{ readonly answered: boolean }>;
}

interface Service {
  readonly url: string;
  /** What was asked about this user, in order. */
  asked(user: string): readonly Question[];
  /** The first question about this user, past or to come. */
  question(user: string): Promise<Question>;
}

/** A web service that answers as the user's name says; it hangs where there is no such answer. */
async function startService(
  t: Test,
  answers: Readonly<Record<string, (response: ServerResponse) => unknown>>,
): Promise<Service> {
  const questions: Question[] = [];
  const came = new EventEmitter();
  const asked = (user: string) => questions.filter(({ body }) => body.user === user);
  const server = createServer(async (request: IncomingMessage, response: ServerResponse) => {
    const over = once(response, 'close').then(() => ({ answered: response.writableFinished }));
    const body = JSON.parse(await text(request));
    questions.push({ body, over });
    came.emit(body.user);
    answers[body.user]?.(response);
  }).listen(0, '127.0.0.1');
  await once(server, 'listening');
  t.teardown(() => {
    server.closeAllConnections();
    server.close();
  });
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/login`,
    asked,
    async question(user) {
      if (asked(user).length === 0) await within(once(came, user), `question about ${user}`);
      const [first] = asked(user);
      if (first === undefined) throw new Error('unreachable');
      return first;
    },
  };
}

example('webhook', async (t) => {
  const [echo, other] = [await startEcho(t), await startEcho(t)];
  const json = (value: unknown) => (response: ServerResponse) => response.end(JSON.stringify(value));
  const yes = { allow: true, permitOpen: [`localhost:${echo.port}`] };
  const service = await startService(t, {
    yes: json(yes),
    bare: json({ allow: true }),
    no: json({ ...yes, allow: false }),
    almost: json({ ...yes, allow: 'true' }),
    number: json(1),
    null: json(null),
    'no-pattern': json({ allow: true, permitOpen: ['localhost'] }),
    'no-list': json({ allow: true, permitOpen: 'localhost:80' }),
    text: (response) => response.end('yes'),
    empty: (response) => response.end(),
    broken: (response) => response.writeHead(500).end(JSON.stringify(yes)),
    elsewhere: (response) => response.writeHead(307, { location: '/other' }).end(JSON.stringify(yes)),
    cut: (response) => response.writeHead(200, { 'content-length': 1000 }).write('{', () => response.destroy()),
  });
  const server = await startExample(t, 'webhook', [service.url]);
  const [near, forbidden] = [await freePort(), await freePort()];
  const specs = ['-L', `${near}:localhost:${echo.port}`, '-L', `${forbidden}:localhost:${other.port}`];

  await t.test('yes, to a password', async (t) => {
    const client = tunnelByPassword(t, server, 'yes', 'foo', specs);
    await client.waitFor(LOGGED_IN);
    await echoes(t, near, 'what the answer permits');
    await connect(t, forbidden);
    await client.waitFor(NOT_PERMITTED);
    t.same(
      service.asked('yes').map(({ body }) => body),
      [{ user: 'yes', password: 'foo', address: '127.0.0.1' }],
    );
    await client.stop();
  });

  await t.test('yes, to a key, without rights', async (t) => {
    const login = await freshLogin(t, 'bare');
    const { client } = await tunnel(t, server, login, specs);
    await connect(t, near);
    await client.waitFor(NOT_PERMITTED);
    const key = readFileSync(`${login.keyFile}.pub`, 'utf8').split(' ').slice(0, 2).join(' ');
    t.same(
      service.asked('bare').map(({ body }) => body),
      [false, true].map((verified) => ({ user: 'bare', key, verified, address: '127.0.0.1' })),
    );
  });

  for (const name of [
    'no',
    'almost',
    'number',
    'null',
    'no-pattern',
    'no-list',
    'text',
    'empty',
    'broken',
    'elsewhere',
    'cut',
  ])
    await denied(t, tunnelByPassword(t, server, name, 'foo'), name);
  t.match(
    await server.events.wait('auth.failed', { user: 'broken', method: 'password' }),
    { reason: 'HOOK_FAILED', detail: /the service answers 500/ },
    'the log says why',
  );

  await t.test('no answer: the question ends with the client', async (t) => {
    const client = tunnelByPassword(t, server, 'hangs', 'foo');
    const { over } = await service.question('hangs');
    await client.stop();
    t.same(await within(over, 'end of the question'), { answered: false });
  });

  t.same(await server.program.stop(), { code: 0, signal: null }, 'a clean end');
});

example('in_process', async (t) => {
  const server = await startExample(t, 'in_process');
  const alice = await freshLogin(t, 'alice');
  const echo = await startEcho(t);
  const [near, forbidden, wrongPort] = [await freePort(), await freePort(), await freePort()];
  const { client } = await tunnel(t, server, alice, [
    ...['-L', `${near}:app:80`],
    ...['-L', `${forbidden}:localhost:${echo.port}`],
    ...['-L', `${wrongPort}:app:81`],
  ]);
  const listing = await mustRun(t, 'ssh-keygen', ['-l', '-f', `${alice.keyFile}.pub`]);
  const page = await fetch(`http://127.0.0.1:${near}/`);
  t.equal(await page.text(), `Hello alice, your key is ${listing.split(' ')[1]}\n`);
  for (const port of [forbidden, wrongPort]) await cut(await connect(t, port));
  const refusals = () => client.stderr.match(new RegExp(NOT_PERMITTED, 'g'))?.length;
  await client.waitUntil(() => refusals() === 2 || undefined, 'refusals of all else');
  const bind = await sshRun(t, server, alice, ['-N', '-R', `0:localhost:${echo.port}`]);
  t.match(bind.stderr, /remote port forwarding failed/);
});

example('sftp_server', async (t) => {
  const dir = tempDir(t);
  const [shared, local] = [join(dir, 'shared'), join(dir, 'local')];
  for (const folder of [shared, local]) mkdirSync(folder);
  const server = await startExample(t, 'sftp_server', [shared]);
  const alice = await freshLogin(t, 'alice');
  const config = sshConfig(t, [{ alias: HOST, endpoint: server, login: alice }]);

  const file = createWriteStream(join(local, 'file'));
  const sent = await send(file, 'by sftp', 5 * MIB);
  await new Promise((resolve) => file.end(resolve));
  const input = 'put file kept\nget kept back\nls -l\n';
  const outcome = await run(t, 'sftp', ['-F', config, '-b', '-', HOST], { cwd: local, input });
  t.equal(outcome.code, 0, outcome.stderr);
  t.match(outcome.stdout, /5242880 .* kept/);
  t.same(await collect(createReadStream(join(shared, 'kept'))), sent);
  t.same(await collect(createReadStream(join(local, 'back'))), sent);

  const scp = await run(t, 'scp', ['-s', '-F', config, `${HOST}:kept`, 'copy'], { cwd: local });
  t.equal(scp.code, 0, scp.stderr);
  t.same(await collect(createReadStream(join(local, 'copy'))), sent);

  const missing = await run(t, 'sftp', ['-F', config, '-b', '-', HOST], { cwd: local, input: 'get missing\n' });
  t.equal(missing.code, 1, 'a file that is not there');
  t.match(await sshRun(t, server, alice, [], ['true']), { code: 1, stderr: /only does sftp/ }, 'a command');
  t.equal((await sshRun(t, server, alice, ['-s'], ['other'])).code, 255, 'another subsystem');
  t.match((await sshRun(t, server, alice, ['-W', 'localhost:1'])).stderr, NOT_PERMITTED, 'a tunnel');
});

example('cluster', async (t) => {
  const server = await startExample(t, 'cluster');
  const echo = await startEcho(t);
  const near = await freePort();
  const { client } = await tunnel(t, server, await freshLogin(t, 'alice'), ['-L', `${near}:localhost:${echo.port}`]);
  await server.program.waitFor(/^alice logged in from 127\.0\.0\.1:\d+$/m);
  await echoes(t, near, 'through a worker');
  await server.program.waitFor(
    new RegExp(`^alice was at localhost:${echo.port}: ${MIB} bytes in, ${MIB} bytes out$`, 'm'),
  );
  await client.stop();
  t.same(await server.program.stop(), { code: 0, signal: null }, 'a clean end');
});
