/** THE ADMIN API by TCP: a token, the loopback, and no page of another origin. And no tunnel that leads there. */
import { existsSync, realpathSync, renameSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import t, { type Test } from 'tap';
import { DASHBOARD_FILES } from '../../src/shared/dashboard_files.js';
import { ask } from '../support/admin_client.js';
import { handlerUrl, MODES, serveIn } from '../support/library.js';
import { directOpen, openDirectChannel, openRefusal, rawClient } from '../support/raw_client.js';
import { asked, bindRequest, bindSocketRequest, socketOpen } from '../support/requests.js';
import { startSallyport } from '../support/server.js';
import { freePort, startEcho } from '../support/targets.js';
import { tempDir } from '../support/temp.js';

const TOKEN = 'a token of the test, long enough'.replaceAll(' ', '-');

async function tokenFile(t: Test): Promise<string> {
  const file = join(tempDir(t), 'token');
  writeFileSync(file, `${TOKEN}\n`, { mode: 0o600 });
  return file;
}

t.test('who may ask', async (t) => {
  const [port, file] = [await freePort(), await tokenFile(t)];
  const admin = { listen: `127.0.0.1:${port}`, tokenFile: file };
  const server = await startSallyport(t, { workers: 1, config: { admin, auth: { rereadFiles: '100ms' } } });
  const place = { host: '127.0.0.1', port };
  const bearer = { Authorization: `Bearer ${TOKEN}` };
  const [path, post] = ['/api/v1/status', '/api/v1/reload'];
  const rows = [
    [path, 'GET', bearer, 200],
    [path, 'GET', { Authorization: `bearer  ${TOKEN}` }, 200],
    [path, 'HEAD', bearer, 200],
    [path, 'GET', {}, 401],
    ['/metrics', 'GET', {}, 401],
    ['/api/v1/events', 'GET', {}, 401],
    ['/api/v1/nothing', 'GET', {}, 401],
    [path, 'GET', { Authorization: TOKEN }, 401],
    [path, 'GET', { Authorization: `Basic ${TOKEN}` }, 401],
    [path, 'GET', { Authorization: `Bearer ${TOKEN}x` }, 401],
    [path, 'GET', { Authorization: `Bearer ${TOKEN.slice(1)}` }, 401],
    [path, 'GET', { Authorization: 'Bearer ' }, 401],
    ['/healthz', 'GET', {}, 200],
    ['/readyz', 'GET', {}, 200],
    [path, 'GET', { ...bearer, Host: 'localhost' }, 200],
    [path, 'GET', { ...bearer, Host: `[::1]:${port}` }, 200],
    [path, 'GET', { ...bearer, Host: '127.9.9.9:1' }, 200],
    [path, 'GET', { ...bearer, Host: 'rebound.example' }, 403],
    [path, 'GET', { ...bearer, Host: '127.0.0.1.example' }, 403],
    [path, 'GET', { ...bearer, Host: '192.0.2.1' }, 403],
    ['/healthz', 'GET', { Host: 'rebound.example' }, 403],
    [post, 'POST', {}, 401],
    [post, 'POST', { ...bearer, Origin: 'https://elsewhere.example' }, 403],
    [post, 'POST', { ...bearer, Origin: 'null' }, 403],
    [post, 'POST', { ...bearer, Origin: `http://127.0.0.1:${port + 1}` }, 403],
    [post, 'POST', { ...bearer, Origin: `http://127.0.0.1:${port}` }, 200],
    [post, 'POST', bearer, 200],
    ['/api/v1/connections/1', 'DELETE', { ...bearer, Origin: 'https://elsewhere.example' }, 403],
  ] as const;
  for (const [path, method, headers, status] of rows) {
    const reply = await ask(place, path, method, headers);
    t.equal(reply.status, status, `${method} ${path} ${JSON.stringify(headers)}`);
    if (status === 401) t.match(reply.headers['www-authenticate'], /^Bearer/);
    t.notMatch(reply.body, TOKEN);
  }
  // Nobody guesses who sends none: the page does so first.
  const guesses = rows.filter(([, , headers, status]) => status === 401 && 'Authorization' in headers).length;
  const metrics = await ask(place, '/metrics', 'GET', bearer);
  t.match(metrics.body, `\nsallyport_admin_wrong_tokens_total ${guesses}\n`);
  t.equal((await ask(place, path, 'GET', bearer)).headers['access-control-allow-origin'], undefined);

  // The page itself is anybody's: it asks for the token.
  for (const { path, type } of DASHBOARD_FILES) {
    const file = await ask(place, path);
    t.match([file.status, file.headers['content-type']], [200, type], path);
    t.match(file.headers, { 'cache-control': 'no-cache', 'content-security-policy': /script-src 'self'/ }, path);
    t.equal((await ask(place, path, 'POST', bearer)).status, 404);
  }
  t.equal((await ask(place, '/dashboard/none.js', 'GET', bearer)).status, 404);
  t.equal((await ask(place, '/', 'GET', { Host: 'rebound.example' })).status, 403);

  // Another token counts from the moment in which its file has changed.
  const other = TOKEN.toUpperCase();
  const from = server.events.mark();
  writeFileSync(`${file}.new`, other, { mode: 0o600 });
  renameSync(`${file}.new`, file);
  await server.events.wait('config.reloaded', {}, from);
  t.equal((await ask(place, path, 'GET', bearer)).status, 401);
  t.equal((await ask(place, path, 'GET', { Authorization: `Bearer ${other}` })).status, 200);
  t.notMatch(server.events.list('config.reloaded'), other);
});

t.test('what is asked too much, or badly', async (t) => {
  const [port, file] = [await freePort(), await tokenFile(t)];
  const server = await startSallyport(t, {
    workers: 1,
    config: { admin: { listen: `localhost:${port}`, tokenFile: file } },
  });
  const place = { host: '127.0.0.1', port };
  const headers = { Authorization: `Bearer ${TOKEN}` };
  t.equal(
    (await ask(place, '/api/v1/reload', 'POST', headers, 'x'.repeat(1_000))).status,
    200,
    'a body is passed over',
  );
  const long = await ask(
    place,
    '/api/v1/reload',
    'POST',
    { ...headers, 'Content-Length': '70000' },
    'x'.repeat(70_000),
  );
  t.match([long.status, long.headers.connection, long.json.error.code], [413, 'close', 'TOO_LARGE']);
  const chunked = await ask(place, '/api/v1/reload', 'POST', { ...headers, 'Transfer-Encoding': 'chunked' }, 'x');
  t.equal(chunked.status, 413);
  t.equal((await ask(place, '/healthz', 'GET', { 'X-Long': 'x'.repeat(9_000) })).status, 431);
  t.equal((await ask(place, `/healthz?${'x'.repeat(9_000)}`)).status, 431);
  t.equal((await ask(place, '/healthz')).status, 200);
  t.same(server.events.otherLines, []);
});

t.test('no tunnel leads there, and nobody binds it', async (t) => {
  const [port, file] = [await freePort(), await tokenFile(t)];
  const everywhere = ['localhost:*', '127.0.0.0/8:*', '[::1]:*'];
  const server = await startSallyport(t, {
    workers: 1,
    config: { admin: { listen: `127.0.0.1:${port}`, tokenFile: file } },
    users: { alice: { permitOpen: everywhere, permitListen: ['*:*'] } },
  });
  const client = rawClient(t, server);
  await client.login('alice', server.alice);
  await openDirectChannel(client, (await startEcho(t)).port, { id: 99 });
  for (const [id, host] of ['127.0.0.1', '::ffff:127.0.0.1', '::ffff:7f00:1'].entries()) {
    const from = server.events.mark();
    client.send(directOpen(port, { id, host }));
    t.match(await openRefusal(client, id), { text: 'not permitted' }, host);
    await server.events.wait('channel.refused', { reason: 'OWN_LISTENER' }, from);
  }
  for (const host of ['127.0.0.1', 'localhost', '', '127.0.0.2'])
    t.equal(await asked(client, bindRequest(host, port)), null, host);
});

for (const mode of MODES) {
  t.test(`${mode}: a program has it where it says so; hooks that allow everything do not lead there`, async (t) => {
    const dir = realpathSync(tempDir(t));
    const [port, file] = [await freePort(), await tokenFile(t)];
    const state = { stateDir: join(dir, 'state') };
    const without = await serveIn(t, mode, handlerUrl('soak'), state);
    t.notOk(existsSync(join(dir, 'state', 'admin.sock')));
    await without.close();

    const socketPath = join(dir, 'a.sock');
    const byPath = await serveIn(t, mode, handlerUrl('soak'), { ...state, admin: { listen: `unix:${socketPath}` } });
    t.match((await ask({ socketPath }, '/api/v1/status')).json, {
      state: 'running',
      workers: mode === 'single' ? 1 : 2,
    });
    const first = rawClient(t, byPath);
    await first.login('alice', { password: 'foo' });
    const { json } = await ask({ socketPath }, '/api/v1/connections');
    t.match(json, { total: 1, connections: [{ user: 'alice', method: 'password' }], silentWorkers: [] });
    first.send(socketOpen(socketPath, 1));
    t.match(await openRefusal(first, 1), { text: 'not permitted' });
    t.match(await byPath.wait('channel.refused'), { reason: 'OWN_LISTENER' });
    t.equal(await asked(first, bindSocketRequest(socketPath)), null);
    t.match(await ask({ socketPath }, '/api/v1/reload', 'POST'), { status: 200, json: { changed: [] } });
    t.equal((await ask({ socketPath }, '/api/v1/drain', 'POST')).status, 202);
    await byPath.wait('server.stopped');

    const admin = { listen: `127.0.0.1:${port}`, tokenFile: file };
    const byPort = await serveIn(t, mode, handlerUrl('soak'), { ...state, admin });
    const second = rawClient(t, byPort);
    await second.login('alice', { password: 'foo' });
    await openDirectChannel(second, (await startEcho(t)).port, { id: 9 });
    second.send(directOpen(port, { id: 1 }));
    t.match(await openRefusal(second, 1), { text: 'not permitted' });
    t.equal(await asked(second, bindRequest('', port)), null);
  });
}

t.test('a place that somebody else has is no reason to serve without a word', async (t) => {
  const busy = await startEcho(t);
  const file = await tokenFile(t);
  const options = { admin: { listen: `127.0.0.1:${busy.port}`, tokenFile: file } };
  await t.rejects(serveIn(t, 'single', handlerUrl('soak'), options), {
    code: 'LISTEN_FAILED',
    message: /^admin\.listen: 127\.0\.0\.1:\d+: .*EADDRINUSE/,
  });
});
