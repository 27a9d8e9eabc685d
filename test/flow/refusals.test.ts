/** REFUSALS: what the policy forbids and what the network does not give, in the client's own words (RFC 4254 §5.1). */
import t from 'tap';
import { exchange } from '../support/bytes.js';
import { flow, ONE_AND_TWO_WORKERS } from '../support/flow.js';
import { startSallyport } from '../support/server.js';
import { socks5Refused } from '../support/socks.js';
import { tunnel } from '../support/ssh.js';
import { connect, cut, freePort, startEcho } from '../support/targets.js';

const NEEDS = ['ssh', 'ssh-keygen'] as const;
const PROHIBITED = /open failed: administratively prohibited/;
const FAILED = /open failed: connect failed/;

flow(t, 'refusals', { needs: NEEDS, workers: ONE_AND_TWO_WORKERS }, async (t, workers) => {
  const echo = await startEcho(t);
  const other = await startEcho(t);
  const server = await startSallyport(t, {
    workers,
    users: {
      alice: { permitOpen: [`localhost:${echo.port}`] },
      bob: { permitOpen: ['*:*'] }, // which covers no protected destination
    },
  });

  await t.test('permitOpen: one port allowed, its neighbour prohibited', async (t) => {
    const [allowed, denied] = [await freePort(), await freePort()];
    const specs = ['-L', `${allowed}:localhost:${echo.port}`, '-L', `${denied}:localhost:${other.port}`];
    const { client } = await tunnel(t, server, server.alice, specs);
    await cut(await connect(t, denied));
    await client.waitFor(PROHIBITED);
    const { sent, received } = await exchange(await connect(t, allowed), 'allowed', 1000);
    t.same(received, sent);
    t.match(await server.events.wait('channel.refused', { user: 'alice' }), { reason: 'POLICY_DENIED' });
  });

  await t.test('a closed port is a failed connect', async (t) => {
    const roomy = await startSallyport(t, { workers });
    const near = await freePort();
    const { client } = await tunnel(t, roomy, roomy.alice, ['-L', `${near}:localhost:${await freePort()}`]);
    await cut(await connect(t, near));
    await client.waitFor(FAILED);
    t.match(await roomy.events.wait('channel.refused', { user: 'alice' }), { reason: 'CONNECT_REFUSED' });
  });

  await t.test("'*:*' opens no protected destination, however it is spelled", async (t) => {
    const proxy = await freePort();
    const { client } = await tunnel(t, server, server.bob, ['-D', String(proxy)]);
    const hosts = [
      '127.0.0.1',
      'localhost',
      '127.1',
      '2130706433',
      '::1',
      '::ffff:127.0.0.1',
      '0.0.0.0',
      '169.254.169.254',
    ];
    for (const [index, host] of hosts.entries()) {
      const from = server.events.mark();
      await socks5Refused(t, proxy, host, echo.port);
      await client.waitUntil(
        () => client.stderr.split(PROHIBITED).length > index + 1 || undefined,
        `refusal of ${host}`,
      );
      const refused = await server.events.wait('channel.refused', { user: 'bob' }, from);
      t.match(String(refused.reason), /^(PROTECTED_DESTINATION|POLICY_DENIED|BAD_ADDRESS)$/, host);
    }
  });

  await t.test('the own SSH port is prohibited, even where localhost is permitted', async (t) => {
    const roomy = await startSallyport(t, { workers });
    const proxy = await freePort();
    const { client } = await tunnel(t, roomy, roomy.alice, ['-D', String(proxy)]);
    for (const [index, host] of ['127.0.0.1', 'localhost', '127.0.0.2', '::ffff:127.0.0.1'].entries()) {
      await socks5Refused(t, proxy, host, roomy.port);
      const refused = await client.waitUntil(
        () => client.stderr.match(/open failed: [^\n]*/g)?.[index],
        `refusal of ${host}`,
      );
      // Behind `localhost` stands ::1 too, where nobody listens, and 127.0.0.2 is no listener of ours either: what
      // counts there is that no SSH server answers.
      t.match(refused, /^(localhost|127\.0\.0\.2)$/.test(host) ? /open failed/ : PROHIBITED, host);
    }
    t.match(await roomy.events.wait('channel.refused', { reason: 'OWN_LISTENER' }), { user: 'alice' });
  });
});
