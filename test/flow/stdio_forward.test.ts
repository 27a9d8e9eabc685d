/** STDIO FORWARD: `ssh -W`: one channel, joined to the client's stdin and stdout. */
import t from 'tap';
import { collect, MIB, send } from '../support/bytes.js';
import { flow, ONE_AND_TWO_WORKERS } from '../support/flow.js';
import { start } from '../support/process.js';
import { startSallyport } from '../support/server.js';
import { HOST, sshConfig, sshRun } from '../support/ssh.js';
import { freePort, startEcho } from '../support/targets.js';

const NEEDS = ['ssh', 'ssh-keygen'] as const;

flow(t, '-W', { needs: NEEDS, workers: ONE_AND_TWO_WORKERS }, async (t, workers) => {
  const server = await startSallyport(t, { workers });

  await t.test('joins stdin and stdout to the target and ends with it', async (t) => {
    const echo = await startEcho(t);
    const outcome = await sshRun(t, server, server.alice, ['-W', `localhost:${echo.port}`], [], { input: 'hello\n' });
    t.match(outcome, { code: 0, stdout: 'hello\n' });
  });

  await t.test('a closed port fails the client', async (t) => {
    const closed = await freePort();
    const outcome = await sshRun(t, server, server.alice, ['-W', `localhost:${closed}`]);
    t.match(outcome, { code: 255, stderr: /open failed: connect failed/ });
  });
});

flow(t, '-W moves 100 MB unharmed', { needs: NEEDS }, async (t, workers) => {
  const server = await startSallyport(t, { workers });
  const echo = await startEcho(t);
  const config = sshConfig(t, [{ alias: HOST, endpoint: server, login: server.alice }]);
  const client = start(t, 'ssh', ['-F', config, '-W', `localhost:${echo.port}`, HOST], { rawStdout: true });
  const receiving = collect(client.rawStdout);
  const sent = await send(client.stdin, 'stdio', 100 * MIB);
  client.stdin.end();
  t.same(await receiving, sent);
  t.match(await client.exited, { code: 0 });
});
