/** BANDWIDTH: `limits.bytesPerSecond` of a user, with OpenSSH's clients: two connections at once, on one worker and on two.
 *  How exact it is over ten seconds is measured by `bench/rate.ts`; a machine that is busy with other tests is held to the
 *  upper bound alone. */
import t from 'tap';
import { collect, digestOf, exchange, KIB, MIB, send } from '../support/bytes.js';
import { DEADLINE_MS, deferred, within } from '../support/deadline.js';
import { flow, ONE_AND_TWO_WORKERS } from '../support/flow.js';
import { startSallyport } from '../support/server.js';
import { tunnel } from '../support/ssh.js';
import { connect, freePort, startEcho, startTarget } from '../support/targets.js';

const RATE_BYTES = 2 * MIB;
/** What the primary gives at once after a rest. */
const BURST_BYTES = RATE_BYTES / 5;
/** At least so long, and until so much has come each way. */
const FOR_MS = 3_000;
const LEAST_BYTES = (RATE_BYTES * FOR_MS) / 1_000 / 10;

flow(t, 'bytesPerSecond', { needs: ['ssh', 'ssh-keygen'], workers: ONE_AND_TWO_WORKERS }, async (t, workers) => {
  const server = await startSallyport(t, {
    workers,
    users: { alice: { limits: { bytesPerSecond: `${RATE_BYTES}B` } } },
  });
  const source = await startTarget(t, (socket) => void send(socket, 'source', 1_000 * MIB).catch(() => {}));
  let [arrived, came] = [0, 0];
  const enough = deferred<void>();
  const moved = (): void => {
    if (arrived > LEAST_BYTES && came > LEAST_BYTES) enough.resolve();
  };
  const sink = await startTarget(t, (socket) => {
    socket.on('data', ({ length }) => {
      arrived += length;
      moved();
    });
  });
  const echo = await startEcho(t);
  const nears: { readonly up: number; readonly down: number; readonly echo: number }[] = [];
  for (let client = 0; client < 2; client++) {
    const near = { up: await freePort(), down: await freePort(), echo: await freePort() };
    await tunnel(t, server, server.alice, [
      ...['-L', `${near.up}:127.0.0.1:${sink.port}`],
      ...['-L', `${near.down}:127.0.0.1:${source.port}`],
      ...['-L', `${near.echo}:127.0.0.1:${echo.port}`],
    ]);
    nears.push(near);
  }
  const served = server.events.list('connection.accepted').map(({ worker }) => worker);
  t.equal(new Set(served).size, workers, 'one connection on each worker');

  await t.test('both connections together and each direction for itself', async (t) => {
    const startedMs = performance.now();
    const sockets = await Promise.all(
      nears.flatMap(({ up, down }) => [
        connect(t, up).then((socket) => {
          send(socket, 'up', 1_000 * MIB).catch(() => {});
          return socket;
        }),
        connect(t, down).then((socket) =>
          socket.on('data', ({ length }) => {
            came += length;
            moved();
          }),
        ),
      ]),
    );
    await new Promise((resolve) => setTimeout(resolve, FOR_MS));
    await within(enough.promise, 'bytes both ways', DEADLINE_MS, () => `up ${arrived}, down ${came}`);
    const bytes = { up: arrived, down: came };
    const seconds = (performance.now() - startedMs) / 1_000;
    for (const socket of sockets) socket.destroy();
    for (const [name, moved] of Object.entries(bytes)) {
      const ratio = moved / (RATE_BYTES * seconds);
      t.ok(moved <= RATE_BYTES * seconds * 1.05 + BURST_BYTES, `${name}: ${ratio.toFixed(3)} of the limit`);
    }
  });

  await t.test('no byte is lost, and none is delivered twice', async (t) => {
    const exchanges = nears.map(
      async ({ echo: near }) => await exchange(await connect(t, near), `limited ${near}`, MIB),
    );
    for (const { sent, received } of await Promise.all(exchanges)) t.same(received, sent);
  });

  await t.test('a user without a limit is not held up', async (t) => {
    const near = await freePort();
    await tunnel(t, server, server.bob, ['-L', `${near}:127.0.0.1:${echo.port}`]);
    const { sent, received } = await exchange(await connect(t, near), 'not limited', 16 * MIB);
    t.same(received, sent);
  });
});

const SLOW_RATE = 4 * KIB;
/** One read of a target's socket: what follows takes longer than a channel may rest. */
const SLOW_BYTES = 16 * KIB;

flow(t, 'who waits for his turn is not taken for idle', { needs: ['ssh', 'ssh-keygen'] }, async (t, workers) => {
  const server = await startSallyport(t, {
    workers,
    users: { alice: { limits: { bytesPerSecond: `${SLOW_RATE}B` } } },
    config: { timeouts: { drain: '2s', idleChannel: '3s', halfClose: '3s', stalledWrite: '1s', keepalive: '1s' } },
  });
  const target = await startTarget(t, (socket) => {
    collect(socket).then(
      ({ bytes }) => socket.end(`${bytes};`),
      () => socket.destroy(),
    );
  });
  const source = await startTarget(
    t,
    (socket) => void send(socket.resume(), 'slow', SLOW_BYTES).then(() => socket.end()),
  );
  const [up, down] = [await freePort(), await freePort()];
  const specs = ['-L', `${up}:127.0.0.1:${target.port}`, '-L', `${down}:127.0.0.1:${source.port}`];
  await tunnel(t, server, server.alice, specs);
  const startedMs = performance.now();
  await Promise.all([
    ...['a', 'b'].map(async (seed) => {
      const socket = await connect(t, up);
      await send(socket, seed, SLOW_BYTES);
      socket.end();
      t.equal(Buffer.concat(await socket.toArray()).toString(), `${SLOW_BYTES};`);
    }),
    ...['c', 'd'].map(async () => {
      const socket = await connect(t, down);
      t.same(await collect(socket), digestOf('slow', SLOW_BYTES));
      socket.end();
    }),
  ]);
  t.ok(performance.now() - startedMs > 4_000, 'that took its time');
  const ends = await server.events.waitAll(4, 'channel.closed');
  t.same(
    ends.map(({ reason }) => reason),
    ['COMPLETE', 'COMPLETE', 'COMPLETE', 'COMPLETE'],
  );
});
