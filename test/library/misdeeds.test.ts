/** MISDEEDS: hooks that throw, hang or answer nonsense. Each denies, the log says which hook and why, and the worker serves
 *  on. In one process and in a cluster alike. */
import root, { type Test } from 'tap';
import { MSG, message, WireReader } from '../../src/shared/protocol.js';
import { callsAt } from '../support/calls.js';
import type { MISDEEDS } from '../support/handlers/recorder.js';
import { until } from '../support/joined.js';
import { handlerUrl, logins, MODES, type Served, serveIn } from '../support/library.js';
import { need } from '../support/programs.js';
import {
  confirmed,
  directOpen,
  LARGE_WINDOW_BYTES,
  openDirectChannel,
  openRefusal,
  passwordRequest,
  type RawClient,
  rawClient,
} from '../support/raw_client.js';
import { tunnel } from '../support/ssh.js';
import { freePort, startEcho } from '../support/targets.js';
import { tempDir } from '../support/temp.js';

/** Long enough for a busy machine, short enough that a hook which hangs does not hold the test up. */
const HOOK = '500ms' as const;

/** What the log says of one that answers at once and answers a promise. */
const AT_ONCE = /^\w+: answered a promise; this hook answers at once$/;

const EXPECTED: Readonly<Record<keyof typeof MISDEEDS, { readonly reason: string; readonly detail: RegExp }>> = {
  throws: { reason: 'HOOK_FAILED', detail: /the hook broke$/ },
  rejects: { reason: 'HOOK_FAILED', detail: /the hook broke later$/ },
  hangs: { reason: 'HOOK_TIMEOUT', detail: /no answer within 500 ms/ },
  nothing: { reason: 'HOOK_FAILED', detail: /answered/ },
  one: { reason: 'HOOK_FAILED', detail: /answered/ },
  text: { reason: 'HOOK_FAILED', detail: /answered/ },
  empty: { reason: 'HOOK_FAILED', detail: /answered/ },
  nested: { reason: 'HOOK_FAILED', detail: /answered/ },
};

async function askLogin(t: Test, server: Served, user: string): Promise<Buffer> {
  const client = rawClient(t, server);
  await client.ready;
  client.send(message(MSG.SERVICE_REQUEST, 'ssh-userauth'));
  client.send(passwordRequest(user, 'foo'));
  return await client.take(MSG.USERAUTH_FAILURE);
}

async function loggedIn(t: Test, server: Served, user = 'alice'): Promise<RawClient> {
  const client = rawClient(t, server);
  await client.login(user, { password: 'foo' });
  return client;
}

function bindRequest(host: string): Buffer {
  return message(MSG.GLOBAL_REQUEST, 'tcpip-forward', true, host, 0);
}

