import { once } from 'node:events';
import net, { type Socket } from 'node:net';
import { join } from 'node:path';
import t, { type Test } from 'tap';
import { JsonLines } from '../../src/shared/json_lines.js';
import { deferred, within } from '../support/deadline.js';
import { tempDir } from '../support/temp.js';

async function pair(t: Test): Promise<{ lines: JsonLines; far: Socket; values: unknown[]; closed: Promise<void> }> {
  const path = join(tempDir(t), 's');
  const server = net.createServer().listen(path);
  await once(server, 'listening');
  const far = net.connect(path).on('error', () => {});
  const [near]: Socket[] = await once(server, 'connection');
  if (near === undefined) throw new Error('no connection');
  t.teardown(() => {
    near.destroy();
    far.destroy();
    server.close();
  });
  const values: unknown[] = [];
  const { promise: closed, resolve } = deferred<void>();
  const lines = new JsonLines(near, { value: (value) => values.push(value), closed: resolve });
  return { lines, far, values, closed: within(closed, 'close') };
}

t.test('values arrive whole, however the stream is cut', async (t) => {
  const { far, values, closed, lines } = await pair(t);
  const text = '{"a":"ä€😀"}\n[1,2]\n"x"\n';
  for (const byte of Buffer.from(text)) {
    far.write(Buffer.of(byte));
    await new Promise((resolve) => setImmediate(resolve));
  }
  far.end(text.repeat(3));
  await closed;
  const each = [{ a: 'ä€😀' }, [1, 2], 'x'];
  t.same(values, [...each, ...each, ...each, ...each]);
  t.equal(lines.open, false);
});

t.test('the next line of one read goes to whoever listens by then', async (t) => {
  const { far, lines, closed } = await pair(t);
  const heard: string[] = [];
  lines.listen({
    value(first) {
      heard.push(`first ${String(first)}`);
      lines.listen({ value: (value) => heard.push(`then ${String(value)}`), closed: () => heard.push('closed') });
    },
    closed: () => {},
  });
  far.end('1\n2\n3\n');
  await once(far, 'close');
  await new Promise((resolve) => setImmediate(resolve));
  t.same(heard, ['first 1', 'then 2', 'then 3', 'closed']);
  closed.catch(() => {});
});

t.test('what is no JSON ends it, and nothing behind it is heard', async (t) => {
  const { far, values, closed } = await pair(t);
  far.write('1\nGET / HTTP/1.1\n2\n');
  await closed;
  t.same(values, [1]);
});

t.test('what is sent is written or dropped, and told either way', async (t) => {
  const { lines, far, closed } = await pair(t);
  await within(new Promise<void>((done) => lines.send({ a: 1 }, done)), 'written');
  far.destroy();
  await closed;
  await within(new Promise<void>((done) => lines.send({ a: 2 }, done)), 'dropped');
});
