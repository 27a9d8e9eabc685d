/** TAKEOVER: a second `serve --takeover` takes the place of the first: no login fails, no tunnel ends, and the first goes when
 *  its last tunnel has. */
import { once } from 'node:events';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import t, { type Test } from 'tap';
import { isRunning } from '../../chaos/processes.js';
import { systemClock } from '../../src/master/clock.js';
import { Predecessor } from '../../src/master/take_over.js';
import { exchange, MIB } from '../support/bytes.js';
import { DEADLINE_MS, within } from '../support/deadline.js';
import { flow, ONE_AND_TWO_WORKERS } from '../support/flow.js';
import { until } from '../support/joined.js';
import { cliEntry } from '../support/paths.js';
import { run, start } from '../support/process.js';
import { rawClient } from '../support/raw_client.js';
import { type Sallyport, startSallyport } from '../support/server.js';
import { startTunnel, tunnel } from '../support/ssh.js';
import { connect, freePort, startEcho } from '../support/targets.js';

const NEEDS = ['ssh', 'ssh-keygen'] as const;

async function echoes(t: Test, port: number, what: string): Promise<void> {
  const { sent, received } = await exchange(await connect(t, port), what, 1_000);
  t.same(received, sent, what);
}

/** Strangers come in one after another, whichever process accepts. @returns stops it, and tells how many came in vain */
function strangers(t: Test, server: Sallyport): () => Promise<{ readonly served: number; readonly failed: string[] }> {
  let stopped = false;
  const failed: string[] = [];
  let served = 0;
  const coming = (async () => {
    while (!stopped) {
      const client = rawClient(t, server);
      await client.login('bob', server.bob).then(
        () => served++,
        (error: unknown) => failed.push(String(error)),
      );
      client.socket.destroy();
    }
  })();
  return async () => {
    stopped = true;
    await coming;
    return { served, failed };
  };
}

flow(t, 'taking over', { needs: NEEDS, workers: ONE_AND_TWO_WORKERS }, async (t, workers) => {
  const first = await startSallyport(t, { workers });
  const echo = await startEcho(t);
  const [port, near] = [await freePort(), await freePort()];
  const specs = ['-R', `${port}:localhost:${echo.port}`, '-L', `${near}:localhost:${echo.port}`];
  const old = await tunnel(t, first, first.alice, specs);
  const stream = await connect(t, near);
  const moving = exchange(stream, 'under way', 64 * MIB);
  await within(once(stream, 'data'), 'the first bytes');
  const stop = strangers(t, first);

  const second = await first.takeover();
  t.equal(second.port, first.port);
  const from = second.events.mark();
  await second.events.wait('worker.adopted', { forwards: 1 });
  const { served, failed } = await stop();
  t.same(failed, [], `none of ${served + failed.length} logins was in vain`);
  const { sent, received } = await moving;
  t.same(received, sent, 'the stream that was under way is whole');
  await echoes(t, near, 'a new channel of an old connection');
  await echoes(t, port, 'a visitor of a forwarded port');
  t.match(second.events.list('connection.closed', { reason: 'WORKER_LOST' }), []);

  const other = startTunnel(t, second, second.bob, ['-R', `${port}:localhost:${echo.port}`]);
  t.match(await other.client.exited, { code: 255 });
  await second.events.wait('forward.refused', { user: 'bob', reason: 'PORT_TAKEN' }, from);
  t.equal(first.hasExited, false, 'it waits for its tunnels');

  const third = await second.takeover();
  await third.events.wait('worker.adopted', { forwards: 1 });
  await echoes(t, port, 'and on through a third');

  await old.client.stop();
  t.same(await first.ended, { code: 0, signal: null }, 'the first one goes with its last tunnel');
  t.same(await second.ended, { code: 0, signal: null }, 'and so does the second');
  t.match(first.events.list('connection.closed', { reason: 'WORKER_LOST' }), [], 'it told of no loss');
  const { client } = await tunnel(t, third, third.alice, ['-R', `${port}:localhost:${echo.port}`]);
  await echoes(t, port, 'its port is the next one’s to give');
  await client.stop();
});

flow(t, 'a takeover that fails leaves all as it was', { needs: NEEDS }, async (t, workers) => {
  const server = await startSallyport(t, { workers });
  const echo = await startEcho(t);
  const near = await freePort();
  await tunnel(t, server, server.alice, ['-L', `${near}:localhost:${echo.port}`]);
  const broken = join(server.dir, 'broken.mjs');
  writeFileSync(broken, 'throw new Error("not today")\n');
  const config = join(server.dir, 'sallyport.yaml');
  const serve = async (...args: string[]) =>
    await run(t, process.execPath, [cliEntry, 'serve', '--config', config, ...args], {
      cwd: server.dir,
      deadlineMs: DEADLINE_MS,
    });

  const unasked = await serve('--listen', `127.0.0.1:${server.port}`);
  const own = new RegExp(
    `^error: 127\\.0\\.0\\.1:${server.port} is taken: your own Sallyport .*\\(process \\d+\\)\n--takeover takes its place`,
    'm',
  );
  t.match(unasked, { code: 1, stderr: own }, 'not without being told to');
  const elsewhere = await serve('--takeover', '--listen', '127.0.0.1:1');
  t.match(elsewhere, { code: 1, stderr: /cannot take over.*it listens on 127\.0\.0\.1:0/ }, 'other addresses');
  const faulty = await serve('--takeover', '--handler', broken);
  t.match(faulty, { code: 2, stderr: /not today/ }, 'a successor that does not start');

  await echoes(t, near, 'its tunnels go on');
  const client = rawClient(t, server);
  await t.resolves(client.login('bob', server.bob), 'and it lets in who comes');
  client.socket.destroy();
  t.equal(server.hasExited, false);
  const next = await server.takeover();
  await next.events.wait('worker.adopted');
  await echoes(t, near, 'until one does start');
});

