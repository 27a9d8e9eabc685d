import { once } from 'node:events';
import net from 'node:net';
import { networkInterfaces } from 'node:os';
import t, { type Test } from 'tap';
import { systemClock } from '../../src/master/clock.js';
import {
  changeListeners,
  type ListenerOptions,
  openListeners,
  type ServerListeners,
  type Untouched,
} from '../../src/master/listener.js';
import { adoptHandle } from '../../src/shared/handles.js';
import { deferred, within } from '../support/deadline.js';
import { canBind, freePort } from '../support/targets.js';

interface Room {
  readonly listeners: ServerListeners;
  readonly options: ListenerOptions;
  readonly trouble: string[];
  /** The next socket. */
  readonly next: () => Promise<Untouched>;
}

async function open(t: Test, listen: readonly string[]): Promise<Room> {
  const trouble: string[] = [];
  const queue: Untouched[] = [];
  let wake = (): void => {};
  const options: ListenerOptions = {
    listen,
    fds: [],
    clock: systemClock,
    events: {
      arrived(socket) {
        queue.push(socket);
        wake();
      },
      trouble: (text) => trouble.push(text),
    },
  };
  const listeners = await openListeners(options);
  t.teardown(async () => {
    for (const socket of queue) socket.handle.close();
    await listeners.close();
  });
  return {
    listeners,
    options,
    trouble,
    async next() {
      const { promise, resolve } = deferred<void>();
      wake = resolve;
      if (queue.length > 0) resolve();
      await within(promise, 'arrival');
      const socket = queue.shift();
      if (socket === undefined) throw new Error('no socket');
      return socket;
    },
  };
}

function dial(t: Test, port: number, host = '127.0.0.1'): net.Socket {
  const socket = net.connect({ port, host });
  socket.on('error', () => {});
  t.teardown(() => socket.destroy());
  return socket;
}

function portOf({ listeners }: Room, index = 0): number {
  const address = listeners.addresses[index];
  if (address?.kind !== 'tcp') throw new Error('no port');
  return address.port;
}

t.test('a socket arrives untouched, with the address of its peer', async (t) => {
  const room = await open(t, ['127.0.0.1:0']);
  const far = dial(t, portOf(room));
  far.write('SSH-2.0-early\r\n');
  const socket = await room.next();
  t.match(socket.peer, { address: '127.0.0.1', port: far.localPort });
  t.equal(socket.handle.bytesRead, 0, 'not a byte was read');
  const adopted = adoptHandle(socket.handle);
  t.teardown(() => adopted.destroy());
  const [bytes] = await within(once(adopted, 'data'), 'bytes');
  t.equal(String(bytes), 'SSH-2.0-early\r\n');
});

t.test('a FIN before the hand-off does not end the socket', async (t) => {
  const room = await open(t, ['127.0.0.1:0']);
  const far = dial(t, portOf(room));
  far.end('last words');
  const adopted = adoptHandle((await room.next()).handle);
  const chunks: Buffer[] = [];
  adopted.on('data', (chunk: Buffer) => chunks.push(chunk));
  await within(once(adopted, 'end'), 'end');
  t.equal(String(Buffer.concat(chunks)), 'last words');
  t.ok(adopted.writable);
  adopted.end();
});

t.test('a peer that is reset before it is looked at is dropped without harm', async (t) => {
  const room = await open(t, ['127.0.0.1:0']);
  const gone = dial(t, portOf(room));
  await once(gone, 'connect');
  gone.resetAndDestroy();
  const far = dial(t, portOf(room));
  await within(once(far, 'connect'), 'connect');
  let socket = await room.next();
  while (socket.peer.port !== far.localPort) socket = await room.next();
  t.same(room.trouble, []);
});

const hasIpv6 = Object.values(networkInterfaces()).some((all) => all?.some(({ address }) => address === '::1'));

t.test('IPv4 and IPv6 on one port, as the default config has it', { skip: !hasIpv6 && 'no IPv6 here' }, async (t) => {
  const first = await open(t, ['0.0.0.0:0']);
  const port = portOf(first);
  const second = await open(t, [`[::]:${port}`]);
  dial(t, port, '::1');
  t.equal((await second.next()).peer.address, '::1');
  dial(t, port);
  t.equal((await first.next()).peer.address, '127.0.0.1');
});

t.test('what cannot be listened on is said, and nothing stays open', async (t) => {
  const taken = await open(t, ['127.0.0.1:0']);
  const text = `127.0.0.1:${portOf(taken)}`;
  await t.rejects(open(t, ['127.0.0.1:0', text]), {
    code: 'LISTEN_FAILED',
    message: `${text} is taken: a program listens there already; stop it or choose another port`,
  });
  await t.rejects(open(t, ['203.0.113.7:0']), { message: '203.0.113.7:0 is no address of this machine' });
  await t.rejects(open(t, ['nonsense']), { message: '"nonsense" is no HOST:PORT to listen on' });
  await t.rejects(open(t, []), { code: 'LISTEN_FAILED' });
});

t.test('close frees the port at once', async (t) => {
  const room = await open(t, ['127.0.0.1:0']);
  const port = portOf(room);
  await within(room.listeners.close(), 'close');
  const again = await open(t, [`127.0.0.1:${port}`]);
  t.equal(portOf(again), port);
});

t.test('another list of addresses: the new ones are opened, the common ones stay, the others are closed', async (t) => {
  const room = await open(t, ['127.0.0.1:0', '127.0.0.2:0']);
  const [first, second] = [portOf(room, 0), portOf(room, 1)];
  const change = await changeListeners(room.listeners, { ...room.options, listen: ['127.0.0.2:0', '127.0.0.3:0'] });
  await once(dial(t, first), 'connect');
  await room.next(); // until it is kept, all are open
  t.match(change.addresses, [{ address: '127.0.0.2', port: second }, { address: '127.0.0.3' }]);
  change.keep();
  t.same(room.listeners.addresses, change.addresses);
  const [error] = await once(dial(t, first), 'error');
  t.match(error, { code: 'ECONNREFUSED' });
  for (const index of [0, 1]) {
    await once(dial(t, portOf(room, index), `127.0.0.${index + 2}`), 'connect');
    (await room.next()).handle.close();
  }
});

t.test('an address that cannot be had: all is as it was', async (t) => {
  const room = await open(t, ['127.0.0.1:0']);
  const taken = await open(t, ['127.0.0.2:0']);
  const before = room.listeners.addresses;
  const free = await freePort();
  const listen = [`127.0.0.1:${free}`, `127.0.0.2:${portOf(taken)}`];
  await t.rejects(changeListeners(room.listeners, { ...room.options, listen }), { code: 'LISTEN_FAILED' });
  t.same(room.listeners.addresses, before);
  t.ok(await canBind(free), 'the one that could be had was given back');
  await once(dial(t, portOf(room)), 'connect');
  (await room.next()).handle.close();
});

t.test('dropped in the end: the new ones are closed', async (t) => {
  const room = await open(t, ['127.0.0.1:0']);
  const free = await freePort();
  const change = await changeListeners(room.listeners, { ...room.options, listen: [`127.0.0.1:${free}`] });
  await change.drop();
  t.ok(await canBind(free));
  await once(dial(t, portOf(room)), 'connect');
  (await room.next()).handle.close();
});
