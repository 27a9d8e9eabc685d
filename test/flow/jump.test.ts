/** JUMP: `ssh -J`: a whole SSH connection inside a channel, to a real sshd, through one server and through three. */
import t from 'tap';
import { collect, MIB, send } from '../support/bytes.js';
import { flow, ONE_AND_TWO_WORKERS } from '../support/flow.js';
import { run, start } from '../support/process.js';
import { startSallyport } from '../support/server.js';
import { type HostEntry, sshConfig } from '../support/ssh.js';
import { startSshd } from '../support/sshd.js';

const NEEDS = ['ssh', 'ssh-keygen', 'sshd'] as const;

flow(t, '-J', { needs: NEEDS, workers: ONE_AND_TWO_WORKERS }, async (t, workers) => {
  const server = await startSallyport(t, { workers });
  const sshd = await startSshd(t);
  const config = sshConfig(t, [
    { alias: 'gate', endpoint: server, login: server.alice },
    { alias: 'target', endpoint: sshd, login: sshd.login },
  ]);

  await t.test('runs a command behind the server', async (t) => {
    const args = ['-F', config, '-J', 'gate', 'target'];
    t.match(await run(t, 'ssh', [...args, 'exit 7']), { code: 7 });
    t.match(await run(t, 'ssh', [...args, 'cat'], { input: 'through' }), { code: 0, stdout: 'through' });
  });
});

flow(t, '-J moves 100 MB unharmed', { needs: NEEDS }, async (t, workers) => {
  const server = await startSallyport(t, { workers });
  const sshd = await startSshd(t);
  const config = sshConfig(t, [
    { alias: 'gate', endpoint: server, login: server.alice },
    { alias: 'target', endpoint: sshd, login: sshd.login },
  ]);
  const client = start(t, 'ssh', ['-F', config, '-J', 'gate', 'target', 'cat'], { rawStdout: true });
  const receiving = collect(client.rawStdout);
  const sent = await send(client.stdin, 'jump', 100 * MIB);
  client.stdin.end();
  t.same(await receiving, sent);
  t.match(await client.exited, { code: 0 });
});

flow(t, 'a chain of three servers to a fourth machine', { needs: NEEDS, workers: [1] }, async (t, workers) => {
  const servers = await Promise.all(['a', 'b', 'c'].map(() => startSallyport(t, { workers })));
  const sshd = await startSshd(t);
  const hops: HostEntry[] = servers.map((server, index) => ({
    alias: `hop${index}`,
    endpoint: server,
    login: server.alice,
  }));
  const config = sshConfig(t, [...hops, { alias: 'target', endpoint: sshd, login: sshd.login }]);
  const args = ['-F', config, '-J', hops.map((hop) => hop.alias).join(','), 'target', 'cat'];
  const client = start(t, 'ssh', args, { rawStdout: true });
  const receiving = collect(client.rawStdout);
  const sent = await send(client.stdin, 'chain', 4 * MIB);
  client.stdin.end();
  t.same(await receiving, sent);
  t.match(await client.exited, { code: 0 });
});
