import { once } from 'node:events';
import net from 'node:net';
import { join } from 'node:path';
import t, { type Test } from 'tap';
import {
  acceptHandles,
  adoptHandle,
  closeHandle,
  endHandle,
  handleOf,
  isTcpHandle,
  lastWords,
  peerOfHandle,
  requireHandles,
  resetSocket,
  type TcpHandle,
  takeHandle,
} from '../../src/shared/handles.js';
import { within } from '../support/deadline.js';
import { connect, startTarget } from '../support/targets.js';
import { tempDir } from '../support/temp.js';

/** A server with a paused socket, and its peer. */
async function pair(t: Test): Promise<{ server: net.Server; socket: net.Socket; peer: net.Socket }> {
  const server = net.createServer({ pauseOnConnect: true, allowHalfOpen: true });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const address = server.address();
  if (address === null || typeof address === 'string') throw new Error('no port');
  const peer = net.connect({ host: '127.0.0.1', port: address.port, allowHalfOpen: true });
  peer.on('error', () => {});
  const [socket]: net.Socket[] = await within(once(server, 'connection'), 'connection');
  if (socket === undefined) throw new Error('no socket');
  t.teardown(() => {
    peer.destroy();
    server.close();
  });
  return { server, socket, peer };
}

async function read(socket: net.Socket, length: number): Promise<string> {
  let text = '';
  for await (const chunk of socket) {
    text += String(chunk);
    if (text.length >= length) break;
  }
  return text;
}

t.test('what is a TCP handle', async (t) => {
  const { socket } = await pair(t);
  t.ok(isTcpHandle(handleOf(socket)));
  for (const other of [undefined, null, 1, 'x', {}, socket, { close() {}, readStart() {}, readStop() {} }])
    t.notOk(isTcpHandle(other));
  t.equal(handleOf(new net.Socket()), undefined, 'a socket that is not connected has none');
  socket.destroy();
  t.equal(handleOf(socket), undefined, 'nor has a closed one');
  t.doesNotThrow(requireHandles);
});

t.test('a taken handle leaves nothing with the server, and nothing was read', async (t) => {
  const { server, socket, peer } = await pair(t);
  peer.write('early');
  const handle = takeHandle(socket);
  if (handle === undefined) throw new Error('no handle');
  t.equal(handle.bytesRead, 0);
  t.ok(socket.destroyed);
  t.equal(takeHandle(socket), undefined, 'it can be taken once');
  server.getConnections((_error, count) => t.equal(count, 0));
  server.close();
  await within(once(server, 'close'), 'close of a server whose socket was taken');
  const adopted = adoptHandle(handle);
  t.equal(await within(read(adopted, 5), 'early bytes'), 'early');
});

t.test('an adopted handle works both ways, half-closed too', async (t) => {
  const { socket, peer } = await pair(t);
  const handle = takeHandle(socket);
  if (handle === undefined) throw new Error('no handle');
  const adopted = adoptHandle(handle);
  peer.end('question');
  const chunks: Buffer[] = [];
  adopted.on('data', (chunk: Buffer) => chunks.push(chunk));
  await within(once(adopted, 'end'), 'end of the question');
  adopted.end(`answer to ${Buffer.concat(chunks)}`);
  t.equal(await within(read(peer, 18), 'answer'), 'answer to question');
});

t.test('onread: bytes land in our buffer; false pauses, resume goes on', async (t) => {
  const { socket, peer } = await pair(t);
  const handle = takeHandle(socket);
  if (handle === undefined) throw new Error('no handle');
  const buffer = Buffer.alloc(4);
  const seen: string[] = [];
  let told = (): void => {};
  const adopted = adoptHandle(handle, {
    onread: {
      buffer,
      callback(bytesRead, into) {
        t.equal(into, buffer, 'the very buffer');
        seen.push(Buffer.from(into.subarray(0, bytesRead)).toString());
        told();
        return false;
      },
    },
  });
  t.teardown(() => adopted.destroy());
  const next = (): Promise<void> =>
    within(
      new Promise((resolve) => {
        told = resolve;
      }),
      'bytes',
    );
  let more = next();
  peer.write('abcdefgh');
  await more;
  t.same(seen, ['abcd'], 'paused after the first');
  more = next();
  adopted.resume();
  await more;
  t.same(seen, ['abcd', 'efgh']);
});

t.test('paused: not a byte is read before resume', async (t) => {
  const { socket, peer } = await pair(t);
  const handle = takeHandle(socket);
  if (handle === undefined) throw new Error('no handle');
  const adopted = adoptHandle(handle, { paused: true });
  t.teardown(() => adopted.destroy());
  peer.write('x');
  await new Promise((resolve) => setImmediate(resolve));
  t.equal(adopted.bytesRead, 0);
  adopted.resume();
  await within(once(adopted, 'data'), 'data');
});

