/** HAND-OVER and TAKE-OVER, both ends in one process: listening sockets over a handle pipe. */
import { once } from 'node:events';
import net from 'node:net';
import t, { type Test } from 'tap';
import { HandOver } from '../../src/master/hand_over.js';
import { openStateSocket } from '../../src/master/state_socket.js';
import { Predecessor } from '../../src/master/take_over.js';
import { HandlePipe } from '../../src/shared/handle_pipe.js';
import { closeHandle } from '../../src/shared/handles.js';
import { takeoverPath } from '../../src/shared/takeover.js';
import { deferred, within } from '../support/deadline.js';
import { FakeClock } from '../support/fake_clock.js';
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
  const listeners = servers.map((server, index) => ({
    server,
    name: listen[index] ?? '',
    address: addressOf(server),
  }));
  const letGo: number[] = [];
  const troubles: string[] = [];
  const clock = new FakeClock();
  const over = new HandOver({
    listen: () => listen,
    listeners: () => listeners,
    letGo: async (pid) => {
      letGo.push(pid);
      return [11, 12];
    },
    trouble: (text) => troubles.push(text),
    clock,
  });
  await over.open(stateDir);
  t.teardown(() => over.close());
  return { stateDir, servers, letGo, troubles, clock, over };
}

/** A pipe to whoever listens there. */
async function pipeTo(path: string) {
  const closed = deferred<void>();
  const said: unknown[] = [];
  const pipe = await HandlePipe.connect(path, { value: (value) => said.push(value), closed: closed.resolve });
  return { pipe, said, closed: () => within(closed.promise, 'end of the pipe') };
}

/** The next one to ask, once the end of the one before has been read. */
async function next(stateDir: string, clock: FakeClock): Promise<Predecessor> {
  for (;;) {
    try {
      const predecessor = await Predecessor.find(stateDir, LISTEN, clock);
      if (predecessor === null) throw new Error('nobody there');
      return predecessor;
    } catch (error) {
      if (!/another one takes over/.test(String(error))) throw error;
    }
  }
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
  const { stateDir, servers, letGo, clock } = await running(t);
  const predecessor = await Predecessor.find(stateDir, LISTEN, clock);
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
  t.same(await predecessor?.accepting(), [11, 12], 'the workers that will come');
  t.same(letGo, [process.pid]);
  for (const server of servers) server.close();
  for (const heir of heirs) t.equal(await whoAnswers(addressOf(heir).port), 'new', 'on the same port');
});

t.test('who gives up leaves the old one free for the next', async (t) => {
  const { stateDir, letGo, clock } = await running(t);
  const first = await Predecessor.find(stateDir, LISTEN, clock);
  await t.rejects(Predecessor.find(stateDir, LISTEN, clock), {
    code: 'LISTEN_FAILED',
    message: /another one takes over/,
  });
  for (const { handle } of (await first?.listeners()) ?? []) closeHandle(handle);
  first?.giveUp();
  const second = await within(next(stateDir, clock), 'free place');
  t.ok(second);
  second?.giveUp();
  t.same(letGo, []);
});

t.test('other addresses, and what is no message of ours, are refused', async (t) => {
  const { stateDir, clock } = await running(t);
  await t.rejects(Predecessor.find(stateDir, ['127.0.0.1:1'], clock), {
    code: 'LISTEN_FAILED',
    message: /it listens on 127\.0\.0\.1:0, 127\.0\.0\.1:0, and this one is to listen on 127\.0\.0\.1:1/,
  });
  const stranger = await pipeTo(takeoverPath(stateDir));
  stranger.pipe.send({ type: 'hello' });
  await stranger.closed();
});

t.test('nobody there', async (t) => {
  t.equal(await Predecessor.find(tempDir(t), LISTEN, new FakeClock()), null);
});

t.test('sockets that do not come leave the old one free for the next', async (t) => {
  const { stateDir, servers, clock } = await running(t);
  const first = await next(stateDir, clock);
  servers[1]?.close();
  await t.rejects(first.listeners(), { code: 'LISTEN_FAILED', message: /its sockets do not come/ });
  const second = await within(next(stateDir, clock), 'free place');
  t.ok(second);
  second.giveUp();
});

t.test('a successor that is not ready in time is told, and the old one goes on', async (t) => {
  const { stateDir, clock, letGo, troubles, over } = await running(t);
  const silent = await pipeTo(takeoverPath(stateDir));
  const first = await next(stateDir, clock);
  for (const { handle } of await first.listeners()) closeHandle(handle);
  t.doesNotThrow(() => first.stillWaits());
  t.equal(over.isUnderWay, true);
  clock.advance(60_000);
  t.equal(over.isUnderWay, true, 'its `done` may lie unread');
  clock.poll();
  t.equal(over.isUnderWay, false);
  t.match(troubles, [/has not taken over within 60 s/]);
  await t.rejects(first.accepting(), { code: 'LISTEN_FAILED', message: /it goes on by itself after 60 s/ });
  t.throws(() => first.stillWaits(), { message: /it goes on by itself/ });
  await silent.closed();
  t.same(letGo, []);
  const second = await next(stateDir, clock);
  t.ok(second);
  second.giveUp();
});

t.test('an old server that hangs is not waited for', async (t) => {
  const stateDir = tempDir(t);
  const clock = new FakeClock();
  const asked = deferred<void>();
  const sockets: net.Socket[] = [];
  const hanging = net.createServer((socket) => {
    sockets.push(socket);
    socket.once('data', () => asked.resolve());
  });
  const outcome = await openStateSocket(takeoverPath(stateDir), hanging);
  if (outcome.kind !== 'open') throw new Error(outcome.kind);
  t.teardown(() => {
    for (const socket of sockets) socket.destroy();
    return outcome.socket.close();
  });
  const finding = Predecessor.find(stateDir, LISTEN, clock);
  await within(asked.promise, 'question');
  clock.advance(5_000);
  await t.rejects(finding, { code: 'LISTEN_FAILED', message: /it has not answered within 5 s/ });
});

t.test('a server that ends lets all pipes go, also of those that never asked', async (t) => {
  const { stateDir, clock, over } = await running(t);
  const silent = await pipeTo(takeoverPath(stateDir));
  const first = await next(stateDir, clock); // by its answer, both have come
  await over.close();
  await silent.closed();
  t.equal(await first.accepting(), null, 'nobody is left to wait for');
  t.equal(clock.pending, 0);
});

t.test(
  'one of an earlier build does not say which workers will come; other words than ours end the talk',
  async (t) => {
    const accepting = async (answer: object): Promise<readonly number[] | null> => {
      const stateDir = tempDir(t);
      const replies = [{ type: 'offer', pid: 7, listeners: [] }, answer];
      const earlier = net.createServer({ pauseOnConnect: true }, (socket) => {
        const pipe = HandlePipe.over(socket, { value: () => pipe?.send(replies.shift() ?? {}), closed() {} });
      });
      const outcome = await openStateSocket(takeoverPath(stateDir), earlier);
      if (outcome.kind !== 'open') throw new Error(outcome.kind);
      t.teardown(() => outcome.socket.close());
      const predecessor = await Predecessor.find(stateDir, LISTEN, new FakeClock());
      if (predecessor === null) throw new Error('nobody there');
      return await predecessor.accepting();
    };
    t.same(await accepting({ type: 'yours', workers: [] }), []);
    t.equal(await accepting({ type: 'yours' }), null);
    for (const workers of [11, ['11'], null]) t.equal(await accepting({ type: 'yours', workers }), null);
  },
);
