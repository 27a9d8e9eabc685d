/** MANY FORWARDS: an OpenSSH client with a hundred -R, which asks for all of them before it reads an answer. */
import t from 'tap';
import { flow } from '../support/flow.js';
import { startSallyport } from '../support/server.js';
import { tunnel } from '../support/ssh.js';
import { canBind, freePort } from '../support/targets.js';

const COUNT = 100;

flow(
  t,
  'a hundred -R at once, where so many are permitted',
  { needs: ['ssh', 'ssh-keygen'], workers: [1] },
  async (t, workers) => {
    const server = await startSallyport(t, {
      workers,
      config: { limits: { forwardsPerConnection: COUNT } },
      users: { alice: { limits: { forwards: COUNT } } },
    });
    const ports = await portsFor(COUNT);
    await tunnel(
      t,
      server,
      server.alice,
      ports.flatMap((port) => ['-R', `${port}:127.0.0.1:1`]),
    );
    await server.events.waitAll(COUNT, 'forward.bound');
    for (const port of ports) t.notOk(await canBind(port));
  },
);

flow(
  t,
  'more -R than are permitted are refused, and end nothing',
  { needs: ['ssh', 'ssh-keygen'], workers: [1] },
  async (t, workers) => {
    const server = await startSallyport(t, { workers, users: { alice: { limits: { forwards: 2 } } } });
    const ports = await portsFor(COUNT);
    const client = await tunnel(t, server, server.alice, [
      '-o',
      'ExitOnForwardFailure=no',
      ...ports.flatMap((port) => ['-R', `${port}:127.0.0.1:1`]),
    ]);
    await server.events.waitAll(COUNT - 2, 'forward.refused', { reason: 'FORWARD_LIMIT' });
    t.equal(server.events.list('forward.bound').length, 2);
    t.notOk(client.client.hasExited);
  },
);

async function portsFor(count: number): Promise<readonly number[]> {
  const ports = new Set<number>();
  while (ports.size < count) ports.add(await freePort());
  return [...ports];
}
