/** RELOAD of a server that a program started: in one process and in a cluster, with users of the options and with a handler. */
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import t from 'tap';
import { ConfiguredServer, startCluster, TunnelServer } from '../../src/index.js';
import { MSG } from '../../src/shared/protocol.js';
import { deferred, within } from '../support/deadline.js';
import { until } from '../support/joined.js';
import { logins } from '../support/library.js';
import { need } from '../support/programs.js';
import { dataMessage, openDirectChannel, type RawClient, rawClient } from '../support/raw_client.js';
import { startEcho, startTarget } from '../support/targets.js';
import { tempDir } from '../support/temp.js';

const INDEX = new URL('../../src/index.js', import.meta.url).href;

function endpointOf({ addresses }: Pick<TunnelServer, 'addresses'>): { host: string; port: number } {
  const [address] = addresses;
  return { host: '127.0.0.1', port: address?.kind === 'tcp' ? address.port : 0 };
}

for (const mode of ['single', 'cluster'] as const)
  t.test(`${mode}: other options, or the files of the same ones read again`, async (t) => {
    if (!need(t, ['ssh-keygen'])) return;
    const { alice, bob } = await logins(t, 'alice', 'bob');
    const keys = join(tempDir(t), 'keys');
    writeFileSync(keys, readFileSync(`${alice.keyFile}.pub`));
    const options = {
      listen: ['127.0.0.1:0'],
      stateDir: join(tempDir(t), 'state'),
      log: { level: 'silent' },
      timeouts: { drain: '2s' },
      users: { alice: { authorizedKeys: keys, permitOpen: ['localhost:*'] } },
    } as const;
    const single = new ConfiguredServer(options);
    await t.rejects(single.reload(), { code: 'NOT_LISTENING' });
    const server = mode === 'single' ? single : await startCluster({ ...options, workers: 2, signals: false });
    if (mode === 'single') await single.listen();
    t.teardown(() => server.close());
    const told: unknown[] = [];
    server.on('config', ({ event }) => told.push(event));
    const client = rawClient(t, endpointOf(server));
    await client.login('alice', alice);

    const more = { ...options, users: { ...options.users, bob: { authorizedKeys: `${bob.keyFile}.pub` } } };
    await server.reload(more);
    await rawClient(t, endpointOf(server)).login('bob', bob);
    await client.roundTrip();

    await t.rejects(server.reload({ ...more, stateDir: '/elsewhere' }), {
      code: 'CONFIG_INVALID',
      message: /stateDir/,
    });
    await t.rejects(server.reload({ ...more, users: { alice: { authorizedKeys: '/nowhere' } } }), {
      code: 'CONFIG_INVALID',
      message: /nowhere\) is not there/,
    });
    await client.roundTrip();

    writeFileSync(keys, '# nobody\n');
    await server.reload();
    t.match(await client.ended, { text: 'access was withdrawn' });
    await rawClient(t, endpointOf(server)).refusedLogin('alice', alice);
    await rawClient(t, endpointOf(server)).login('bob', bob);
    const [yes, no] = ['config.reloaded', 'config.rejected'];
    t.same(told, [yes, no, no, yes]);
  });

t.test("a server whose hooks decide: what they let in stays; the program's own noShell stays", async (t) => {
  class Open extends TunnelServer {
    override checkAuthPassword(): boolean {
      return true;
    }
  }
  const options = { listen: ['127.0.0.1:0'], stateDir: join(tempDir(t), 'state'), log: { level: 'silent' } } as const;
  const server = new Open(options);
  await server.listen();
  t.teardown(() => server.close({ now: true }));
  const client = rawClient(t, endpointOf(server));
  await client.login('anybody', { password: 'x' });
  await server.reload({ ...options, noShell: 'another text', auth: { methods: ['password'] } });
  t.equal(server.noShell, 'another text');
  await client.roundTrip();
  server.noShell = "the program's";
  await server.reload({ ...options, noShell: 'a third one' });
  t.equal(server.noShell, "the program's");
  await client.roundTrip();
});

