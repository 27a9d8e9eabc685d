/** CHANNELS: many channels on one connection, each with content of its own. */
import type { Socket } from 'node:net';
import t from 'tap';
import { exchange, KIB } from '../support/bytes.js';
import { flow } from '../support/flow.js';
import { startSallyport } from '../support/server.js';
import { tunnel } from '../support/ssh.js';
import { connect, freePort, startEcho } from '../support/targets.js';

const CHANNELS = 500;
/** OpenSSH listens with a backlog of 128: connections beyond it would wait for the kernel's retries. */
const BATCH = 100;

flow(t, '500 channels at once', { needs: ['ssh', 'ssh-keygen'] }, async (t, workers) => {
  const server = await startSallyport(t, { workers });
  const echo = await startEcho(t);
  const near = await freePort();
  await tunnel(t, server, server.alice, ['-L', `${near}:localhost:${echo.port}`]);
  const from = server.events.mark();
  const sockets: Socket[] = [];
  while (sockets.length < CHANNELS) {
    sockets.push(...(await Promise.all(Array.from({ length: BATCH }, () => connect(t, near)))));
    await server.events.waitAll(sockets.length, 'channel.opened', { user: 'alice' }, from);
  }
  t.equal(server.events.list('channel.closed', {}, from).length, 0, 'all are open at the same time');
  const exchanges = await Promise.all(
    sockets.map((socket, index) => exchange(socket, `channel ${index}`, 4 * KIB + index)),
  );
  const wrong = exchanges.filter(({ sent, received }) => sent.sha256 !== received.sha256);
  t.same(wrong, [], 'each gets back its own bytes');
  await server.events.waitAll(CHANNELS, 'channel.closed', { user: 'alice' }, from);
});
