/** THE ADMIN SERVER's bounds: connections, readers of events, peers that are slow or say nothing. In this process, with routes of
 *  the test's own. */
import { once } from 'node:events';
import { writeFileSync } from 'node:fs';
import type net from 'node:net';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import t, { type Test } from 'tap';
import type { Answer } from '../../src/master/admin/answer.js';
import { json } from '../../src/master/admin/answer.js';
import { Feed } from '../../src/master/admin/feed.js';
import { Samples } from '../../src/master/admin/history.js';
import { readPage } from '../../src/master/admin/page.js';
import type { Route } from '../../src/master/admin/routes.js';
import { find } from '../../src/master/admin/routes.js';
import { adminServer, closeAdminServer, MAX_CONNECTIONS, MAX_PIPELINED } from '../../src/master/admin/server.js';
import { ask } from '../support/admin_client.js';
import { within } from '../support/deadline.js';
import { FakeClock } from '../support/fake_clock.js';
import { connect, cut } from '../support/targets.js';
import { tempDir } from '../support/temp.js';

function route(path: string, handle: () => Answer | Promise<Answer>): Route {
  return { method: 'GET', path, does: 'a test', good: [200, { nothing: true }], handle };
}

async function serve(t: Test, routes: readonly Route[]) {
  const troubles: string[] = [];
  const server = adminServer({
    routes,
    page: new Map(),
    guard: () => ({ kind: 'socket' }),
    trouble: (text) => troubles.push(text),
    wrongToken() {},
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  t.teardown(() => (server.listening ? closeAdminServer(server) : undefined));
  const address = server.address();
  if (address === null || typeof address === 'string') throw new Error('no port');
  return { server, troubles, place: { host: '127.0.0.1', port: address.port } };
}

t.test('64 connections and no more; those that say nothing make room after a while', async (t) => {
  const { server, place } = await serve(t, [route('/a', () => json({}))]);
  server.headersTimeout = 300;
  const held: net.Socket[] = [];
  for (let count = 0; count < MAX_CONNECTIONS; count++) held.push(await connect(t, place.port));
  held[0]?.write('GET /a HTTP/1.1\r\nHost: localhost\r\n'); // and never its end
  const beyond = await connect(t, place.port);
  await cut(beyond);
  t.equal(beyond.bytesRead, 0);
  t.equal(server.listening, true);
  for (const socket of held.slice(1, 3)) socket.destroy();
  await within(
    (async () => {
      for (;;) {
        const reply = await ask(place, '/a').catch(() => null);
        if (reply?.status === 200) return;
        await new Promise(setImmediate);
      }
    })(),
    'an answer',
  );
  held[0]?.resume();
  await within(once(held[0] ?? server, 'end'), 'the end of the one whose head never ends');
});

t.test('requests that do not wait for answers: a few are answered, and many end the connection', async (t) => {
  let handled = 0;
  const { place } = await serve(t, [
    route('/a', () => {
      handled++;
      return json({});
    }),
  ]);
  const get = (path: string): string => `GET ${path} HTTP/1.1\r\nHost: localhost\r\n\r\n`;
  const few = await connect(t, place.port);
  for (let round = 0; round < 10; round++) {
    few.write(get('/a').repeat(MAX_PIPELINED / 2)); // the last answer is here before the server knows that it is gone
    let text = '';
    while ((text.match(/200 OK/g) ?? []).length < MAX_PIPELINED / 2) text += String((await once(few, 'data'))[0]);
  }
  t.equal(handled, 5 * MAX_PIPELINED, 'as often as there was an answer to wait for');
  for (const path of ['/a', '/nowhere']) {
    handled = 0;
    const many = await connect(t, place.port);
    many.on('error', () => {}); // what it still sends may meet a reset
    many.write(get(path).repeat(1_000));
    await cut(many);
    t.ok(handled <= MAX_PIPELINED, `${path}: ${handled} were answered`);
  }
});

t.test('a long list is one answer, and others have their turn while it is written', async (t) => {
  const items = Array.from({ length: 20_000 }, (_, id) => ({ id, peer: '192.0.2.1:50000', text: 'ü"\n' }));
  const list = (count: number): Answer => ({
    kind: 'list',
    name: 'items',
    items: items.slice(0, count),
    rest: { total: count },
  });
  const { place } = await serve(t, [
    route('/none', () => list(0)),
    route('/few', () => list(100)),
    route('/more', () => list(101)),
    route('/all', () => list(20_000)),
  ]);
  for (const [path, count] of [
    ['/none', 0],
    ['/few', 100],
    ['/more', 101],
    ['/all', 20_000],
  ] as const) {
    const reply = await ask(place, path);
    t.match(reply, { status: 200, headers: { 'content-type': 'application/json' } });
    t.same(reply.json, { total: count, items: items.slice(0, count) }, path);
    t.equal((await ask(place, path, 'HEAD')).body, '');
  }
  let turns = 0;
  let isOver = false;
  const count = (): void => {
    turns++;
    if (!isOver) setImmediate(count);
  };
  count();
  await ask(place, '/all');
  isOver = true;
  t.ok(turns > 100, `${turns} turns`);
});

t.test('a fault in the middle of a long list ends that answer and not the server', async (t) => {
  const faulty = {
    toJSON(): never {
      throw new Error('a bug');
    },
  };
  const list = (at: number): Answer => {
    const items = Array.from({ length: 400 }, (_, id) => (id === at ? faulty : { id }));
    return { kind: 'list', name: 'items', items, rest: { total: 400 } };
  };
  const { place, troubles } = await serve(t, [
    route('/soon', () => list(0)),
    route('/late', () => list(250)),
    route('/good', () => list(400)),
  ]);
  await t.rejects(ask(place, '/soon'));
  t.match(troubles, [/^admin API: GET \/soon: a bug$/]);
  const warned = within(once(process, 'warning'), 'a warning');
  await t.rejects(ask(place, '/late'));
  t.match(await warned, [{ name: 'SallyportWarning', message: 'admin API: a list failed: a bug' }]);
  t.equal((await ask(place, '/late', 'HEAD')).status, 200, 'HEAD makes no text');
  t.equal((await ask(place, '/good')).status, 200);
});

t.test('a socket answers to the names of this machine alone: behind a tunnel it is a port', async (t) => {
  const { place } = await serve(t, [route('/a', () => json({}))]);
  for (const [host, status] of [
    ['localhost', 200],
    ['localhost:9090', 200],
    ['127.0.0.1:9090', 200],
    ['rebound.example:9090', 403],
    ['192.0.2.1', 403],
  ] as const)
    t.equal((await ask(place, '/a', 'GET', { Host: host })).status, status, host);
});

t.test('a page of another site may make a browser ask for nothing', async (t) => {
  const { place } = await serve(t, [route('/a', () => json({})), { ...route('/open', () => json({})), isOpen: true }]);
  for (const [site, status] of [
    ['same-origin', 200],
    ['none', 200],
    ['cross-site', 403],
    ['same-site', 403],
    ['cross-site, same-origin', 403],
  ] as const) {
    const headers = { Host: 'localhost:9090', 'Sec-Fetch-Site': site };
    t.equal((await ask(place, '/a', 'GET', headers)).status, status, site);
    t.equal((await ask(place, '/open', 'GET', headers)).status, 200, `${site}, of what is anybody's`);
  }
});

t.test('no page is no trouble; one that is not whole is told, and is none', async (t) => {
  const dir = tempDir(t);
  const troubles: string[] = [];
  const pageOf = (): number =>
    readPage(pathToFileURL(`${dir}/`), (text) => {
      troubles.push(text);
    }).size;
  t.equal(pageOf(), 0);
  t.same(troubles, []);
  writeFileSync(join(dir, 'index.html'), '');
  t.equal(pageOf(), 0);
  t.match(troubles, [/no page: .*ENOENT/]);
});

t.test('a fault is an answer and a line of the log; the server goes on', async (t) => {
  const { troubles, place } = await serve(t, [
    route('/throws', () => {
      throw new Error('bug');
    }),
    route('/rejects', () => Promise.reject(new Error('late bug'))),
    route('/good', () => json({ good: true })),
  ]);
  for (const path of ['/throws', '/rejects'])
    t.match(await ask(place, path), { status: 500, json: { error: { code: 'INTERNAL_ERROR' } } });
  t.match(troubles, [/GET \/throws: .*bug/, /GET \/rejects: .*late bug/]);
  t.match(await ask(place, '/good'), { status: 200, json: { good: true } });
  for (const nonsense of [
    '\0\0\0\0',
    'GET\r\n\r\n',
    'GET /good HTTP/1.1\r\n\r\n',
    'CONNECT a:1 HTTP/1.1\r\nHost: a\r\n\r\n',
  ]) {
    const socket = await connect(t, place.port);
    socket.end(nonsense);
    socket.resume();
    await within(once(socket, 'close'), 'the end of nonsense');
  }
  t.equal((await ask(place, '/good', 'HEAD')).body, '');
  t.equal((await ask(place, '/good', 'OPTIONS')).status, 405);
});

t.test('an answer that is under way is given when the server closes', async (t) => {
  let answer: (value: Answer) => void = () => {};
  const asked = { come: () => {} };
  const came = new Promise<void>((resolve) => {
    asked.come = resolve;
  });
  const { server, place } = await serve(t, [
    route('/slow', () => {
      asked.come();
      return new Promise((resolve) => {
        answer = resolve;
      });
    }),
  ]);
  const idle = await connect(t, place.port);
  const reply = ask(place, '/slow');
  await came;
  const closed = closeAdminServer(server);
  answer(json({ at: 'last' }));
  t.match(await reply, { json: { at: 'last' } });
  await within(closed, 'the end of the server, whoever is connected');
  t.ok(idle);
});

t.test('a reader that is slow loses events, is told how many, and holds up nobody', async (t) => {
  const feed = new Feed();
  feed.isOn = true;
  const texts: string[] = [];
  let takes = true;
  const reader = feed.join({
    write(text) {
      texts.push(text);
      return takes;
    },
    end: () => texts.push('end'),
  });
  feed.event({ event: 'server.draining', detail: 'first' });
  t.match(texts, [
    /^event: server\.draining\ndata: \{"level":"info","time":"\S+Z","event":"server\.draining","detail":"first"\}\n\n$/,
  ]);
  takes = false;
  feed.event({ event: 'server.draining', detail: 'fills it' });
  for (let count = 0; count < 2_000; count++) feed.event({ event: 'server.draining', detail: `number ${count}` });
  reader?.beat();
  t.equal(texts.length, 2, 'it is given nothing more, not even a beat');
  takes = true;
  reader?.drained();
  const [, , rest = ''] = texts;
  t.match(rest, /number 1023"[\s\S]*event: lost\ndata: \{"count":976\}\n\n$/);
  feed.lost(3);
  t.equal(texts.at(-1), 'event: lost\ndata: {"count":3}\n\n');
  reader?.beat();
  t.equal(texts.at(-1), ': \n\n');
  feed.end();
  t.equal(texts.at(-1), 'end');
});

t.test('16 readers and no more; one that leaves makes room', async (t) => {
  const feed = new Feed();
  const sink = { write: () => true, end() {} };
  const readers = Array.from({ length: 16 }, () => feed.join(sink));
  t.equal(feed.join(sink), null);
  readers[3]?.leave();
  t.not(feed.join(sink), null);
});

t.test('the last 200 refusals are kept, the newest first, and nothing while nobody may look', async (t) => {
  const feed = new Feed();
  const refuse = (port: number): void =>
    feed.event({ event: 'connection.refused', peer: `192.0.2.1:${port}`, reason: 'PENALTY' });
  refuse(1);
  t.same(feed.refusals, []);
  feed.isOn = true;
  for (let port = 1; port <= 250; port++) refuse(port);
  feed.event({ event: 'server.draining', detail: 'is none' });
  t.equal(feed.refusals.length, 200);
  t.match(feed.refusals.slice(0, 2), [{ peer: '192.0.2.1:250', level: 'warn' }, { peer: '192.0.2.1:249' }]);
});

t.test('ten minutes of samples, one a second', async (t) => {
  const clock = new FakeClock();
  let count = 0;
  const samples = new Samples(() => [0, ++count, 0, 0, 0], clock);
  samples.begin();
  clock.advance(700_000);
  const { everyMs, samples: kept } = samples.history;
  t.same([everyMs, kept.length, kept[0]?.[1], kept.at(-1)?.[1]], [1_000, 600, 101, 700]);
  samples.end();
  t.equal(clock.pending, 0);
});

t.test('paths and methods', async (t) => {
  const routes = [route('/a', () => json({})), { ...route('/a/:id', () => json({})), method: 'DELETE' as const }];
  const rows = [
    ['GET', '/a', 'route', ''],
    ['HEAD', '/a', 'route', ''],
    ['DELETE', '/a/7', 'route', '7'],
    ['DELETE', '/a/', 'nothing'],
    ['DELETE', '/a/7/8', 'nothing'],
    ['GET', '/', 'nothing'],
    ['POST', '/a', 'method'],
    ['GET', '/a/7', 'method'],
  ] as const;
  for (const [method, path, kind, id] of rows)
    t.match(find(routes, method, path), { kind, ...(id === undefined ? {} : { id }) });
  t.match(find(routes, 'POST', '/a'), { allow: ['HEAD', 'GET'] });
});
