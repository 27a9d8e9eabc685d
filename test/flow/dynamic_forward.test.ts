/** DYNAMIC FORWARD: `ssh -D`: the client is a SOCKS proxy and the server resolves the names. */
import t from 'tap';
import { exchange, MIB } from '../support/bytes.js';
import { flow, ONE_AND_TWO_WORKERS } from '../support/flow.js';
import { startSallyport } from '../support/server.js';
import { socks5, socks5Refused } from '../support/socks.js';
import { tunnel } from '../support/ssh.js';
import { freePort, startEcho } from '../support/targets.js';

const NEEDS = ['ssh', 'ssh-keygen'] as const;

flow(t, '-D', { needs: NEEDS, workers: ONE_AND_TWO_WORKERS }, async (t, workers) => {
  const server = await startSallyport(t, { workers });
  const echo = await startEcho(t);
  const proxy = await freePort();
  const { client } = await tunnel(t, server, server.alice, ['-D', String(proxy)]);

  for (const host of ['localhost', '127.0.0.1']) {
    await t.test(`reaches ${host} as the server sees it`, async (t) => {
      const { sent, received } = await exchange(await socks5(t, proxy, host, echo.port), host, MIB);
      t.same(received, sent);
    });
  }

  await t.test('a name that does not exist is a failed connect, and the tunnel goes on', async (t) => {
    await socks5Refused(t, proxy, 'nowhere.invalid', echo.port);
    await client.waitFor(/open failed: (connect failed|administratively prohibited)/);
    const { sent, received } = await exchange(await socks5(t, proxy, 'localhost', echo.port), 'after', 1000);
    t.same(received, sent);
  });
});

flow(t, '-D moves 100 MB unharmed', { needs: NEEDS }, async (t, workers) => {
  const server = await startSallyport(t, { workers });
  const echo = await startEcho(t);
  const proxy = await freePort();
  await tunnel(t, server, server.alice, ['-D', String(proxy)]);
  const { sent, received } = await exchange(await socks5(t, proxy, 'localhost', echo.port), 'socks', 100 * MIB);
  t.same(received, sent);
});
