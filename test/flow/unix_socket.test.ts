/** UNIX SOCKETS: OpenSSH's `direct-streamlocal` and `streamlocal-forward` (PROTOCOL §2.4), alone and joined to TCP. */
import { existsSync, statSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import { exchange, MIB } from '../support/bytes.js';
import { flow, ONE_AND_TWO_WORKERS } from '../support/flow.js';
import { startSallyport } from '../support/server.js';
import { control, master, startTunnel, tunnel } from '../support/ssh.js';
import { connect, freePort, type Place, startEcho } from '../support/targets.js';
import { tempDir } from '../support/temp.js';

const NEEDS = ['ssh', 'ssh-keygen'] as const;

interface Case {
  readonly name: string;
  readonly direction: '-L' | '-R';
  /** Which of the two ends is a Unix socket. */
  readonly listener: 'unix' | 'tcp';
  readonly target: 'unix' | 'tcp';
}
const CASES: readonly Case[] = [
  { name: '-L path to path', direction: '-L', listener: 'unix', target: 'unix' },
  { name: '-L port to path', direction: '-L', listener: 'tcp', target: 'unix' },
  { name: '-L path to port', direction: '-L', listener: 'unix', target: 'tcp' },
  { name: '-R path to path', direction: '-R', listener: 'unix', target: 'unix' },
  { name: '-R port to path', direction: '-R', listener: 'tcp', target: 'unix' },
  { name: '-R path to port', direction: '-R', listener: 'unix', target: 'tcp' },
];

flow(t, 'Unix sockets', { needs: NEEDS, workers: ONE_AND_TWO_WORKERS }, async (t, workers) => {
  const server = await startSallyport(t, { workers });

  for (const [index, { name, direction, listener, target }] of CASES.entries()) {
    await t.test(name, async (t) => {
      const path = join(server.dir, `target${index}.sock`);
      const echo = await startEcho(t, target === 'unix' ? path : undefined);
      const near: Place = listener === 'unix' ? join(server.dir, `near${index}.sock`) : await freePort();
      const far = target === 'unix' ? path : `localhost:${echo.port}`;
      await tunnel(t, server, server.alice, [direction, `${near}:${far}`]);
      const { sent, received } = await exchange(await connect(t, near), name, MIB);
      t.same(received, sent);
    });
  }

  await t.test('a bound socket is private, and gone after its cancelling', async (t) => {
    const path = join(server.dir, 'private.sock');
    const spec = ['-R', `${path}:localhost:1`];
    const open = await master(t, server, server.alice, spec);
    t.equal(statSync(path).mode & 0o777, 0o600);
    const from = server.events.mark();
    t.match(await control(t, open, 'cancel', spec), { code: 0 });
    await server.events.wait('forward.released', { user: 'alice' }, from);
    t.equal(existsSync(path), false);
  });

  await t.test('a socket in a folder that is not permitted is refused both ways', async (t) => {
    const outside = join(tempDir(t), 'outside.sock');
    await startEcho(t, outside);
    const near = await freePort();
    const { client } = await tunnel(t, server, server.alice, ['-L', `${near}:${outside}`]);
    await connect(t, near);
    await client.waitFor(/open failed: administratively prohibited/);
    const refused = startTunnel(t, server, server.alice, ['-R', `${join(tempDir(t), 'new.sock')}:localhost:1`]);
    t.match(await refused.client.exited, { code: 255 });
  });
});

flow(t, 'Unix sockets move 100 MB unharmed', { needs: NEEDS }, async (t, workers) => {
  const server = await startSallyport(t, { workers });
  const [near, far] = [join(server.dir, 'near.sock'), join(server.dir, 'far.sock')];
  await startEcho(t, far);
  await tunnel(t, server, server.alice, ['-L', `${near}:${far}`]);
  const { sent, received } = await exchange(await connect(t, near), 'unix', 100 * MIB);
  t.same(received, sent);
});
