/** A38: kill -9 of the primary. Its workers go on with every tunnel that they have, whoever comes to a forwarded port is let
 *  through, and the next primary on the same stateDir takes them in: their ports, their users' counts, and their end. */
import { once } from 'node:events';
import t, { type Test } from 'tap';
import { MSG, message } from '../../src/shared/protocol.js';
import { exchange, MIB } from '../support/bytes.js';
import { within } from '../support/deadline.js';
import { hostile, type Scene } from '../support/hostile.js';
import { rawClient } from '../support/raw_client.js';
import { type Login, type Sallyport, startSallyport } from '../support/server.js';
import { startTunnel, tunnel } from '../support/ssh.js';
import { canBind, connect, freePort } from '../support/targets.js';

async function echoes(t: Test, port: number, what: string): Promise<void> {
  const { sent, received } = await exchange(await connect(t, port), what, 1_000);
  t.same(received, sent, what);
}

/** Is one more connection of this user let in? What it asks is answered behind its login. */
async function isLetIn(t: Test, server: Sallyport, login: Login, { mine }: Scene): Promise<boolean> {
  const client = mine(rawClient(t, server));
  await client.login(login.name, login);
  client.send(message(MSG.GLOBAL_REQUEST, 'tcpip-forward', true, 'localhost', 0));
  return await client.take(MSG.REQUEST_SUCCESS).then(
    () => true,
    () => false,
  );
}

hostile(
  t,
  'A38',
  'the primary is killed',
  { processesEnd: true, users: { alice: { limits: { connections: 3 } } } },
  async (t, scene) => {
    const { server, workers, echoPort } = scene;
    const port = await freePort();
    const forward = ['-R', `${port}:localhost:${echoPort}`];
    const near = await freePort();
    await tunnel(t, server, server.alice, [...forward, '-L', `${near}:localhost:${echoPort}`]);
    const stream = await connect(t, near);
    const moving = exchange(stream, 'under way', 64 * MIB);
    await within(once(stream, 'data'), 'the first bytes');

    const killedMs = performance.now();
    await server.killPrimary();
    await t.rejects(connect(t, server.port), 'nobody listens');
    await echoes(t, port, 'a visitor of a forwarded port, without any primary');
    await echoes(t, near, 'a new channel of an old connection');

    const next = await server.successor();
    const adopted = await next.events.waitAll(workers, 'worker.adopted');
    t.comment(`${Math.round(performance.now() - killedMs)} ms from the kill to a primary that knows everything`);
    t.equal(
      adopted.reduce((sum, { connections }) => sum + Number(connections), 0),
      workers + 1,
      'all connections have come',
    );
    t.equal(
      adopted.reduce((sum, { forwards }) => sum + Number(forwards), 0),
      1,
      'and the port',
    );

    await t.test('a port that an orphan holds is nobody else’s', async (t) => {
      const from = next.events.mark();
      const other = startTunnel(t, next, next.bob, forward);
      t.match(await other.client.exited, { code: 255 });
      await next.events.wait('forward.refused', { user: 'bob', reason: 'PORT_TAKEN' }, from);
      await echoes(t, port, 'it goes on');
    });

    await t.test('a user’s limit counts what orphans hold', async (t) => {
      t.equal(await isLetIn(t, next, next.alice, scene), true, 'the second');
      t.equal(await isLetIn(t, next, next.alice, scene), true, 'the third');
      t.equal(await isLetIn(t, next, next.alice, scene), false, 'the fourth');
      await next.events.wait('connection.closed', { user: 'alice', reason: 'USER_LIMIT' });
    });

    const { sent, received } = await moving;
    t.same(received, sent, 'the stream that was under way is whole');
  },
);

hostile(
  t,
  'A38',
  'a client comes back for the port that an orphan holds',
  { processesEnd: true, workers: [2] },
  async (t, { server, echoPort }) => {
    const port = await freePort();
    const forward = ['-R', `${port}:localhost:${echoPort}`];
    const stale = await tunnel(t, server, server.alice, forward);
    await server.killPrimary();
    stale.client.signal('SIGSTOP'); // no FIN tells the server
    const next = await server.successor();
    await next.events.waitAll(2, 'worker.adopted');
    const second = await tunnel(t, next, next.alice, forward);
    await echoes(t, port, 'it has its port again');
    await next.events.wait('connection.closed', { user: 'alice', reason: 'REPLACED' });
    await next.events.wait('forward.released', { user: 'alice' });
    stale.client.signal('SIGCONT');
    const from = next.events.mark();
    await second.client.stop();
    await next.events.wait('forward.released', { user: 'alice' }, from);
    t.ok(await canBind(port), 'and nobody holds it in the end');
  },
);

t.test('what the next primary does not give any more ends, also in an orphan', async (t) => {
  const server = await startSallyport(t, { workers: 1 });
  const [one, two] = [await freePort(), await freePort()];
  await tunnel(t, server, server.alice, ['-R', `${one}:localhost:1`]);
  const gone = await tunnel(t, server, server.bob, ['-R', `${two}:localhost:1`]);
  await server.killPrimary();
  const { bob: _, ...users } = server.config.users;
  const next = await server.successor({ ...server.config, users });
  await next.events.wait('connection.closed', { user: 'bob', reason: 'RIGHTS_WITHDRAWN' });
  await next.events.wait('forward.released', { user: 'bob' });
  t.match(await gone.client.exited, { code: 255 });
  t.ok(await canBind(two));
  t.notOk(await canBind(one), 'who has the right goes on');
});

t.test('the next primary ends its orphans, too', async (t) => {
  const server = await startSallyport(t, { workers: 2 });
  const [one, two] = [await freePort(), await freePort()];
  const clients = await Promise.all([
    tunnel(t, server, server.alice, ['-R', `${one}:localhost:1`]),
    tunnel(t, server, server.bob, ['-R', `${two}:localhost:1`]),
  ]);
  await server.killPrimary();
  const next = await server.successor();
  const adopted = await next.events.wait('worker.adopted');
  t.same(await next.stop(), { code: 0, signal: null });
  t.match(next.events.list('worker.exited', { pid: Number(adopted.pid) }), [{ reason: 'DRAINED' }]);
  for (const { client } of clients) t.match(await client.exited, { code: 255 });
  t.ok((await canBind(one)) && (await canBind(two)));
});
