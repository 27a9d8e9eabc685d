/** SESSIONS: the server has no shell (RFC 4254 §6). Each way of asking for one gets the notice and exit status 1, and a
 *  tunnel on the same connection does not notice. */
import t from 'tap';
import { exchange } from '../support/bytes.js';
import { flow, ONE_AND_TWO_WORKERS } from '../support/flow.js';
import { run } from '../support/process.js';
import { startSallyport } from '../support/server.js';
import { HOST, master, sshRun, viaMaster } from '../support/ssh.js';
import { connect, freePort, startEcho } from '../support/targets.js';

const NOTICE = 'Only tunnels here, sorry.';

interface Case {
  readonly name: string;
  readonly args: readonly string[];
  readonly command: readonly string[];
}
const CASES: readonly Case[] = [
  { name: 'a shell', args: ['-T'], command: [] },
  { name: 'a command', args: [], command: ['true'] },
  { name: 'a terminal', args: ['-tt'], command: [] },
  { name: 'a terminal with a command', args: ['-tt'], command: ['true'] },
  { name: 'X11', args: ['-X'], command: ['true'] },
  { name: 'trusted X11', args: ['-Y'], command: ['true'] },
  { name: 'an agent', args: ['-A'], command: ['true'] },
  { name: 'an environment variable', args: ['-o', 'SetEnv=COLOUR=green'], command: ['true'] },
];
/** For -X and -Y: without a display the client would not ask at all. */
const ENV = { DISPLAY: '127.0.0.1:99' };

flow(t, 'sessions', { needs: ['ssh', 'ssh-keygen', 'sftp'], workers: ONE_AND_TWO_WORKERS }, async (t, workers) => {
  const server = await startSallyport(t, { workers, config: { noShell: NOTICE } });

  for (const { name, args, command } of CASES) {
    await t.test(`${name} on a connection of its own`, async (t) => {
      const outcome = await sshRun(t, server, server.alice, args, command, { env: ENV });
      t.equal(outcome.code, 1);
      t.match(outcome.stdout + outcome.stderr, NOTICE);
    });
  }

  await t.test('sftp fails', async (t) => {
    const options = { program: ['sftp', '-b', '-'], input: 'ls\n' };
    const outcome = await sshRun(t, server, server.alice, [], [], options);
    t.not(outcome.code, 0);
  });

  await t.test('a tunnel of the same connection goes on meanwhile', async (t) => {
    const echo = await startEcho(t);
    const near = await freePort();
    const open = await master(t, server, server.alice, ['-L', `${near}:localhost:${echo.port}`]);
    const live = await connect(t, near);
    for (const { name, args, command } of CASES) {
      const outcome = await run(t, 'ssh', [...viaMaster(open), ...args, HOST, ...command], { env: ENV });
      t.equal(outcome.code, 1, name);
      t.match(outcome.stdout + outcome.stderr, NOTICE, name);
    }
    const sftp = await run(t, 'sftp', [...viaMaster(open), '-b', '-', HOST], { input: 'ls\n' });
    t.not(sftp.code, 0, 'sftp');
    t.equal(open.client.hasExited, false);
    const { sent, received } = await exchange(live, 'opened before', 10_000);
    t.same(received, sent, 'the channel that was open all the time');
    const later = await exchange(await connect(t, near), 'opened after', 10_000);
    t.same(later.received, later.sent, 'and a new one');
  });
});