t.test('close and end: the peer sees the end, calling twice harms nobody', async (t) => {
  for (const stop of [closeHandle, endHandle]) {
    const { socket, peer } = await pair(t);
    const handle = takeHandle(socket);
    if (handle === undefined) throw new Error('no handle');
    stop(handle);
    peer.resume();
    await within(once(peer, 'end'), `end after ${stop.name}`);
    stop(handle);
    closeHandle(handle);
    t.ok(handle.fd < 0);
  }
});

t.test('a reset, whatever has become of our side: the peer is told, and the descriptor is closed', async (t) => {
  const states: ReadonlyArray<readonly [string, (socket: net.Socket, peer: net.Socket) => unknown]> = [
    ['open', () => {}],
    ['ended in this turn', (socket) => void socket.end()],
    ['ended, and the kernel has it', (socket) => once(socket.end(), 'finish')],
    ['ended behind more than the kernel takes', (socket) => void socket.end(Buffer.alloc(32 * 1024 * 1024))],
    [
      'ended by the peer too',
      async (socket, peer) => {
        const end = once(socket.resume(), 'end');
        peer.end();
        await end;
        socket.end();
      },
    ],
  ];
  for (const [name, bring] of states) {
    const { socket, peer } = await pair(t);
    socket.on('error', (error) => t.fail(`${name}: ${error.message}`));
    const closed = within(once(socket, 'close'), `close of our side, ${name}`);
    await bring(socket, peer);
    resetSocket(socket);
    resetSocket(socket);
    await closed;
    if (name.endsWith('too')) continue; // both ends have been told: there is nothing to reset
    // By its reading, or by the very next write, which would reach one that was only closed.
    const isReset = new Promise((resolve) => {
      if (peer.destroyed) resolve(true);
      else peer.write('x', (error) => resolve(error instanceof Error));
    });
    t.ok(await within(isReset, 'write'), name);
  }
});

t.test('a Unix socket knows no reset, and is closed', async (t) => {
  const path = join(tempDir(t), 's');
  const { server } = await startTarget(t, (socket) => socket.resume(), path);
  const accepted = once(server, 'connection');
  const socket = await connect(t, path);
  const [peer]: net.Socket[] = await accepted;
  const ended = once(peer ?? socket, 'end');
  const closed = once(socket, 'close');
  resetSocket(socket);
  await within(Promise.all([ended, closed]), 'end of both');
});

t.test('last words reach the peer before the end, and harm nobody who has gone', async (t) => {
  const { socket, peer } = await pair(t);
  const handle = takeHandle(socket);
  if (handle === undefined) throw new Error('no handle');
  lastWords(handle, 'full\r\n');
  closeHandle(handle);
  t.equal(await within(read(peer, 6), 'the line'), 'full\r\n');
  lastWords(handle, 'closed already');
  const gone = await pair(t);
  const left = takeHandle(gone.socket);
  gone.peer.resetAndDestroy();
  await within(once(gone.peer, 'close'), 'reset');
  if (left !== undefined) for (let count = 0; count < 3; count++) lastWords(left, 'is anybody there?');
  t.pass();
  if (left !== undefined) closeHandle(left);
});

t.test('accepted handles come unread, with their peer; a failed accept is an error of the server', async (t) => {
  const server = net.createServer(() => t.fail('no socket is made'));
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  t.teardown(() => server.close());
  const address = server.address();
  if (address === null || typeof address === 'string') throw new Error('no port');
  const accepted = new Promise<TcpHandle>((resolve) => acceptHandles(server, resolve));
  const peer = net.connect({ host: '127.0.0.1', port: address.port });
  t.teardown(() => peer.destroy());
  peer.write('first bytes');
  const handle = await within(accepted, 'a handle');
  t.same(peerOfHandle(handle), { address: '127.0.0.1', port: peer.localPort });
  t.equal(handle.bytesRead, 0);
  const socket = adoptHandle(handle);
  t.equal(await within(read(socket, 11), 'the bytes'), 'first bytes');
  socket.destroy();
  t.equal(peerOfHandle(handle), undefined, 'a closed one has no peer');

  const failed = once(server, 'error');
  const listening: unknown = Reflect.get(server, '_handle');
  if (typeof listening !== 'object' || listening === null) throw new Error('no listening handle');
  Reflect.get(listening, 'onconnection').call(listening, -24); // EMFILE, as libuv tells it
  t.match(await within(failed, 'an error'), [{ code: 'EMFILE', syscall: 'accept' }]);
  t.throws(() => acceptHandles(net.createServer(), () => {}), { code: 'INTERNAL' }, 'a server that does not listen');
});
