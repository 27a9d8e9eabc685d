/** A24: tunnels that lead back into themselves. The server's own port is prohibited as a destination; who comes round by his
 *  own client (`-R`) uses up his own connections or channels, and then the whole chain comes down.
 *  A connect of the server's to itself (a TCP simultaneous open on a port of the ephemeral range) comes once in 28,000 tries,
 *  so it is shown where it can be forced: test/worker/forward/dial.test.ts. */
import t from 'tap';
import { hostile, settles } from '../support/hostile.js';
import { sshRun, startTunnel, tunnel } from '../support/ssh.js';
import { connect, cut, freePort } from '../support/targets.js';

const CHANNELS = 24;
const CONNECTIONS = 3;

hostile(
  t,
  'A24',
  'loops',
  { users: { alice: { limits: { channels: CHANNELS, connections: CONNECTIONS } } } },
  async (t, { server }) => {
    await t.test('a jump to the server itself is prohibited', async (t) => {
      const outcome = await sshRun(t, server, server.alice, ['-W', `127.0.0.1:${server.port}`]);
      t.match(outcome.stderr, /administratively prohibited/);
      t.match(await server.events.wait('channel.refused', { user: 'alice' }), { reason: 'OWN_LISTENER' });
    });

    for (const [name, specs] of [
      ['-R to its own port', (port: number, _near: number) => ['-R', `${port}:127.0.0.1:${port}`]],
      [
        '-R to a -L that leads to it',
        (port: number, near: number) => ['-L', `${near}:127.0.0.1:${port}`, '-R', `${port}:127.0.0.1:${near}`],
      ],
    ] as const)
      await t.test(`${name} goes round until the channels are used up, and comes down`, async (t) => {
        const from = server.events.mark();
        const [port, near] = [await freePort(), await freePort()];
        const { client } = await tunnel(t, server, server.alice, specs(port, near));
        await cut(await connect(t, port));
        await server.events.wait('channel.refused', { user: 'alice', reason: 'CHANNEL_LIMIT' }, from);
        const count = (event: 'channel.opened' | 'channel.closed'): number =>
          server.events.list(event, { user: 'alice' }, from).length;
        t.ok(await settles(() => count('channel.closed') === count('channel.opened')), 'nothing of it is left');
        t.ok(count('channel.opened') <= CHANNELS);
        t.notOk(client.hasExited, 'the connection itself goes on');
        await client.stop();
        await server.events.wait('connection.closed', { user: 'alice' }, from);
      });

    await t.test('logins through forwards of logins use up the connections', async (t) => {
      let { port } = server;
      const back = ['-R', `0:127.0.0.1:${server.port}`];
      for (let depth = 0; depth < CONNECTIONS; depth++) {
        const { allocatedPorts } = await tunnel(t, { host: '127.0.0.1', port }, server.alice, back);
        port = allocatedPorts[0] ?? 0;
      }
      const { client } = startTunnel(t, { host: '127.0.0.1', port }, server.alice, back);
      await client.waitFor(/too many connections of this user/);
      t.match(await client.exited, { code: 255 });
    });
  },
);
