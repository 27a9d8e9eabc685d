/** HANDLE PIPE: what comes over it belongs to who hears of it; what nobody can hear of is closed. */
import { once } from 'node:events';
import net from 'node:net';
import { join } from 'node:path';
import t, { type Test } from 'tap';
import { HandlePipe, type HandlePipeEvents } from '../../src/shared/handle_pipe.js';
import { closeAny } from '../../src/shared/handles.js';
import { deferred, within } from '../support/deadline.js';
import { tempDir } from '../support/temp.js';

async function listening(t: Test): Promise<net.Server> {
  const server = net.createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  t.teardown(() => server.close());
  return server;
}

/** Both ends; `events` are those of the side that is connected to. */
async function pipes(t: Test, events: HandlePipeEvents): Promise<HandlePipe> {
  const path = join(tempDir(t), 's');
  const server = net.createServer({ pauseOnConnect: true }, (socket) => {
    const pipe = HandlePipe.over(socket, events);
    t.teardown(() => pipe?.close());
  });
  server.listen(path);
  await once(server, 'listening');
  t.teardown(() => server.close());
  const pipe = await HandlePipe.connect(path, { value: () => {}, closed: () => {} });
  t.teardown(() => pipe.close());
  return pipe;
}

/** Nobody has a copy of the listening socket any more: who connects is refused. */
async function refused(port: number): Promise<void> {
  for (;;) {
    const socket = net.connect(port, '127.0.0.1');
    const came = await new Promise<boolean>((resolve) => {
      socket.once('connect', () => resolve(true)).once('error', () => resolve(false));
    });
    socket.destroy();
    if (!came) return;
  }
}

function portOf(server: net.Server): number {
  const address = server.address();
  if (address === null || typeof address === 'string') throw new Error('no address');
  return address.port;
}

t.test('a listening socket comes with its line', async (t) => {
  const server = await listening(t);
  const heard = deferred<unknown>();
  const pipe = await pipes(t, {
    value: (value, handle) => {
      heard.resolve([value, handle !== undefined]);
      closeAny(handle);
    },
    closed: () => {},
  });
  pipe.send({ type: 'here' }, server);
  t.same(await within(heard.promise, 'line'), [{ type: 'here' }, true]);
  const port = portOf(server);
  server.close();
  await t.resolves(within(refused(port), 'last copy closed'));
});

t.test('one that comes with what is no line of ours is closed with the pipe', async (t) => {
  const server = await listening(t);
  const port = portOf(server);
  const closed = deferred<void>();
  const pipe = await pipes(t, { value: () => t.fail('no value'), closed: closed.resolve });
  pipe.send(() => {}, server); // is no JSON
  await within(closed.promise, 'end of the pipe');
  server.close();
  await t.resolves(within(refused(port), 'last copy closed'));
});
