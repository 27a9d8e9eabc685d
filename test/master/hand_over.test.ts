/** HAND-OVER and TAKE-OVER, both ends in one process: listening sockets over a handle pipe. */
import { once } from 'node:events';
import net from 'node:net';
import { join } from 'node:path';
import t, { type Test } from 'tap';
import { HandOver } from '../../src/master/hand_over.js';
import { Predecessor } from '../../src/master/take_over.js';
import { HandlePipe } from '../../src/shared/handle_pipe.js';
import { closeHandle } from '../../src/shared/handles.js';
import { deferred, within } from '../support/deadline.js';
import { tempDir } from '../support/temp.js';

const LISTEN = ['127.0.0.1:0', '127.0.0.1:0'];

async function running(t: Test, listen: readonly string[] = LISTEN) {
  const stateDir = tempDir(t);
  const servers = await Promise.all(
    listen.map(async () => {
      const server = net.createServer((socket) => socket.end('old')).listen(0, '127.0.0.1');
      await once(server, 'listening');
      t.teardown(() => server.close());
      return server;
    }),
  );
  const letGo: number[] = [];
  const over = new HandOver({
    listen: () => listen,
    listeners: () =>
      servers.map((server, index) => ({ server, name: listen[index] ?? '', address: addressOf(server) })),
    letGo: async (pid) => {
      letGo.push(pid);
    },
    trouble: (text) => t.fail(text),
  });
  await over.open(stateDir);
  t.teardown(() => over.close());
  return { stateDir, servers, letGo, over };
}

function addressOf(server: net.Server) {
  const address = server.address();
  if (address === null || typeof address === 'string') throw new Error('no address');
  return { kind: 'tcp', address: address.address, port: address.port } as const;
}

async function whoAnswers(port: number): Promise<string> {
  const socket = net.connect(port, '127.0.0.1');
  const [data]: Buffer[] = await within(once(socket, 'data'), 'an answer');
  socket.destroy();
  return String(data);
}

t.test('the sockets come one by one, and the old one serves until it is told', async (t) => {
  const { stateDir, servers, letGo } = await running(t);
  const predecessor = await Predecessor.find(stateDir, LISTEN);
  t.equal(predecessor?.pid, process.pid);
  const taken = (await predecessor?.listeners()) ?? [];
  t.same(
    taken.map(({ name, address }) => ({ name, address })),
    servers.map((server) => ({ name: '127.0.0.1:0', address: addressOf(server) })),
  );
  for (const server of servers) t.equal(await whoAnswers(addressOf(server).port), 'old');
  const heirs = taken.map(({ handle }) => net.createServer((socket) => socket.end('new')).listen(handle));
  await Promise.all(heirs.map((heir) => once(heir, 'listening')));
  t.teardown(() => heirs.map((heir) => heir.close()));
  t.same(letGo, []);
  await predecessor?.accepting();
  t.same(letGo, [process.pid]);
  for (const server of servers) server.close();
  for (const heir of heirs) t.equal(await whoAnswers(addressOf(heir).port), 'new', 'on the same port');
});

t.test('who gives up leaves the old one free for the next', async (t) => {
  const { stateDir, letGo } = await running(t);
  const first = await Predecessor.find(stateDir, LISTEN);
  await t.rejects(Predecessor.find(stateDir, LISTEN), { code: 'LISTEN_FAILED', message: /another one takes over/ });
  for (const { handle } of (await first?.listeners()) ?? []) closeHandle(handle);
  first?.giveUp();
  await new Promise((resolve) => setTimeout(resolve, 50)); // its end has to be read
  const second = await Predecessor.find(stateDir, LISTEN);
  t.ok(second);
  second?.giveUp();
  t.same(letGo, []);
});

t.test('other addresses, and what is no message of ours, are refused', async (t) => {
  const { stateDir } = await running(t);
  await t.rejects(Predecessor.find(stateDir, ['127.0.0.1:1']), {
    code: 'LISTEN_FAILED',
    message: /it listens on 127\.0\.0\.1:0, 127\.0\.0\.1:0, and this one is to listen on 127\.0\.0\.1:1/,
  });
  const closed = deferred<void>();
  const pipe = await HandlePipe.connect(join(stateDir, 'takeover.sock'), { value: () => {}, closed: closed.resolve });
  pipe.send({ type: 'hello' });
  await within(closed.promise, 'end of a stranger');
});

t.test('nobody there', async (t) => {
  t.equal(await Predecessor.find(tempDir(t), LISTEN), null);
});
