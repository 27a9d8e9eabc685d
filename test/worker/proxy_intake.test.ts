/** A connection that a proxy brings, in one worker: in any pieces, with SSH right behind, until the primary has judged. */
import { once } from 'node:events';
import { connect, type Socket } from 'node:net';
import { mock } from 'node:test';
import t, { type Test } from 'tap';
import type { Admitted } from '../../src/shared/ipc.js';
import { deferred, within } from '../support/deadline.js';
import { type EndpointUnderTest, startEndpoint } from '../support/endpoint_under_test.js';
import { bodyV2, headerV1, headerV2 } from '../support/proxy_header.js';

const SOURCE = { address: '192.0.2.1', port: 50_000 };
const HEADERS = {
  v1: headerV1(SOURCE, { address: '198.51.100.2', port: 22 }),
  v2: headerV2(bodyV2([192, 0, 2, 1], [198, 51, 100, 2], [50_000, 22])),
};
const IDENT = Buffer.from('SSH-2.0-Client\r\n');
const OURS = 'SSH-2.0-Sallyport\r\n';

interface Peer {
  readonly socket: Socket;
  /** Everything until the end. */
  readonly whole: () => Promise<string>;
}

async function peerOf(t: Test, server: EndpointUnderTest): Promise<Peer> {
  const socket = connect({ host: server.host, port: server.port, allowHalfOpen: true });
  t.teardown(() => socket.destroy());
  const chunks: Buffer[] = [];
  socket.on('data', (chunk: Buffer) => chunks.push(chunk)).on('error', () => {});
  await once(socket, 'connect');
  const ended = new Promise<void>((resolve) => socket.once('end', resolve).once('close', () => resolve()));
  return {
    socket,
    async whole() {
      await within(ended, 'end of the connection');
      return Buffer.concat(chunks).toString('latin1');
    },
  };
}

/** KEXINIT of ours comes only behind their ident. */
async function untilKex(socket: Socket): Promise<void> {
  let bytes = 0;
  const { promise, resolve } = deferred<void>();
  socket.on('data', (chunk: Buffer) => {
    bytes += chunk.length;
    if (bytes > OURS.length) resolve();
  });
  await within(promise, 'key exchange');
}

for (const [name, header] of Object.entries(HEADERS)) {
  t.test(`${name}: with the ident in one piece, behind it, and byte by byte`, async (t) => {
    const server = await startEndpoint(t, { proxied: true });
    const all = Buffer.concat([header, IDENT]);
    for (const size of [all.length, header.length, 1]) {
      const { socket } = await peerOf(t, server);
      const kex = untilKex(socket);
      socket.setNoDelay(true);
      for (let at = 0; at < all.length; at += size) {
        socket.write(all.subarray(at, at + size));
        await new Promise((resolve) => setImmediate(resolve));
      }
      await kex;
      socket.destroy();
      const closed = await server.primary.wait('connection.closed', ({ peer }) => peer === '192.0.2.1:50000');
      t.not(closed.reason, 'IDENT_INVALID');
    }
    t.same(server.primary.clients, [SOURCE, SOURCE, SOURCE]);
  });
}

t.test('nothing is said before the verdict; what was sent meanwhile is not lost', async (t) => {
  const server = await startEndpoint(t, { proxied: true });
  const verdict = deferred<Admitted>();
  server.primary.proxiedAnswer = verdict.promise;
  const { socket } = await peerOf(t, server);
  let heard = 0;
  socket.on('data', (chunk: Buffer) => {
    heard += chunk.length;
  });
  socket.write(Buffer.concat([HEADERS.v2, IDENT.subarray(0, 5)]));
  while (server.primary.clients.length === 0) await new Promise((resolve) => setImmediate(resolve));
  socket.write(IDENT.subarray(5));
  await new Promise((resolve) => setImmediate(resolve));
  t.equal(heard, 0);
  const kex = untilKex(socket);
  verdict.resolve({ admit: true });
  await kex;
});

t.test('who is turned away at the door reads its words, and no event of ours tells it again', async (t) => {
  const server = await startEndpoint(t, { proxied: true });
  for (const lastWords of ['Not allowed at this time\r\n', '']) {
    server.primary.proxiedAnswer = { admit: false, lastWords };
    const { socket, whole } = await peerOf(t, server);
    socket.write(Buffer.concat([HEADERS.v1, IDENT]));
    t.equal(await whole(), lastWords);
  }
  while (server.primary.closedIds.length < 2) await new Promise((resolve) => setImmediate(resolve));
  t.same(server.primary.events, []);
});

t.test('no primary: nobody is let in unjudged', async (t) => {
  const server = await startEndpoint(t, { proxied: true });
  server.primary.proxiedAnswer = null;
  const { socket, whole } = await peerOf(t, server);
  socket.write(HEADERS.v1);
  t.equal(await whole(), '');
  t.match(await server.primary.wait('connection.closed'), { reason: 'DRAINED', detail: /no primary/ });
});

t.test('LOCAL and UNKNOWN: the proxy itself', async (t) => {
  const server = await startEndpoint(t, { proxied: true });
  for (const header of [headerV2(Buffer.alloc(0), 0x20, 0), Buffer.from('PROXY UNKNOWN\r\n')]) {
    const { socket } = await peerOf(t, server);
    const kex = untilKex(socket);
    socket.write(Buffer.concat([header, IDENT]));
    await kex;
    const { localPort } = socket;
    socket.destroy();
    t.ok(await server.primary.wait('connection.closed', ({ peer }) => peer === `127.0.0.1:${localPort}`));
  }
  t.same(server.primary.clients, [null, null]);
});

t.test('an ident where a header is due, a broken header, and a peer that leaves', async (t) => {
  const server = await startEndpoint(t, { proxied: true });
  const gone = async (text: string): Promise<string> => {
    const { socket, whole } = await peerOf(t, server);
    const { localPort } = socket;
    if (text === '') socket.end();
    else socket.write(text);
    const heard = await whole();
    const closed = await server.primary.wait('connection.closed', ({ peer }) => peer === `127.0.0.1:${localPort}`);
    return `${closed.reason} ${closed.detail ?? ''}: ${heard}`;
  };
  t.equal(await gone('SSH-2.0-Client\r\n'), 'PROXY_MISSING there is no PROXY header: PROXY header expected.\r\n');
  t.equal(await gone('PROXY TCP4 1 2 3 4\r\n'), 'PROXY_INVALID an address is none of its family: ');
  t.equal(await gone(''), 'PEER_CLOSED before its PROXY header: ');
  t.same(server.primary.clients, [null, null, null], 'each was there, as its own, before it had ended');
});

t.test('silence, and a header that takes too long', async (t) => {
  const server = await startEndpoint(t, { proxied: true });
  mock.timers.enable({ apis: ['setTimeout'] });
  t.teardown(() => mock.timers.reset());
  const [silent, slow] = [await peerOf(t, server), await peerOf(t, server)];
  slow.socket.write(HEADERS.v1.subarray(0, 20));
  while (server.endpoint.load().connections < 2) await new Promise((resolve) => setImmediate(resolve));
  mock.timers.tick(5_000);
  mock.timers.reset();
  t.same([await silent.whole(), await slow.whole()], ['', '']);
  t.same(
    server.primary.list('connection.closed').map(({ reason }) => reason),
    ['PROXY_TIMEOUT', 'PROXY_TIMEOUT'],
  );
});
