/** OTHER CLIENTS: Dropbear, PuTTY, Paramiko and asyncssh, each with a tunnel in each direction. They differ from OpenSSH
 *  in ciphers, window sizes and in what they expect of replies; 1 MB passes every window at least once. */
import { join } from 'node:path';
import t, { type Test } from 'tap';
import { exchange, MIB } from '../support/bytes.js';
import { flow, ONE_AND_TWO_WORKERS } from '../support/flow.js';
import { fixture } from '../support/paths.js';
import { mustRun, type Running, start } from '../support/process.js';
import { pythonWith } from '../support/programs.js';
import { hostKeyFingerprint, type Sallyport, startSallyport } from '../support/server.js';
import { connect, connectWhenUp, freePort, startEcho } from '../support/targets.js';

/** As it comes, and with new keys that the server asks for some sixteen times a MB in each direction (RFC 4253 §9). */
const WORLDS = [
  { name: '', config: {} },
  { name: ', new keys every 64 KiB', config: { rekey: { bytes: '64KiB' } } },
] as const;

async function echoes(t: Test, port: number, what: string): Promise<void> {
  const { sent, received } = await exchange(await connectWhenUp(t, port), what, MIB);
  t.same(received, sent, what);
}

for (const { name, config } of WORLDS)
  flow(
    t,
    `dbclient${name}`,
    { needs: ['dbclient', 'dropbearconvert', 'ssh-keygen'], workers: ONE_AND_TWO_WORKERS },
    async (t, workers) => {
      const server = await startSallyport(t, { workers, config });
      const key = join(server.dir, 'alice.dropbear');
      await mustRun(t, 'dropbearconvert', ['openssh', 'dropbear', server.alice.keyFile, key]);
      const echo = await startEcho(t);
      for (const direction of ['-L', '-R']) {
        const port = await freePort();
        const from = server.events.mark();
        // -y -y: the host key is not remembered anywhere.
        const target = [direction, `${port}:localhost:${echo.port}`, '-p', String(server.port), 'alice@127.0.0.1'];
        const client = start(t, 'dbclient', ['-y', '-y', '-N', '-i', key, ...target], { env: { HOME: server.dir } });
        await server.events.wait(direction === '-L' ? 'auth.succeeded' : 'forward.bound', { user: 'alice' }, from);
        await echoes(t, port, direction);
        await client.stop();
      }
    },
  );

for (const { name, config } of WORLDS)
  flow(
    t,
    `plink${name}`,
    { needs: ['plink', 'puttygen', 'ssh-keygen', 'ssh-keyscan'], workers: ONE_AND_TWO_WORKERS },
    async (t, workers) => {
      const server = await startSallyport(t, { workers, config });
      const key = join(server.dir, 'alice.ppk');
      await mustRun(t, 'puttygen', [server.alice.keyFile, '-o', key]);
      const hostKey = await hostKeyFingerprint(t, server);
      const echo = await startEcho(t);
      for (const [direction, ready] of [
        ['-L', /Local port .* forwarding to/],
        ['-R', /Remote port forwarding from .* enabled/],
      ] as const) {
        const port = await freePort();
        const target = [direction, `${port}:localhost:${echo.port}`, '-P', String(server.port), 'alice@127.0.0.1'];
        const args = ['-ssh', '-batch', '-v', '-N', '-hostkey', hostKey, '-i', key, ...target];
        const client = start(t, 'plink', args, { env: { HOME: server.dir } });
        await client.waitFor(ready);
        await echoes(t, port, direction);
        await client.stop();
      }
    },
  );

/** Starts one of our Python clients. */
function startPython(
  t: Test,
  module: 'paramiko' | 'asyncssh',
  server: Sallyport,
  mode: 'local' | 'remote',
  targetPort: number,
): Running {
  const { name, keyFile } = server.alice;
  const script = fixture(`${module}_client.py`);
  const args = ['-W', 'ignore', script, server.host, String(server.port), name, keyFile, mode, String(targetPort)];
  return start(t, pythonWith(module) ?? 'python3', args, { env: { HOME: server.dir } });
}

async function portOf(client: Running): Promise<number> {
  return Number((await client.waitFor(/^PORT (\d+)$/m))[1]);
}

for (const { name, config } of WORLDS)
  flow(
    t,
    `paramiko${name}`,
    { needs: ['paramiko', 'ssh-keygen'], workers: ONE_AND_TWO_WORKERS },
    async (t, workers) => {
      const server = await startSallyport(t, { workers, config });
      const echo = await startEcho(t);
      const local = startPython(t, 'paramiko', server, 'local', echo.port);
      await local.waitFor(/^OK$/m);
      t.match(await local.exited, { code: 0 }, 'direct-tcpip');

      const remote = startPython(t, 'paramiko', server, 'remote', echo.port);
      await echoes(t, await portOf(remote), 'tcpip-forward');
      const from = server.events.mark();
      remote.stdin.end();
      await server.events.wait('forward.released', { user: 'alice' }, from);
      t.match(await remote.exited, { code: 0 }, 'cancelled');
    },
  );

for (const { name, config } of WORLDS)
  flow(
    t,
    `asyncssh${name}`,
    { needs: ['asyncssh', 'ssh-keygen'], workers: ONE_AND_TWO_WORKERS },
    async (t, workers) => {
      const server = await startSallyport(t, { workers, config });
      const echo = await startEcho(t);
      for (const mode of ['local', 'remote'] as const) {
        const client = startPython(t, 'asyncssh', server, mode, echo.port);
        const port = await portOf(client);
        const { sent, received } = await exchange(await connect(t, port), mode, MIB);
        t.same(received, sent, mode);
        client.stdin.end();
        t.match(await client.exited, { code: 0 }, `${mode} ends`);
      }
    },
  );
