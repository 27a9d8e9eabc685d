/** One question by HTTP, one text back, against real servers: good ones, and all that a server can do wrong. Whatever it
 *  is, the asker hears in time, and in words of ours alone. */
import { once } from 'node:events';
import type { ServerResponse } from 'node:http';
import { createServer } from 'node:net';
import { join } from 'node:path';
import t, { type Test } from 'tap';
import { parseWebhookUrl, type WebhookTarget } from '../../../src/shared/webhook_url.js';
import {
  MAX_ANSWER_BYTES,
  WebhookClient,
  type WebhookClientOptions,
  type WebhookReply,
} from '../../../src/worker/auth/webhook_client.js';
import { deferred, within } from '../../support/deadline.js';
import { FakeClock } from '../../support/fake_clock.js';
import { need } from '../../support/programs.js';
import { freePort } from '../../support/targets.js';
import { tempDir } from '../../support/temp.js';
import {
  type Asked,
  raw,
  type Service,
  type ServiceOptions,
  selfSigned,
  startWebhook,
} from '../../support/webhook_service.js';

const FOREVER_MS = 600_000;
const { signal } = new AbortController();
const YES: Service = () => ({ allow: true });

function targetOf(url: string): WebhookTarget {
  const parsed = parseWebhookUrl(url);
  if (!parsed.ok) throw new Error(parsed.error);
  return parsed.value;
}

function clientFor(t: Test, url: string, options: Partial<WebhookClientOptions> = {}): WebhookClient {
  const client = new WebhookClient({
    target: targetOf(url),
    token: null,
    timeoutMs: FOREVER_MS,
    maxConnections: 8,
    maxWaiting: 64,
    ...options,
  });
  // The deadline's timers hold no process open, and an idle connection neither.
  const awake = setInterval(() => {}, 1000);
  t.teardown(() => {
    clearInterval(awake);
    client.close();
  });
  return client;
}

async function pair(t: Test, answer: Service, options: Partial<WebhookClientOptions> = {}, of: ServiceOptions = {}) {
  const service = await startWebhook(t, answer, of);
  return { service, client: clientFor(t, service.url, options) };
}

const ask = (client: WebhookClient, body = '{"version":1}') => within(client.ask(body, signal), 'reply');

t.test('the question as it is sent', async (t) => {
  const { service, client } = await pair(t, YES, { token: 's3cret' });
  t.same(await ask(client, '{"user":"ä"}'), { ok: true, text: '{"allow":true}' });
  t.match(service.asked, [
    {
      method: 'POST',
      url: '/auth',
      headers: {
        host: `127.0.0.1:${service.port}`,
        'content-type': 'application/json',
        'content-length': '13',
        accept: 'application/json',
        'accept-encoding': 'identity',
        authorization: 'Bearer s3cret',
        'user-agent': 'sallyport',
      },
      body: { user: 'ä' },
    },
  ]);
  const { service: other, client: plain } = await pair(t, YES);
  await ask(plain);
  t.equal(other.asked[0]?.headers.authorization, undefined, 'no token, no header');
});

t.test('connections are kept, and there are no more than allowed', async (t) => {
  const { service, client } = await pair(t, YES, { maxConnections: 3 });
  for (let count = 0; count < 20; count++) t.match(await ask(client), { ok: true });
  t.equal(service.connections(), 1, 'twenty questions in a row, one connection');

  const gate = deferred<void>();
  let most = 0;
  service.answer = async () => {
    most = Math.max(most, client.running);
    await gate.promise;
    return { allow: true };
  };
  const asked = Array.from({ length: 30 }, () => ask(client));
  t.equal(client.running, 3);
  t.equal(client.waiting, 27);
  gate.resolve();
  t.ok((await Promise.all(asked)).every(({ ok }) => ok));
  t.equal(most, 3);
  t.equal(service.connections(), 3, 'thirty at once, three connections');
  t.equal(client.running + client.waiting, 0);
});

