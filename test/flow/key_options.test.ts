/** KEY OPTIONS: what the options of an authorized_keys line do to OpenSSH's client, each allowed thing beside a refused one.
 *  The grammar has its tables (test/worker/auth/key_options.test.ts). */
import { readFileSync } from 'node:fs';
import t from 'tap';
import { exchange } from '../support/bytes.js';
import { flow } from '../support/flow.js';
import { makeLogin, startSallyport } from '../support/server.js';
import { sshRun, startTunnel, tunnel } from '../support/ssh.js';
import { connect, freePort, startEcho } from '../support/targets.js';

const NEEDS = ['ssh', 'ssh-keygen'] as const;

/** As sshd writes UTC. */
function timespec(atMs: number): string {
  return `${new Date(atMs).toISOString().replaceAll(/[-:T]/g, '').slice(0, 14)}Z`;
}

flow(t, 'options of a key', { needs: NEEDS }, async (t, workers) => {
  const server = await startSallyport(t, { workers });
  const publicLine = readFileSync(`${server.alice.keyFile}.pub`, 'utf8').trim();
  const others = server.config.users;
  /** From now on alice's only line. */
  const give = async (options: string): Promise<void> => {
    const alice = { ...others.alice, authorizedKeys: [`${options} ${publicLine}`] };
    await server.reload({ ...server.config, users: { ...others, alice } });
  };
  const echo = await startEcho(t);
  const reaches = async (host: string): Promise<boolean> => {
    const near = await freePort();
    const { client } = await tunnel(t, server, server.alice, ['-L', `${near}:${host}:${echo.port}`]);
    const from = server.events.mark();
    const socket = await connect(t, near);
    socket.on('error', () => {}); // where the client resets it
    const opened = await exchange(socket, host, 1_000).then(
      ({ sent, received }) => received.bytes === sent.bytes,
      () => false,
    );
    if (!opened)
      t.match(await server.events.wait('channel.refused', { user: 'alice' }, from), { reason: 'POLICY_DENIED' });
    await client.stop();
    return opened;
  };
  const binds = async (spec: string): Promise<boolean> => {
    const from = server.events.mark();
    const { client } = startTunnel(t, server, server.alice, ['-R', `${spec}:localhost:${echo.port}`]);
    const bound = await Promise.race([
      server.events.wait('forward.bound', { user: 'alice' }, from).then(() => true),
      server.events.wait('forward.refused', { user: 'alice' }, from).then(() => false),
    ]);
    await client.stop();
    if (bound) await server.events.wait('forward.released', { user: 'alice' }, from);
    return bound;
  };
  const logsIn = async (): Promise<string | true> => {
    const from = server.events.mark();
    const { code } = await sshRun(t, server, server.alice, ['-o', 'NumberOfPasswordPrompts=0'], ['true']);
    if (code !== 255) return true; // ssh's own; another one is the session's, behind a login
    const { reason } = await server.events.wait('auth.failed', { method: 'publickey' }, from);
    return String(reason);
  };

  await t.test('permitopen: letter by letter', async (t) => {
    await give(`permitopen="localhost:${echo.port}",permitopen="other.example:*"`);
    t.equal(await reaches('localhost'), true);
    t.equal(await reaches('127.0.0.1'), false, 'localhost is not 127.0.0.1');
    await give(`permitopen="127.0.0.1:*",command="/bin/false",no-pty,no-X11-forwarding,environment="A=b"`);
    t.equal(await reaches('127.0.0.1'), true);
    t.equal(await reaches('localhost'), false);
    await give(`permitopen="*:${echo.port}"`);
    t.equal(await reaches('localhost'), true);
    await give(`permitopen="*:1"`);
    t.equal(await reaches('localhost'), false);
    t.equal(await binds(String(await freePort())), true, 'it says nothing of -R');
  });

  await t.test('permitlisten', async (t) => {
    const [one, two] = [await freePort(), await freePort()];
    await give(`permitlisten="localhost:${one}"`);
    t.equal(await binds(String(one)), true);
    t.equal(await binds(String(two)), false);
    t.equal(await binds('0'), false, 'port 0 needs the star');
    t.equal(await binds(`127.0.0.1:${one}`), false);
    await give(`permitlisten="127.0.0.?:*"`);
    t.equal(await binds(`127.0.0.1:${one}`), true);
    t.equal(await binds('127.0.0.1:0'), true);
    t.equal(await binds(String(one)), false);
    t.equal(await reaches('localhost'), true, 'it says nothing of -L');
  });

  await t.test('restrict, and what gives back', async (t) => {
    await give('restrict');
    t.equal(await logsIn(), true);
    t.equal(await reaches('localhost'), false);
    t.equal(await binds(String(await freePort())), false);
    await give('restrict,port-forwarding');
    t.equal(await reaches('localhost'), true);
    t.equal(await binds(String(await freePort())), true);
    await give('no-port-forwarding');
    t.equal(await reaches('localhost'), false);
  });

  await t.test('from, expiry-time, cert-authority, unknown options: no login, and the log says why', async (t) => {
    for (const [options, expected] of [
      ['from="127.0.0.0/8"', true],
      ['from="127.*,!10.0.0.1"', true],
      ['from="10.0.0.0/8"', 'KEY_SOURCE'],
      ['from="127.0.0.0/8,!127.0.0.1"', 'KEY_SOURCE'],
      ['from="localhost"', 'KEY_SOURCE'],
      [`expiry-time="${timespec(Date.now() + 3_600_000)}"`, true],
      [`expiry-time="${timespec(Date.now() - 3_600_000)}"`, 'KEY_EXPIRED'],
      ['cert-authority', 'KEY_NOT_ACCEPTED'],
      ['no-such-option', 'KEY_NOT_ACCEPTED'],
      ['restrict,', true],
      ['from="10.0.0.0/8', 'KEY_NOT_ACCEPTED'],
    ] as const) {
      await give(options);
      t.equal(await logsIn(), expected, options);
    }
  });

  await t.test("the narrower of the user's patterns and the key's", async (t) => {
    const other = await makeLogin(t, server.dir, 'alice', 'other');
    const otherLine = readFileSync(`${other.keyFile}.pub`, 'utf8').trim();
    const alice = {
      ...others.alice,
      permitOpen: ['127.0.0.1:*'],
      authorizedKeys: [`permitopen="localhost:*" ${publicLine}`, otherLine],
    };
    await server.reload({ ...server.config, users: { ...others, alice } });
    t.equal(await reaches('127.0.0.1'), false, "the user's alone");
    const from = server.events.mark();
    const near = await freePort();
    await tunnel(t, server, other, ['-L', `${near}:127.0.0.1:${echo.port}`]);
    const { sent, received } = await exchange(await connect(t, near), 'the other key', 1_000);
    t.same(received, sent, 'the same user by a key without options');
    t.equal(server.events.list('channel.refused', {}, from).length, 0);
  });
});
