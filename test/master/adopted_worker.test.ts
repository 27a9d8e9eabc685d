import { once } from 'node:events';
import net, { type Socket } from 'node:net';
import { join } from 'node:path';
import t, { type Test } from 'tap';
import { adoptedWorker, Numbers } from '../../src/master/adopted_worker.js';
import type { ConnId, ToPrimary } from '../../src/shared/ipc.js';
import { JsonLines } from '../../src/shared/json_lines.js';
import { deferred, within } from '../support/deadline.js';
import { tempDir } from '../support/temp.js';

const id = (value: number): ConnId => value as ConnId;

function counting(from: number): Numbers {
  let last = from;
  return new Numbers(() => id(++last));
}

t.test('a number there is a number here, and back', async (t) => {
  const numbers = counting(100);
  t.equal(numbers.here(id(5)), 101);
  t.equal(numbers.here(id(2)), 102);
  t.equal(numbers.here(id(5)), 101);
  t.equal(numbers.there(id(102)), 2);
  t.equal(numbers.there(id(5)), undefined, 'a connection of another worker');
});

async function adopted(t: Test, pid = 4321) {
  const path = join(tempDir(t), 's');
  const server = net.createServer().listen(path);
  await once(server, 'listening');
  const worker = new JsonLines(net.connect(path), { value: (value) => got.push(value), closed: () => {} });
  const got: unknown[] = [];
  const [socket]: Socket[] = await once(server, 'connection');
  if (socket === undefined) throw new Error('no connection');
  t.teardown(() => {
    worker.end();
    socket.destroy();
    server.close();
  });
  const messages: ToPrimary[] = [];
  const gone = deferred<string>();
  const lines = new JsonLines(socket, { value: () => {}, closed: () => {} });
  const numbers = counting(100);
  numbers.here(id(1));
  const open = adoptedWorker({ type: 'adopt', pid, connections: [] }, lines, numbers);
  const process = open({ message: (message) => messages.push(message), gone: gone.resolve });
  return { worker, got, messages, gone: within(gone.promise, 'gone'), process };
}

t.test('what it says and hears of connections is in its own numbers on its side, in ours here', async (t) => {
  const { worker, messages, gone } = await adopted(t);
  const question = { kind: 'login', id: 1, user: 'alice', limit: 2 };
  const peer = '192.0.2.1:1';
  worker.send([
    { type: 'ask', ask: 7, question },
    { type: 'release', id: 1, target: { kind: 'tcp', port: 5 } },
    {
      type: 'events',
      events: [{ event: 'connection.closed', conn: 9, peer, reason: 'DRAINED', durationMs: 1 }],
      lost: 2,
    },
    { type: 'closed', id: 1 },
    { type: 'nonsense' },
    { type: 'probed', probe: 1, alive: true },
  ]);
  await new Promise<void>((written) => worker.send({ type: 'closed', id: 1 }, written)); // no array
  worker.end();
  t.equal(await gone, 'its channel has closed');
  t.match(messages, [
    { type: 'ask', ask: 7, question: { ...question, id: 101 } },
    { type: 'release', id: 101 },
    { type: 'events', events: [{ conn: 102 }], lost: 2 },
    { type: 'closed', id: 101 },
    { type: 'probed', probe: 1 },
  ]);
  t.equal(messages.length, 5);
});

t.test('what is told to it', async (t) => {
  const { got, process, worker, gone } = await adopted(t);
  t.equal(process.pid, 4321);
  process.send({ type: 'probe', probe: 3, id: id(101), timeoutMs: 700 });
  process.send({ type: 'close', id: id(999), reason: 'REPLACED' });
  process.send({ type: 'ping' });
  while (got.length < 2) await new Promise((resolve) => setImmediate(resolve));
  t.same(got, [{ type: 'probe', probe: 3, id: 1, timeoutMs: 700 }, { type: 'ping' }]);
  worker.end();
  await gone;
  process.send({ type: 'ping' });
  process.kill(); // its process number may be another's by now
});

t.test('one that has gone before its channel has, or is not what it says, is nobody to be killed', async (t) => {
  const { process, gone } = await adopted(t, 2 ** 31 - 1); // beyond the numbers that the kernel gives
  process.kill();
  t.equal(await gone, 'its channel has closed');
});