t.test('a full queue refuses at once', async (t) => {
  const { client } = await pair(t, () => undefined, { maxConnections: 1, maxWaiting: 1 });
  const first = client.ask('{}', signal);
  const second = client.ask('{}', signal);
  t.same(await ask(client), { ok: false, code: 'POOL_BUSY', detail: 'is asked too much at once' });
  client.close();
  const gone = { ok: false, code: 'WEBHOOK_FAILED', detail: 'was not waited for: the connection has ended' };
  t.same(await Promise.all([first, second]), [gone, gone]);
  t.same(await ask(client), gone, 'and a closed one takes none');
});

t.test('the peer leaves: its question leaves the queue, or its connection is cut', async (t) => {
  const heard = deferred<void>();
  const { service, client } = await pair(t, () => heard.resolve() as undefined, { maxConnections: 1 });
  const [leaves, waits] = [new AbortController(), new AbortController()];
  const first = client.ask('{"n":1}', leaves.signal);
  await within(heard.promise, 'question');
  const second = client.ask('{"n":2}', waits.signal);
  const third = client.ask('{"n":3}', signal);
  waits.abort();
  t.match(await second, { ok: false, code: 'WEBHOOK_FAILED' });
  t.equal(client.waiting, 1);
  service.answer = YES;
  const [socket] = service.open;
  if (socket === undefined) throw new Error('no connection');
  const closed = once(socket, 'close');
  leaves.abort();
  t.match(await first, { ok: false, code: 'WEBHOOK_FAILED' });
  await within(closed, 'end of the connection');
  t.match(await within(third, 'reply'), { ok: true });
  t.same(
    service.asked.map(({ body }) => body.n),
    [1, 3],
  );
  const late = new AbortController();
  late.abort();
  t.match(await client.ask('{}', late.signal), { ok: false });
});

t.test('no answer in time, whatever comes meanwhile', async (t) => {
  const drip = (response: ServerResponse, text: string): undefined => {
    response.writeHead(200, { 'content-type': 'application/json' }).write(text);
    const timer = setInterval(() => response.write(text), 5);
    response.on('close', () => clearInterval(timer));
    return undefined;
  };
  for (const [name, answer] of [
    ['silence', () => undefined],
    ['half a header', (_asked, response) => raw(response, 'HTTP/1.1 200 OK\r\nContent-')],
    ['interim answers', (_asked, response) => raw(response, 'HTTP/1.1 102 Processing\r\n\r\n'.repeat(50))],
    ['blanks, chunk by chunk', (_asked, response) => drip(response, ' ')],
    [
      'half a body',
      (_asked, response) =>
        raw(response, 'HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 99\r\n\r\n{'),
    ],
  ] as readonly (readonly [string, Service])[]) {
    const { client } = await pair(t, answer, { timeoutMs: 100 });
    t.same(await ask(client), { ok: false, code: 'WEBHOOK_FAILED', detail: 'gave no answer in 100 ms' }, name);
    t.equal(client.running, 0);
  }
});

t.test('the wait counts too, and its end makes room', async (t) => {
  const clock = new FakeClock();
  const { client } = await pair(t, () => undefined, {
    timeoutMs: 1000,
    maxConnections: 1,
    after: (delayMs, action) => clock.after(delayMs, action),
  });
  const first = client.ask('{}', signal);
  clock.advance(600);
  const second = client.ask('{}', signal);
  clock.advance(400);
  t.match(await first, { ok: false, detail: 'gave no answer in 1000 ms' });
  t.equal(client.running, 1);
  clock.advance(600);
  t.match(await second, { ok: false, detail: 'gave no answer in 1000 ms' });
  t.equal(client.running, 0);
  t.equal(clock.pending, 0);
});

const headers = (more: string, body: string): string =>
  `HTTP/1.1 200 OK\r\n${more}Content-Length: ${Buffer.byteLength(body)}\r\n\r\n${body}`;
const JSON_TYPE = 'Content-Type: application/json\r\n';
const status =
  (code: number, more: Record<string, string> = {}): Service =>
  (_asked, response) => {
    response
      .writeHead(code, { 'content-type': 'application/json', ...more })
      .end('{"allow": true, "reason": "hunter2"}');
    return undefined;
  };
const bytes =
  (text: string): Service =>
  (_asked, response) =>
    raw(response, text);

