/** THE ADMIN API of a whole server, by its Unix socket: every answer is held to the document that the server itself serves. */
import { realpathSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import t, { type Test } from 'tap';
import { type AdminPlace, ask, eventStream, type Reply } from '../support/admin_client.js';
import { deferred, within } from '../support/deadline.js';
import { until } from '../support/joined.js';
import { faultsOf, followed } from '../support/json_schema.js';
import { serveIn } from '../support/library.js';
import { type Sallyport, startSallyport } from '../support/server.js';
import { sshRun, tunnel } from '../support/ssh.js';
import { connect, firstLine, freePort, startEcho, startTarget } from '../support/targets.js';
import { tempDir } from '../support/temp.js';

function placeOf(server: Sallyport): AdminPlace & { readonly socketPath: string } {
  return { socketPath: join(server.dir, 'state', 'admin.sock') };
}

/** Asks, and holds the answer to what the document says of this path, method and status. */
async function judge(
  t: Test,
  place: AdminPlace,
  document: unknown,
  path: string,
  method = 'GET',
  template = path.split('?')[0] ?? path,
): Promise<Reply> {
  const reply = await ask(place, path, method);
  const pointer = `#/paths/${template}/${method.toLowerCase()}/responses/${reply.status}`;
  const operation = Reflect.get(
    Object(Reflect.get(Object(Reflect.get(Object(document), 'paths')), template)),
    method.toLowerCase(),
  );
  const described: unknown = Reflect.get(Object(Reflect.get(Object(operation), 'responses')), String(reply.status));
  t.ok(described, `${pointer} is described`);
  const type = reply.headers['content-type'];
  const content: unknown = Reflect.get(Object(described), 'content');
  if (type === undefined) t.equal(content, undefined, `${pointer} has no body`);
  else {
    const media: unknown = Reflect.get(Object(content), type);
    t.ok(media, `${pointer} may be ${type}`);
    if (type === 'application/json')
      t.same(faultsOf(reply.json, Reflect.get(Object(media), 'schema'), document), [], pointer);
  }
  for (const [name, value] of [
    ['x-content-type-options', 'nosniff'],
    ['cache-control', 'no-store'],
    ['content-security-policy', /default-src 'none'/],
  ] as const)
    t.match(reply.headers[name], value, `${pointer}: ${name}`);
  return reply;
}

for (const workers of [1, 2]) {
  t.test(`the life of a server with ${workers} workers, as its admin API tells it`, async (t) => {
    const server = await startSallyport(t, { workers });
    const place = placeOf(server);
    t.equal(statSync(place.socketPath).mode & 0o777, 0o600);
    const { json: document } = await ask(place, '/api/v1/openapi.json');
    t.match(document, { openapi: '3.1.0', info: { title: 'Sallyport admin API' } });
    const get = (path: string, template?: string): Promise<Reply> => judge(t, place, document, path, 'GET', template);
    t.same([(await get('/healthz')).body, (await get('/readyz')).body], ['ok\n', 'ready\n']);
    t.match(await get('/api/v1/status'), {
      json: { state: 'running', connections: 0, workers, listeners: [`${server.host}:${server.port}`] },
    });

    const stream = await eventStream(t, place);
    const echo = await startEcho(t);
    const local = await freePort();
    const specs = ['-L', `${local}:127.0.0.1:${echo.port}`, '-R', 'localhost:0:127.0.0.1:1'];
    const { client, allocatedPorts } = await tunnel(t, server, server.alice, specs);
    const socket = await connect(t, local);
    socket.write('hello\n');
    t.equal(await firstLine(socket), 'hello');

    const { json: listed } = await get('/api/v1/connections');
    t.match(listed, { total: 1, silentWorkers: [] });
    const [connection] = listed.connections;
    t.match(connection, {
      state: 'open',
      user: 'alice',
      method: 'publickey',
      fingerprint: /^SHA256:/,
      client: /^SSH-2\.0-OpenSSH/,
      channelsTotal: 1,
      bytesIn: 6,
      bytesOut: 6,
      channels: [{ kind: 'direct-tcpip', destination: `127.0.0.1:${echo.port}`, bytesIn: 6, bytesOut: 6 }],
    });
    for (const [query, total] of [
      ['user=alice', 1],
      ['user=bob', 0],
      [`search=127.0.0.1:${echo.port}`, 1],
      ['search=ALI&limit=1', 1],
      ['search=nobody', 0],
    ] as const)
      t.equal((await get(`/api/v1/connections?${query}`)).json.total, total, query);
    for (const query of ['limit=0', 'limit=20001', 'limit=-1', 'limit=1e3', `search=${'x'.repeat(256)}`])
      t.match(
        await get(`/api/v1/connections?${query}`),
        { status: 400, json: { error: { code: 'BAD_REQUEST' } } },
        query,
      );

    t.match(await get('/api/v1/forwards'), {
      json: {
        total: 1,
        forwards: [{ conn: connection.id, user: 'alice', destination: `localhost:${allocatedPorts[0]}`, channels: 0 }],
      },
    });
    const { json: workersNow } = await get('/api/v1/workers');
    t.same(workersNow.workers.map(({ pid }: { pid: number }) => pid).sort(), server.workerPids.sort());
    t.match(await get('/api/v1/status'), {
      json: { connections: 1, channels: 1, forwards: 1, bytesIn: 6, bytesOut: 6 },
    });
    t.match((await ask(place, '/metrics')).body, /^sallyport_connections\{state="open"\} 1$/m);
    t.match((await ask(place, '/metrics')).headers['content-type'], /^text\/plain/);

    await sshRun(t, server, { ...server.bob, keyFile: server.alice.keyFile }, ['-N']); // not bob's key
    const failed = await stream.wait(({ event }) => event === 'auth.failed', 'the failed login');
    t.same(faultsOf({ ...failed.data }, openEvent(document, failed.data), document), []);
    t.match(failed.data, { level: 'warn', event: 'auth.failed', user: 'bob', reason: 'KEY_NOT_ACCEPTED' });
    const { json: refused } = await ask(place, '/api/v1/refusals');
    t.match(refused.refusals[0], { event: 'auth.failed', user: 'bob', time: failed.data.time });
    t.match((await get('/api/v1/status')).json.refusals, [{ what: 'login', reason: 'KEY_NOT_ACCEPTED', count: 1 }]);

    const gone = `/api/v1/connections/${connection.id}`;
    const template = '/api/v1/connections/{id}';
    t.equal((await judge(t, place, document, gone, 'DELETE', template)).status, 204);
    await within(client.exited, 'the end of the client');
    t.match(await server.events.wait('connection.closed', { conn: connection.id }), { reason: 'KILLED' });
    for (const path of [gone, '/api/v1/connections/999999', '/api/v1/connections/x'])
      t.equal((await judge(t, place, document, path, 'DELETE', template)).status, 404, path);

    const sampled = async (): Promise<void> => {
      while (JSON.parse((await ask(place, '/api/v1/history')).body).samples.length === 0); // one a second
    };
    await within(sampled(), 'a sample');
    t.ok((await get('/api/v1/history')).json.samples.length > 0);
    for (const [path, method, code] of [
      ['/api/v1/nothing', 'GET', 'NOT_FOUND'],
      ['/api/v1/status', 'POST', 'METHOD_NOT_ALLOWED'],
      ['/api/v1/drain', 'GET', 'METHOD_NOT_ALLOWED'],
      ['/api/v1/events/', 'GET', 'NOT_FOUND'],
      ['//api/v1/status', 'GET', 'NOT_FOUND'],
      ['/dashboard/../../package.json', 'GET', 'NOT_FOUND'],
    ] as const) {
      const { json } = await ask(place, path, method);
      t.equal(json?.error.code, code, `${method} ${path}`);
      t.same(faultsOf(json, followed('#/components/schemas/Error', document), document), []);
    }
  });
}

/** Events have fields of their own, each of its kind; the document names those that all have. */
function openEvent(document: unknown, data: object): object {
  const { properties, required } = Object(followed('#/components/schemas/Event', document));
  const others = Object.fromEntries(Object.keys(data).map((name) => [name, {}]));
  return { type: 'object', required, properties: { ...others, ...properties } };
}

t.test('a reload by the API says what has changed, or every reason why nothing has', async (t) => {
  const server = await startSallyport(t, { workers: 1 });
  const place = placeOf(server);
  const { json: document } = await ask(place, '/api/v1/openapi.json');
  const reload = (): Promise<Reply> => judge(t, place, document, '/api/v1/reload', 'POST');
  t.match(await reload(), { status: 200, json: { changed: [] } });
  server.write({ ...server.config, limits: { connections: 77 } });
  t.match(await reload(), { status: 200, json: { changed: ['limits'] } });
  server.write({ ...server.config, limits: { connections: -1, nonsense: 1 } });
  const { status, json } = await reload();
  t.match([status, json.error], [409, { code: 'CONFIG_INVALID', errors: [/limits\.connections/, /limits\.nonsense/] }]);
  await server.events.wait('config.rejected');
});

t.test('a reload is answered when it is in force, while workers are replaced still', async (t) => {
  const goOn = deferred<void>();
  let loads = 0;
  const gate = await startTarget(t, (socket) => {
    if (++loads === 1) socket.end('go on');
    else void goOn.promise.then(() => socket.end('go on'));
  });
  const dir = realpathSync(tempDir(t));
  const file = join(dir, 'handler.mjs');
  const handler = `import { TunnelServer } from '${new URL('../../src/index.js', import.meta.url)}';
    export default class extends TunnelServer {}`;
  writeFileSync(file, handler);
  const socketPath = join(dir, 'a.sock');
  const served = await serveIn(t, 'cluster', pathToFileURL(file), { admin: { listen: `unix:${socketPath}` } });
  const wait = `await once(connect(${gate.port}, '127.0.0.1'), 'data');`;
  writeFileSync(file, `import { once } from 'node:events';\nimport { connect } from 'node:net';\n${wait}\n${handler}`);
  t.match(await ask({ socketPath }, '/api/v1/reload', 'POST'), { status: 200, json: { changed: [] } });
  const isReplaced = (): boolean => served.told.filter(({ event }) => event === 'worker.started').length === 2; // of the start nobody was told
  t.notOk(isReplaced());
  goOn.resolve();
  await until(isReplaced, 'the successor of the last worker');
});

t.test('a drain by the API is one, however often it is asked for; until the end it can be watched', async (t) => {
  const server = await startSallyport(t, { workers: 1, config: { timeouts: { drain: '1m' } } });
  const place = placeOf(server);
  const { json: document } = await ask(place, '/api/v1/openapi.json');
  const echo = await startEcho(t);
  const local = await freePort();
  const { client } = await tunnel(t, server, server.alice, ['-L', `${local}:127.0.0.1:${echo.port}`]);
  const socket = await connect(t, local);
  socket.write('hello\n');
  await firstLine(socket);
  const stream = await eventStream(t, place);
  for (let times = 0; times < 3; times++)
    t.match(await judge(t, place, document, '/api/v1/drain', 'POST'), { status: 202, json: { connections: 1 } });
  await server.events.wait('server.draining');
  t.match(await judge(t, place, document, '/readyz'), { status: 503, body: 'draining\n' });
  t.match(await ask(place, '/api/v1/status'), { json: { state: 'draining', channels: 1 } });
  socket.write('still\n');
  t.equal(await firstLine(socket), 'still');
  client.signal('SIGTERM');
  await within(stream.ended, 'end of the stream');
  t.same(await server.ended, { code: 0, signal: null });
  await t.rejects(ask(place, '/healthz'));
});

t.test('another server in its place has the API as well; a reload moves it or takes it away', async (t) => {
  const server = await startSallyport(t, { workers: 1 });
  const place = placeOf(server);
  const { client } = await tunnel(t, server, server.alice, []);
  const before = (await ask(place, '/api/v1/status')).json;
  const next = await server.takeover();
  const after = (await ask(place, '/api/v1/status')).json;
  t.not(after.pid, before.pid);
  const { json } = await ask(place, '/api/v1/connections');
  t.match(json, { total: 1, connections: [{ user: 'alice' }], silentWorkers: [] }, 'the worker of the first is asked');
  t.equal((await ask(place, `/api/v1/connections/${json.connections[0].id}`, 'DELETE')).status, 204);
  await within(client.exited, 'end of the client');
  await server.ended;

  const moved = { socketPath: join(next.dir, 'other', 'a.sock') };
  await next.reload({ ...next.config, admin: { listen: `unix:${moved.socketPath}` } });
  t.equal((await ask(moved, '/healthz')).status, 200);
  t.equal(statSync(moved.socketPath).mode & 0o777, 0o600);
  await t.rejects(ask(place, '/healthz'));
  await startEcho(t, join(next.dir, 'busy.sock'));
  const taken = { ...next.config, admin: { listen: `unix:${join(next.dir, 'busy.sock')}` } };
  next.write(taken);
  t.match(await ask(moved, '/api/v1/reload', 'POST'), { status: 409, json: { error: { code: 'LISTEN_FAILED' } } });
  await next.reload({ ...next.config, admin: false });
  await t.rejects(ask(moved, '/healthz'));
});