for (const mode of MODES) {
  root.test(`hooks that misbehave, ${mode}`, { timeout: 120_000 }, async (t) => {
    const server = await serveIn(t, mode, handlerUrl('recorder'), { timeouts: { hook: HOOK, drain: '0s' } });

    const echo = await startEcho(t);
    const path = `${tempDir(t)}/echo.sock`;
    await startEcho(t, path);

    for (const [name, { reason, detail }] of Object.entries(EXPECTED)) {
      const answersLater = name === 'hangs' || name === 'rejects' || name === 'nested';
      /** For hooks that answer at once: their promises are nonsense, whatever comes of them. */
      const atOnce = answersLater ? AT_ONCE : detail;
      await t.test(name, async (t) => {
        await t.test('checkAuthPassword', async (t) => {
          await askLogin(t, server, name);
          const failed = await server.wait('auth.failed', ({ user }) => user === name);
          t.match(failed, { reason, detail, method: 'password' });
          t.match(failed, { detail: /^checkAuthPassword: / });
        });
        await t.test('getAllowedAuths', async (t) => {
          const refused = new WireReader(await askLogin(t, server, `methods-${name}`), 1);
          t.equal(refused.text(), '', 'no method is offered');
          const failed = await server.wait('auth.failed', ({ user }) => user === `methods-${name}`);
          t.match(failed, { reason, detail: /^getAllowedAuths: / });
        });
        await t.test('checkDirect', async (t) => {
          const client = await loggedIn(t, server);
          client.send(directOpen(80, { host: name }));
          t.match(await openRefusal(client, 0), { reason: 1, text: 'not permitted' });
          const refused = await server.wait('channel.refused', ({ destination }) => destination === `${name}:80`);
          t.match(refused, { reason, detail });
          t.match(refused, { detail: /^checkDirect: / });
          await openDirectChannel(client, 80, { id: 1, host: 'echo' });
        });
        await t.test('checkForwardAddress', async (t) => {
          const client = await loggedIn(t, server);
          client.send(bindRequest(name));
          await client.take(MSG.REQUEST_FAILURE);
          const refused = await server.wait('forward.refused', ({ destination }) => destination === `${name}:0`);
          t.match(refused, { reason, detail });
          t.match(refused, { detail: /^checkForwardAddress: / });
          await openDirectChannel(client, 80, { host: 'echo' });
        });
        await t.test('checkDial and checkDialPath', async (t) => {
          const client = await loggedIn(t, server, `dial-${name}`);
          client.send(directOpen(echo.port));
          t.match(await openRefusal(client, 0), { reason: 1, text: 'not permitted' });
          client.send(
            message(MSG.CHANNEL_OPEN, 'direct-streamlocal@openssh.com', 1, LARGE_WINDOW_BYTES, 32_768, path, '', 0),
          );
          t.match(await openRefusal(client, 1), { reason: 1, text: 'not permitted' });
          for (const [hook, destination] of [
            ['checkDial', `127.0.0.1:${echo.port}`],
            ['checkDialPath', path],
          ]) {
            const refused = await server.wait(
              'channel.refused',
              (event) => 'user' in event && event.user === `dial-${name}` && event.destination === destination,
            );
            t.match(refused, { reason: 'HOOK_FAILED', detail: atOnce });
            t.match(refused, { detail: new RegExp(`^${hook}: `) });
          }
          await openDirectChannel(client, 80, { id: 2, host: 'echo' });
          const other = await loggedIn(t, server);
          await openDirectChannel(other, echo.port);
        });
        await t.test('limits', async (t) => {
          const client = rawClient(t, server);
          await client.login(`limits-${name}`, { password: 'foo' });
          await client.ended;
          const closed = await server.wait('connection.closed', ({ user }) => user === `limits-${name}`);
          t.match(closed, { reason: 'HOOK_FAILED', detail: atOnce });
          t.match(closed, { detail: /^limits: / });
        });
        await t.test('portRanges', async (t) => {
          const client = await loggedIn(t, server, `ports-${name}`);
          client.send(bindRequest('localhost'));
          await client.take(MSG.REQUEST_FAILURE);
          const refused = await server.wait('forward.refused', ({ user }) => user === `ports-${name}`);
          t.match(refused, { reason: 'HOOK_FAILED', detail: atOnce });
          t.match(refused, { detail: /^portRanges: / });
        });
      });
    }

    t.notOk(
      server.told.some(({ event }) => event === 'worker.exited'),
      'no worker went',
    );
  });

  root.test(`the signal fires when the peer leaves, ${mode}`, async (t) => {
    if (!need(t, ['ssh', 'ssh-keygen'])) return;
    const server = await serveIn(t, mode, handlerUrl('recorder'), { workers: 1 });
    const { watcher } = await logins(t, 'watcher');

    const leaving = rawClient(t, server);
    await leaving.ready;
    leaving.send(message(MSG.SERVICE_REQUEST, 'ssh-userauth'));
    await leaving.take(MSG.SERVICE_ACCEPT);
    leaving.send(passwordRequest('waits', 'foo'));
    const opening = await loggedIn(t, server);
    opening.send(directOpen(80, { host: 'waits' }));

    const near = await freePort();
    await tunnel(t, server, watcher, ['-L', `${near}:calls:80`]);
    const asked = async () => (await callsAt(near)).calls;
    // Both hooks are under way: what was sent before a round trip on the same connection has been read.
    await opening.roundTrip();
    await until(async () => (await asked()).some(({ username }) => username === 'waits'), 'question');
    leaving.socket.destroy();
    opening.socket.destroy();
    await server.wait('connection.closed', ({ user }) => user === 'alice');
    const aborted = async () => (await asked()).filter(({ hook }) => hook === 'aborted');
    await until(async () => (await aborted()).length >= 2, 'end of both hooks');
    t.equal((await aborted()).length, 2);
  });

  root.test(`a target that breaks ends its own tunnel, ${mode}`, async (t) => {
    const server = await serveIn(t, mode, handlerUrl('recorder'));
    const client = await loggedIn(t, server);
    client.send(directOpen(80, { host: 'breaks' }));
    const channel = await confirmed(client, 0);
    client.send(message(MSG.CHANNEL_DATA, channel.peerId, 'anything'));
    await client.take(MSG.CHANNEL_CLOSE);
    t.match(await server.wait('channel.closed'), { reason: 'TARGET_ERROR', detail: 'the target broke' });
    await openDirectChannel(client, 80, { id: 1, host: 'echo' });
  });
}