const BAD: readonly (readonly [string, Service, string | RegExp])[] = [
  ['500', status(500), 'answered 500, wanted 200'],
  ['403', status(403), 'answered 403, wanted 200'],
  ['201', status(201), 'answered 201, wanted 200'],
  ['204', status(204), 'answered 204, wanted 200'],
  [
    'a redirect to elsewhere',
    status(302, { location: 'http://127.0.0.1:1/' }),
    'answered 302: redirects are not followed',
  ],
  ['a redirect that keeps the method', status(307, { location: '/other' }), 'answered 307: redirects are not followed'],
  ['another type', bytes(headers('Content-Type: text/html\r\n', '{"allow":true}')), /another content type/],
  ['no type', bytes(headers('', '{"allow":true}')), /another content type/],
  [
    'another charset',
    bytes(headers('Content-Type: application/json; charset=latin1\r\n', '{"allow":true}')),
    /another content type/,
  ],
  ['a longer type', bytes(headers('Content-Type: application/json-seq\r\n', '{"allow":true}')), /another content type/],
  ['compressed', bytes(headers(`${JSON_TYPE}Content-Encoding: gzip\r\n`, '{"allow":true}')), /content encoding/],
  [
    'not UTF-8',
    (_asked, response) =>
      void response.writeHead(200, { 'content-type': 'application/json' }).end(Buffer.from([0x22, 0xff, 0x22])),
    'answered what is not UTF-8',
  ],
  [
    'huge, and says so',
    bytes(`HTTP/1.1 200 OK\r\n${JSON_TYPE}Content-Length: 1000000000\r\n\r\n`),
    /more than 65536 bytes/,
  ],
  ['huge, in chunks for ever', (_asked, response) => endless(response), `answered more than ${MAX_ANSWER_BYTES} bytes`],
  [
    'huge headers',
    bytes(`HTTP/1.1 200 OK\r\nX: ${'hunter2'.repeat(10_000)}\r\n\r\n`),
    /^cannot be reached: .*[Hh]eader/,
  ],
  ['no HTTP', bytes('hunter2 hunter2\r\n\r\n'), /^cannot be reached: Parse Error/],
  [
    'two lengths',
    bytes(`HTTP/1.1 200 OK\r\n${JSON_TYPE}Content-Length: 2\r\nContent-Length: 3\r\n\r\n{}`),
    /^cannot be reached: Parse Error/,
  ],
  [
    'a length and chunks',
    bytes(`HTTP/1.1 200 OK\r\n${JSON_TYPE}Content-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n`),
    /^cannot be reached: Parse Error/,
  ],
  [
    'an upgrade',
    bytes('HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: Upgrade\r\n\r\n'),
    /^(cannot be reached|closed the connection)/,
  ],
  [
    'closed before an answer',
    (_asked, response) => void response.socket?.destroy(),
    /^cannot be reached: socket hang up/,
  ],
  [
    'closed in the middle',
    (_asked, response) =>
      void response.socket?.end(`HTTP/1.1 200 OK\r\n${JSON_TYPE}Content-Length: 99\r\n\r\n{"allow":true}`),
    /^(broke off|cannot be reached)/,
  ],
  [
    'closed within a chunk',
    (_asked, response) =>
      void response.socket?.end(
        `HTTP/1.1 200 OK\r\n${JSON_TYPE}Transfer-Encoding: chunked\r\n\r\n99\r\n{"allow":true}`,
      ),
    /^(broke off|cannot be reached)/,
  ],
];

function endless(response: ServerResponse): undefined {
  response.writeHead(200, { 'content-type': 'application/json' });
  const chunk = ' '.repeat(16_384);
  const more = (): void => {
    while (!response.destroyed && response.write(chunk)) {
      // until its socket is full
    }
  };
  response.on('drain', more);
  more();
  return undefined;
}

for (const [name, answer, detail] of BAD)
  t.test(`bad: ${name}`, async (t) => {
    const { client } = await pair(t, answer);
    const reply: WebhookReply = await ask(client);
    t.match(reply, { ok: false, code: 'WEBHOOK_FAILED', detail });
    t.notMatch(JSON.stringify(reply), /hunter2/, 'nothing of the answer is repeated');
    t.equal(client.running, 0);
  });

