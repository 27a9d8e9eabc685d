/** RECONNECT: a client that was killed comes back for its port, as autossh and systemd units do, and gets it. */
import { readFileSync } from 'node:fs';
import t from 'tap';
import { exchange } from '../support/bytes.js';
import { DEADLINE_MS } from '../support/deadline.js';
import { flow, ONE_AND_TWO_WORKERS } from '../support/flow.js';
import { start } from '../support/process.js';
import { startSallyport } from '../support/server.js';
import { HOST, sshConfig, startTunnel, tunnel } from '../support/ssh.js';
import { connect, freePort, startEcho } from '../support/targets.js';

const NEEDS = ['ssh', 'ssh-keygen'] as const;
const ROUNDS = 5;

flow(t, 'reconnecting', { needs: NEEDS, workers: ONE_AND_TWO_WORKERS }, async (t, workers) => {
  const server = await startSallyport(t, { workers });
  const echo = await startEcho(t);

  await t.test('a killed client gets the same port back at its first try, round after round', async (t) => {
    const port = await freePort();
    const spec = ['-R', `${port}:localhost:${echo.port}`];
    let current = await tunnel(t, server, server.alice, spec);
    for (let round = 1; round <= ROUNDS; round += 1) {
      current.client.signal('SIGKILL');
      await current.client.exited;
      current = await tunnel(t, server, server.alice, spec);
      const { sent, received } = await exchange(await connect(t, port), `round ${round}`, 1000);
      t.same(received, sent);
    }
  });

  await t.test('a client that is silent, but not gone, is replaced by its own user', async (t) => {
    const port = await freePort();
    const spec = ['-R', `${port}:localhost:${echo.port}`];
    const first = await tunnel(t, server, server.alice, spec);
    first.client.signal('SIGSTOP'); // its TCP connection stays up: no FIN tells the server
    const from = server.events.mark();
    await tunnel(t, server, server.alice, spec, DEADLINE_MS);
    const { sent, received } = await exchange(await connect(t, port), 'replaced', 1000);
    t.same(received, sent);
    await server.events.wait('connection.closed', { user: 'alice', reason: 'REPLACED' }, from);
    first.client.signal('SIGCONT');
  });

  await t.test('but nobody else gets the port of a silent client', async (t) => {
    const port = await freePort();
    const spec = ['-R', `${port}:localhost:${echo.port}`];
    const first = await tunnel(t, server, server.alice, spec);
    first.client.signal('SIGSTOP');
    const other = startTunnel(t, server, server.bob, spec);
    t.match(await other.client.exited, { code: 255 });
    first.client.signal('SIGCONT');
    const { sent, received } = await exchange(await connect(t, port), 'awake', 1000);
    t.same(received, sent);
  });
});

flow(t, 'autossh brings a killed tunnel back', { needs: [...NEEDS, 'autossh'] }, async (t, workers) => {
  const server = await startSallyport(t, { workers });
  const echo = await startEcho(t);
  const port = await freePort();
  const config = sshConfig(t, [{ alias: HOST, endpoint: server, login: server.alice }]);
  // AUTOSSH_GATETIME=0: restart also what lived only briefly.
  const env = { AUTOSSH_GATETIME: '0' };
  const from = server.events.mark();
  const args = ['-M', '0', '-F', config, '-N', '-R', `${port}:localhost:${echo.port}`, HOST];
  const autossh = start(t, 'autossh', args, { env });
  t.teardown(() => autossh.stop());
  await server.events.wait('forward.bound', { user: 'alice' }, from);
  process.kill(onlyChildOf(autossh.pid), 'SIGKILL');
  await server.events.waitAll(2, 'forward.bound', { user: 'alice' }, from);
  const { sent, received } = await exchange(await connect(t, port), 'autossh', 1000);
  t.same(received, sent);
});

/** autossh runs one ssh at a time; the kernel knows which. */
function onlyChildOf(pid: number): number {
  return Number(readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8').trim());
}
