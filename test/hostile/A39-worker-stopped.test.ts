/** A39: a worker that does not move, by SIGSTOP. It gets no new sockets once it is late, those on their way to it go to
 *  another, and after 5 s it is killed and replaced. One that was late for less goes on with all its tunnels. (A worker that
 *  spins looks the same from outside: `block` in test/master/primary.test.ts.) */
import t from 'tap';
import { exchange } from '../support/bytes.js';
import { hostile, type Scene } from '../support/hostile.js';
import { rawClient } from '../support/raw_client.js';
import { tunnel } from '../support/ssh.js';
import { connect, freePort } from '../support/targets.js';

/** Well below the 5 s after which a worker is killed. */
const SHORT_STOP_MS = 2_000;
const KILL_MS = 5_000;

/** A stranger comes in while the worker stands still, whichever worker it is. */
async function isServed({ server, mine }: Scene): Promise<boolean> {
  const client = mine(rawClient(t, server));
  return await client.login('bob', server.bob).then(
    () => true,
    () => false,
  );
}

hostile(t, 'A39', 'a worker that is stopped for a moment', {}, async (t, scene) => {
  const { server, workers, echoPort } = scene;
  const near = await freePort();
  const { client } = await tunnel(t, server, server.alice, ['-L', `${near}:localhost:${echoPort}`]);
  const open = await connect(t, near);
  const [first] = server.workerPids;
  if (first === undefined) throw new Error('no worker');
  process.kill(first, 'SIGSTOP');
  const coming = workers === 1 ? [] : [isServed(scene), isServed(scene), isServed(scene)];
  await new Promise((resolve) => setTimeout(resolve, SHORT_STOP_MS)); // nothing is to happen
  process.kill(first, 'SIGCONT');
  t.notOk(
    (await Promise.all(coming)).some((served) => !served),
    'whoever comes meanwhile is served by the other worker',
  );
  const { sent, received } = await exchange(open, 'goes on', 1_000);
  t.same(received, sent, 'its tunnels go on');
  t.equal(await isServed(scene), true);
  t.same(server.events.list('worker.exited'), [], 'nobody was killed');
  await client.stop();
});

hostile(t, 'A39', 'a worker that stays stopped', { processesEnd: true, bystanders: 0 }, async (t, scene) => {
  const { server, workers } = scene;
  const clients = await Promise.all([scene.login(), scene.login(), scene.login(), scene.login()]);
  const [first] = server.workerPids;
  if (first === undefined) throw new Error('no worker');
  const from = server.events.mark();
  const stoppedMs = performance.now();
  process.kill(first, 'SIGSTOP');
  if (workers > 1)
    t.same(await Promise.all([isServed(scene), isServed(scene)]), [true, true], 'the other worker serves meanwhile');
  await server.events.wait('worker.exited', { pid: first, reason: 'UNRESPONSIVE' }, from);
  const afterMs = performance.now() - stoppedMs;
  t.ok(afterMs >= KILL_MS - 1_000, `it had its time: ${Math.round(afterMs)} ms`);
  await server.events.wait('worker.started', {}, from);
  const lost = server.events.list('connection.closed', { reason: 'WORKER_LOST' }, from);
  t.ok(lost.length > 0, 'what it held has ended, and one line tells each');
  const kept = await Promise.all(
    clients.map((client) =>
      client.roundTrip().then(
        () => true,
        () => false,
      ),
    ),
  );
  t.equal(kept.filter((lives) => !lives).length, lost.length, 'its peers see the end, the others nothing');
  t.equal(await isServed(scene), true);
});
