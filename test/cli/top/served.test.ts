/** TOP at a server that runs: what a client moves is seen, and `x` ends its connection. */
import t from 'tap';
import { within } from '../../support/deadline.js';
import { cliEntry } from '../../support/paths.js';
import { need } from '../../support/programs.js';
import { startSallyport } from '../../support/server.js';
import { tunnel } from '../../support/ssh.js';
import { connect, firstLine, freePort, startEcho } from '../../support/targets.js';
import { terminal } from '../../support/terminal.js';

t.test('a tunnel of OpenSSH, from its first bytes to its end by a key', async (t) => {
  if (!need(t, ['tmux', 'ssh'])) return;
  const server = await startSallyport(t, { workers: 1 });
  const echo = await startEcho(t);
  const local = await freePort();
  const { client } = await tunnel(t, server, server.alice, ['-L', `${local}:127.0.0.1:${echo.port}`]);
  const socket = await connect(t, local);
  socket.write('hello\n');
  await firstLine(socket);

  const screen = await terminal(t, { columns: 120 });
  await screen.command(`${process.execPath} ${cliEntry} top --interval 0.5 --config ${server.configFile}`);
  t.match(
    await screen.waitFor(/^ +\d+ alice +127\.0\.0\.1:\d+ +1 +.* +12 +\d+s OpenSSH/m),
    /^1 connection {2}1 tunnel/m,
  );
  const ticks = setInterval(() => socket.write(`${'x'.repeat(99)}\n`), 50);
  t.teardown(() => clearInterval(ticks));
  socket.resume();
  await screen.waitFor(/^ +\d+ alice +127\S+ +1 +(?:[1-9]\d+|[\d.]+K) +(?:[1-9]\d+|[\d.]+K) /m);
  await screen.type('2');
  await screen.waitFor(new RegExp(`alice +-L +127\\.0\\.0\\.1:${echo.port} `));
  await screen.press('Down');
  await screen.waitFor(/^> /m);
  await screen.type('x');
  await screen.waitFor(/^End connection \d+ of alice\? y\/n/m);
  await screen.type('y');
  await within(client.exited, 'end of the client');
  await screen.waitFor(/no tunnels[\s\S]*connection \d+ was ended/);
  await server.stop();
  await screen.waitFor(/^asking every \ds: no server answers/m);
});