t.test('good types in other spellings', async (t) => {
  for (const type of ['application/json; charset=utf-8', 'application/json;charset="UTF-8"', 'Application/JSON']) {
    const { client } = await pair(t, bytes(headers(`Content-Type: ${type}\r\n`, '{"allow":true}')));
    t.same(await ask(client), { ok: true, text: '{"allow":true}' }, type);
  }
});

t.test('nobody there', async (t) => {
  const client = clientFor(t, `http://127.0.0.1:${await freePort()}/auth`);
  t.match(await ask(client), { ok: false, code: 'WEBHOOK_FAILED', detail: /^cannot be reached: .*ECONNREFUSED/ });
  const socket = clientFor(t, `unix:${tempDir(t)}/none.sock:/auth`);
  t.match(await ask(socket), { ok: false, detail: /^cannot be reached: .*ENOENT/ });
});

t.test('a kept connection that the service closes just then: asked again, once', async (t) => {
  const { service, client } = await pair(t, YES);
  t.match(await ask(client), { ok: true });
  let dropped = 0;
  service.answer = (_asked, response) => {
    if (dropped++ > 0) return { allow: true };
    response.socket?.destroy();
    return undefined;
  };
  t.match(await ask(client), { ok: true });
  t.equal(service.asked.length, 3);
  t.equal(service.connections(), 2);
  service.answer = (_asked, response) => void response.socket?.destroy();
  t.match(await ask(client), { ok: false, detail: /socket hang up/ });
});

t.test('retired: what is asked is answered, and no connection is kept', async (t) => {
  const { service, client } = await pair(t, YES);
  t.match(await ask(client), { ok: true });
  const [kept] = service.open;
  if (kept === undefined) throw new Error('no connection');
  const gone = once(kept, 'close');
  client.retire();
  await within(gone, 'end of the idle connection');
  const heard = deferred<void>();
  const gate = deferred<void>();
  service.answer = async () => {
    heard.resolve();
    await gate.promise;
    return { allow: true };
  };
  const late = ask(client);
  await within(heard.promise, 'question');
  const [used] = service.open;
  if (used === undefined) throw new Error('no connection');
  const ended = once(used, 'close');
  client.retire();
  gate.resolve();
  t.match(await late, { ok: true });
  await within(ended, 'end of the connection');
});

t.test('by a Unix socket', async (t) => {
  const { service, client } = await pair(t, YES, {}, { socketPath: join(tempDir(t), 'login.sock') });
  for (let count = 0; count < 5; count++) t.match(await ask(client), { ok: true });
  t.equal(service.connections(), 1);
  t.match(service.asked[0], { url: '/auth', headers: { host: 'localhost' } });
});

t.test('a certificate that nobody vouches for', async (t) => {
  if (!need(t, ['openssl'])) return;
  const { tls } = await selfSigned(t);
  const before = process.env.NODE_TLS_REJECT_UNAUTHORIZED;
  t.teardown(() => {
    if (before === undefined) delete process.env.NODE_TLS_REJECT_UNAUTHORIZED;
    else process.env.NODE_TLS_REJECT_UNAUTHORIZED = before;
  });
  process.env.NODE_TLS_REJECT_UNAUTHORIZED = '0';
  const { service, client } = await pair(t, YES, {}, { tls });
  t.match(await ask(client), {
    ok: false,
    code: 'WEBHOOK_FAILED',
    detail: /^cannot be reached: self-signed certificate/,
  });
  t.same(service.asked, [] satisfies Asked[], 'nothing was asked');
});

t.test('no TLS where TLS is wanted', async (t) => {
  const plain = createServer((socket) => {
    socket.on('error', () => {});
    socket.end('HTTP/1.1 200 OK\r\n\r\n');
  });
  plain.listen(0, '127.0.0.1');
  await once(plain, 'listening');
  t.teardown(() => plain.close());
  const address = plain.address();
  const port = address !== null && typeof address === 'object' ? address.port : 0;
  t.match(await ask(clientFor(t, `https://127.0.0.1:${port}/`)), { ok: false, code: 'WEBHOOK_FAILED' });
});
