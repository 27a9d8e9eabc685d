/** LOAD CLIENT: what it says when it cannot; tunnels both ways through a Sallyport; what happens to waits when the
 *  connection goes. */
import { readFileSync } from 'node:fs';
import t, { type Test } from 'tap';
import { LoadClient, MAX_WINDOW_BYTES } from '../../src/load/client.js';
import { LoadError, type LoadErrorCode } from '../../src/load/errors.js';
import type { ConnectOptions } from '../../src/load/login.js';
import { collect, send } from '../support/bytes.js';
import { flow } from '../support/flow.js';
import { type Login, type Sallyport, startSallyport } from '../support/server.js';
import { connect, freePort, startEcho, startTarget } from '../support/targets.js';

function options(port: number, more: Partial<ConnectOptions> = {}): ConnectOptions {
  return { host: '127.0.0.1', port, user: 'alice', verifyHostKey: () => true, readyTimeoutMs: 20_000, ...more };
}

async function refused(t: Test, code: LoadErrorCode, message: RegExp, wanted: ConnectOptions): Promise<LoadError> {
  const error: unknown = await LoadClient.connect(wanted).then(
    (client) => client.end(),
    (thrown: unknown) => thrown,
  );
  if (!(error instanceof LoadError)) throw new Error(`no LoadError ${code}: ${String(error)}`);
  t.equal(error.code, code, error.message);
  t.match(error.message, message);
  return error;
}

async function into(t: Test, server: Sallyport, login: Login, more: Partial<ConnectOptions> = {}): Promise<LoadClient> {
  const key = { user: login.name, privateKey: readFileSync(login.keyFile, 'utf8') };
  const client = await LoadClient.connect(options(server.port, { ...key, ...more }));
  t.teardown(() => client.end());
  return client;
}

t.test('no connection, no SSH', async (t) => {
  const unreachable = await refused(
    t,
    'UNREACHABLE',
    /^nothing listens at 127\.0\.0\.1:\d+/,
    options(await freePort()),
  );
  t.equal(unreachable.errno, 'ECONNREFUSED');
  await refused(
    t,
    'UNREACHABLE',
    /^the name nowhere\.invalid has no address/,
    options(22, { host: 'nowhere.invalid' }),
  );
  const closing = await startTarget(t, (socket) => socket.destroy());
  await refused(t, 'NOT_SSH', /127\.0\.0\.1:\d+/, options(closing.port));
  const web = await startTarget(t, (socket) => socket.resume().end('HTTP/1.1 400 Bad Request\r\n\r\n'));
  await refused(t, 'NOT_SSH', /127\.0\.0\.1:\d+/, options(web.port));
  const silent = await startTarget(t, (socket) => socket.resume());
  await refused(
    t,
    'TIMED_OUT',
    /within 0\.3 s: waited for its first SSH line/,
    options(silent.port, { readyTimeoutMs: 300 }),
  );
  const stop = new AbortController();
  const stopped = refused(t, 'ABORTED', /^stopped$/, options(silent.port, { signal: stop.signal }));
  stop.abort();
  await stopped;
  await refused(t, 'ABORTED', /^stopped$/, options(silent.port, { signal: AbortSignal.abort() }));
});

flow(t, 'a Sallyport', { needs: ['ssh-keygen'], workers: [1] }, async (t) => {
  const server = await startSallyport(t, { workers: 1 });
  const echo = await startEcho(t);
  const key = readFileSync(server.alice.keyFile, 'utf8');
  const bobs = readFileSync(server.bob.keyFile, 'utf8');

  await t.test('refusals of the login', async (t) => {
    const tried = await refused(
      t,
      'AUTH_REFUSED',
      /refused every login as alice/,
      options(server.port, { privateKey: bobs }),
    );
    t.ok(tried.methodsLeft.includes('publickey'));
    await refused(t, 'AUTH_REFUSED', /as alice/, options(server.port, { agent: '/nonexistent' }));
    await refused(t, 'AUTH_REFUSED', /as alice/, options(server.port));
    const doubted = options(server.port, { privateKey: key, verifyHostKey: () => false });
    await refused(t, 'HOST_KEY_REFUSED', /127\.0\.0\.1:\d+/, doubted);
    await refused(t, 'KEY_UNUSABLE', /./, options(server.port, { privateKey: 'no key' }));
    await refused(
      t,
      'NO_COMMON_ALGORITHM',
      /no cipher rot13; it has aes128-gcm/,
      options(server.port, { cipher: 'rot13' }),
    );
    const old = options(server.port, { privateKey: key, cipher: 'aes128-cbc' });
    await refused(t, 'NO_COMMON_ALGORITHM', /none in common: client to server cipher/, old);
  });

  await t.test('of several keys the one that fits is named', async (t) => {
    const client = await into(t, server, server.alice, { privateKey: [bobs, key], cipher: 'aes256-gcm@openssh.com' });
    t.same(client.credential, { method: 'publickey', index: 1 });
    t.match(client.agreed, { server: 'Sallyport', cipher: 'aes256-gcm@openssh.com', hostKey: 'ssh-ed25519' });
  });

  await t.test('opens: bytes there and back, whatever the window; refusals with the RFC reason', async (t) => {
    const client = await into(t, server, server.alice);
    for (const channel of [
      await client.openDirect('127.0.0.1', echo.port),
      await client.openDirectWithWindow('127.0.0.1', echo.port, MAX_WINDOW_BYTES),
      await client.openDirectWithWindow('127.0.0.1', echo.port, 10_000_000),
    ]) {
      const back = collect(channel);
      const sent = await send(channel, 'there', 5_000_000);
      channel.end();
      t.same(await back, sent);
    }
    await t.rejects(client.openDirect('127.0.0.1', await freePort()), {
      code: 'OPEN_REFUSED',
      reason: 2,
      reasonName: 'CONNECT_FAILED',
    });
    await t.rejects(client.openDirect('192.0.2.1', 7), { reason: 1, message: /ADMINISTRATIVELY_PROHIBITED/ });
  });

  await t.test('forwards', async (t) => {
    const client = await into(t, server, server.alice);
    const forward = await client.forward('127.0.0.1', 0);
    forward.onConnection((channel) => channel.pipe(channel));
    const near = await connect(t, forward.port);
    near.end('back');
    t.equal((await collect(near)).bytes, 4);
    await forward.close();
    await t.rejects(client.forward('192.0.2.1', 0), { code: 'FORWARD_REFUSED' });
  });

  await t.test('waits end with the connection', async (t) => {
    const client = await into(t, server, server.alice);
    const opening = client.openDirect('127.0.0.1', echo.port);
    const forwarding = client.forward('127.0.0.1', 0);
    client.socket.destroy();
    await t.rejects(opening, { code: 'CONNECTION_LOST' });
    await t.rejects(forwarding, { code: 'CONNECTION_LOST' });
    t.match(await client.closed, { code: 'CONNECTION_LOST' });
  });

  await t.test('a peer that never reads ends all the same', async (t) => {
    const client = await into(t, server, server.alice);
    const channel = await client.openDirectWithWindow('127.0.0.1', echo.port, MAX_WINDOW_BYTES);
    client.socket.pause();
    channel.write(Buffer.alloc(100_000));
    await client.end();
    t.equal(await client.closed, undefined);
    await t.rejects(client.openDirect('127.0.0.1', echo.port), { code: 'CONNECTION_LOST' });
    await client.end();
  });
});
