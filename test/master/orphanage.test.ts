import net from 'node:net';
import { join } from 'node:path';
import t, { type Test } from 'tap';
import { Orphanage } from '../../src/master/orphanage.js';
import type { Adoption } from '../../src/shared/adoption.js';
import { JsonLines } from '../../src/shared/json_lines.js';
import { findNextPrimary } from '../../src/worker/next_primary.js';
import { deferred, within } from '../support/deadline.js';
import { tempDir } from '../support/temp.js';

interface Came {
  readonly adoption: Adoption;
  readonly lines: JsonLines;
}

function room(t: Test) {
  const came = deferred<Came>();
  const troubles: string[] = [];
  const orphanage = new Orphanage({
    adopt: (adoption, lines) => came.resolve({ adoption, lines }),
    trouble: (text) => troubles.push(text),
  });
  t.teardown(() => orphanage.close());
  return { orphanage, came: () => within(came.promise, 'an orphan'), troubles };
}

const adoption: Adoption = { type: 'adopt', pid: 5, connections: [] };

t.test('a worker that looks before there is a primary is found by it, and both are heard', async (t) => {
  const stateDir = tempDir(t);
  const path = join(stateDir, 'primary.sock');
  const heard: unknown[] = [];
  const answered = deferred<void>();
  const over = deferred<void>();
  findNextPrimary(
    path,
    () => adoption,
    (channel) => {
      channel.onMessage((message) => {
        heard.push(message);
        channel.send([{ type: 'pong' }], answered.resolve);
      });
      channel.onDisconnect(over.resolve);
    },
  );
  const { orphanage, came } = room(t);
  t.same(await orphanage.open(stateDir), { path, wasLeft: false });
  const { lines, adoption: told } = await came();
  t.same(told, adoption);
  const said = deferred<unknown>();
  lines.listen({ value: said.resolve, closed: () => {} });
  lines.send({ type: 'ping' });
  t.same(await within(said.promise, 'answer'), [{ type: 'pong' }]);
  await within(answered.promise, 'written');
  t.same(heard, [{ type: 'ping' }]);
  lines.end();
  await within(over.promise, 'end');
});

t.test('one of another protocol is left alone, and looked for no more when that is called off', async (t) => {
  const stateDir = tempDir(t);
  const path = join(stateDir, 'primary.sock');
  let tries = 0;
  const again = deferred<void>();
  const other = net
    .createServer((socket) => {
      socket.on('error', () => {}).end('{"type":"welcome","protocol":0}\n');
      if (++tries === 2) again.resolve();
    })
    .listen(path);
  t.teardown(() => other.close());
  const cancel = findNextPrimary(
    path,
    () => adoption,
    () => t.fail('found'),
  );
  await within(again.promise, 'second try');
  cancel();
});

t.test('what is no adoption is shown out', async (t) => {
  const stateDir = tempDir(t);
  const { orphanage } = room(t);
  await orphanage.open(stateDir);
  const path = join(stateDir, 'primary.sock');
  const closed = deferred<void>();
  const lines = new JsonLines(net.connect(path), {
    value: () => lines.send({ type: 'adopt', pid: 1, connections: [null] }),
    closed: closed.resolve,
  });
  await within(closed.promise, 'close');
});

t.test('a stateDir that another server uses; one that cannot be: no place to look, and that is told', async (t) => {
  const stateDir = tempDir(t);
  await room(t).orphanage.open(stateDir);
  const second = room(t);
  t.equal(await second.orphanage.open(stateDir), 'taken');
  const third = room(t);
  t.equal(await third.orphanage.open('/dev/null/state'), null);
  t.match(third.troubles, [/ENOTDIR/]);
});