flow(t, 'a successor that is killed before it accepts takes nothing with it', { needs: NEEDS }, async (t, workers) => {
  const server = await startSallyport(t, { workers });
  const echo = await startEcho(t);
  const [port, near] = [await freePort(), await freePort()];
  const specs = ['-R', `${port}:localhost:${echo.port}`, '-L', `${near}:localhost:${echo.port}`];
  await tunnel(t, server, server.alice, specs);
  const hanging = join(server.dir, 'hanging.mjs');
  writeFileSync(hanging, 'console.error("loading", process.pid, "now");\nawait new Promise(() => {});\n');
  const config = join(server.dir, 'sallyport.yaml');
  const serve = [cliEntry, 'serve', '--config', config, '--takeover'];
  const successor = start(t, process.execPath, [...serve, '--handler', hanging], { cwd: server.dir });
  const stop = strangers(t, server);
  const [, worker] = await successor.waitFor(/loading (\d+) now/); // it has the sockets, and starts its workers
  const another = await run(t, process.execPath, serve, { cwd: server.dir, deadlineMs: DEADLINE_MS });
  t.match(another, { code: 1, stderr: /another one takes over from it already/ });
  successor.signal('SIGKILL');
  await successor.died;
  await until(() => !isRunning(Number(worker)), 'end of its worker');
  await echoes(t, near, 'the tunnels go on');
  await echoes(t, port, 'the ports too');
  const next = await server.takeover();
  await next.events.wait('worker.adopted', { forwards: 1 });
  const { served, failed } = await stop();
  t.same(failed, [], `none of ${served + failed.length} logins was in vain`);
  await echoes(t, port, 'with another one as well');
});

flow(t, 'SIGTERM to a server whose place another has taken', { needs: NEEDS }, async (t, workers) => {
  const first = await startSallyport(t, { workers });
  const echo = await startEcho(t);
  const [port, near] = [await freePort(), await freePort()];
  const specs = ['-R', `${port}:localhost:${echo.port}`, '-L', `${near}:localhost:${echo.port}`];
  const { client } = await tunnel(t, first, first.alice, specs);
  const second = await first.takeover();
  await second.events.wait('worker.adopted', { forwards: 1 });
  t.same(await first.stop(), { code: 0, signal: null }, 'it goes at once');
  await echoes(t, near, 'the tunnels are the other’s, and go on');
  await echoes(t, port, 'the ports too');
  t.same(second.events.list('worker.exited', { reason: 'CRASHED' }), []);
  const from = second.events.mark();
  await client.stop();
  await second.events.wait('forward.released', { user: 'alice' }, from);
});

/** For both ways between two versions: the path of another `node`. */
const { OTHER_NODE } = process.env;

flow(t, 'between two versions of Node', { needs: NEEDS }, async (t, workers) => {
  if (OTHER_NODE === undefined) return t.plan(0, 'OTHER_NODE names no other node');
  const first = await startSallyport(t, { workers });
  const echo = await startEcho(t);
  const port = await freePort();
  await tunnel(t, first, first.alice, ['-R', `${port}:localhost:${echo.port}`]);
  const stop = strangers(t, first);
  const second = await first.takeover([], OTHER_NODE);
  await second.events.wait('worker.adopted', { forwards: 1 });
  await echoes(t, port, 'under the other version');
  const third = await second.takeover();
  await third.events.wait('worker.adopted', { forwards: 1 });
  await echoes(t, port, 'and back');
  const { served, failed } = await stop();
  t.same(failed, [], `none of ${served + failed.length} logins was in vain`);
});

flow(
  t,
  'a reload while another server takes over is refused, not lost',
  { needs: ['ssh-keygen'] },
  async (t, workers) => {
    const server = await startSallyport(t, { workers });
    const successor = await Predecessor.find(join(server.dir, 'state'), ['127.0.0.1:0'], systemClock);
    t.ok(successor);
    server.signal('SIGHUP');
    const rejected = await server.events.wait('config.rejected', { reason: 'CONFIG_INVALID' });
    t.match(rejected.errors, [/another server is taking over from this one/]);
    successor?.giveUp();
    await t.resolves(server.reload(), 'when that one has given up it is done');
  },
);

flow(t, 'with nobody there, --takeover begins anew', { needs: ['ssh-keygen'] }, async (t, workers) => {
  const first = await startSallyport(t, { workers });
  t.same(await first.stop(), { code: 0, signal: null });
  const second = await first.takeover();
  const client = rawClient(t, second);
  await t.resolves(client.login('bob', second.bob));
});