t.test('a handler: its code is loaded anew by new workers, and the old ones serve their connections', async (t) => {
  const file = join(tempDir(t), 'handler.mjs');
  const handler = (password: string): string => `
    import { TunnelServer } from '${INDEX}';
    export default class extends TunnelServer {
      checkAuthPassword(_user, password) { return password === '${password}'; }
    }`;
  writeFileSync(file, handler('first'));
  const cluster = await startCluster({
    listen: ['127.0.0.1:0'],
    workers: 2,
    stateDir: join(tempDir(t), 'state'),
    log: { level: 'silent' },
    timeouts: { drain: '2s' },
    handler: pathToFileURL(file),
    signals: false,
  });
  t.teardown(() => cluster.close());
  const workers: number[] = [];
  cluster.on('worker', (event) => {
    if (event.event === 'worker.started') workers.push(event.worker);
  });
  const echo = await startEcho(t);
  const at = endpointOf(cluster);
  const old = rawClient(t, at);
  await old.login('alice', { password: 'first' });

  writeFileSync(file, 'export default class {{');
  await t.rejects(cluster.reload(), { code: 'HANDLER_INVALID', message: /does not load/ });
  await rawClient(t, at).login('alice', { password: 'first' });
  t.same(workers, [], 'nobody was replaced');

  writeFileSync(file, handler('second'));
  await cluster.reload();
  t.equal(workers.length, 2, 'each worker was');
  await rawClient(t, at).refusedLogin('alice', { password: 'first' });
  await rawClient(t, at).login('alice', { password: 'second' });
  const channel = await openDirectChannel(old, echo.port);
  old.send(dataMessage(channel, 'still here'));
  t.equal(String((await old.take(MSG.CHANNEL_DATA)).subarray(9)), 'still here', 'in a worker with the code of before');
});

t.test("a handler: whoever took a dead worker's place during the reload gets the new code too", async (t) => {
  /** Whoever loads the new code waits here until it is told to go on. */
  const [loading, goOn] = [deferred<void>(), deferred<void>()];
  const gate = await startTarget(t, (socket) => {
    loading.resolve();
    void goOn.promise.then(() => socket.end('go on'));
  });
  const dir = tempDir(t);
  const handler = (name: string, first = ''): URL => {
    const file = join(dir, `${name}.mjs`);
    const text = `
      import { once } from 'node:events';
      import { connect } from 'node:net';
      import { TunnelServer } from '${INDEX}';
      ${first}
      export default class extends TunnelServer {
        checkAuthPassword(_user, password) {
          if (password === 'die') process.kill(process.pid, 'SIGKILL');
          return password === '${name}';
        }
      }`;
    writeFileSync(file, text);
    return pathToFileURL(file);
  };
  const options = {
    listen: ['127.0.0.1:0'],
    workers: 2,
    stateDir: join(dir, 'state'),
    log: { level: 'silent' },
    timeouts: { drain: '2s' },
    handler: handler('before'),
    signals: false,
  } as const;
  const cluster = await startCluster(options);
  t.teardown(() => cluster.close());
  const refilled = deferred<number>();
  let started = 0;
  cluster.on('worker', (event) => {
    if (event.event !== 'worker.started') return;
    started++;
    refilled.resolve(event.worker);
  });
  const holders = new Map<string, number>();
  cluster.on('connection', (event) => {
    if (event.event === 'connection.accepted') holders.set(event.peer, event.worker);
  });
  /** Connects, and tells which worker has it. */
  const come = async (): Promise<readonly [RawClient, number]> => {
    const client = rawClient(t, endpointOf(cluster));
    await client.ready;
    const peer = `127.0.0.1:${client.socket.localPort}`;
    await until(() => holders.has(peer), 'the worker of the connection');
    return [client, holders.get(peer) ?? 0];
  };
  // The first worker has the first successor; the other one is to die.
  let [victim, holder] = await come();
  while (holder === 1) [victim, holder] = await come();

  const reloaded = cluster.reload({
    ...options,
    handler: handler('after', `await once(connect(${gate.port}), 'data');`),
  });
  await within(loading.promise, 'start of the first successor');
  victim.login('alice', { password: 'die' }).catch(() => {});
  await victim.ended;
  await within(refilled.promise, 'a new worker in the place of the dead one, by the code of before');
  goOn.resolve();
  await within(reloaded, 'end of the reload');
  t.equal(started, 3, 'it has a successor as well');
  const [[anna, hers], [bert, his]] = [await come(), await come()];
  t.not(hers, his);
  for (const client of [anna, bert]) await client.login('alice', { password: 'after' });
});
