/** PROXY: behind Debian's haproxy, by either version of the PROXY protocol, the client is who the log, the key options and the
 *  penalties mean; and what a listener with `proxyProtocol` does with everybody else. */
import { readFileSync } from 'node:fs';
import { connect as connectFrom } from 'node:net';
import t from 'tap';
import { exchange } from '../support/bytes.js';
import { within } from '../support/deadline.js';
import { flow, ONE_AND_TWO_WORKERS } from '../support/flow.js';
import { startHaproxy } from '../support/haproxy.js';
import { type SshEndpoint, startSallyport } from '../support/server.js';
import { sshRun, tunnel } from '../support/ssh.js';
import { connect, freePort, startEcho } from '../support/targets.js';

const PROXY = '127.0.0.1';
const BEHIND_PROXY = {
  listen: [{ address: '127.0.0.1:0', proxyProtocol: { from: [PROXY] } }],
  // Loopback is exempt by default, and all of this test lives there.
  penalties: { exempt: [], min: '10s' },
};

/** Connects from `source`, says `bytes`, and hears everything until the end. */
async function say(server: SshEndpoint, source: string, bytes: string | Buffer): Promise<string> {
  const socket = connectFrom({ host: server.host, port: server.port, localAddress: source, allowHalfOpen: true });
  const chunks: Buffer[] = [];
  socket.on('data', (chunk: Buffer) => chunks.push(chunk)).on('end', () => socket.end());
  socket.on('error', () => {}); // a reset is an end too
  socket.write(bytes);
  await within(new Promise((resolve) => socket.once('close', resolve)), 'end of the connection');
  return Buffer.concat(chunks).toString('latin1');
}

for (const header of ['send-proxy', 'send-proxy-v2'] as const)
  flow(
    t,
    `behind haproxy, ${header}`,
    { needs: ['haproxy', 'ssh', 'ssh-keygen'], workers: ONE_AND_TWO_WORKERS },
    async (t, workers) => {
      const server = await startSallyport(t, { workers, config: BEHIND_PROXY });
      const publicLine = readFileSync(`${server.alice.keyFile}.pub`, 'utf8').trim();
      const { alice, bob } = server.config.users;
      const only = { ...alice, authorizedKeys: [`from="127.0.0.7" ${publicLine}`] };
      await server.reload({ ...server.config, users: { alice: only, ...(bob === undefined ? {} : { bob }) } });
      const front = await startHaproxy(t, server, header);
      const from = (source: string): readonly string[] => ['-o', `BindAddress=${source}`];

      await t.test('the peer in the log is the client', async (t) => {
        const echo = await startEcho(t);
        const near = await freePort();
        const mark = server.events.mark();
        const { client } = await tunnel(t, front, server.alice, [
          ...from('127.0.0.7'),
          '-L',
          `${near}:localhost:${echo.port}`,
        ]);
        const { sent, received } = await exchange(await connect(t, near), 'through a proxy', 100_000);
        t.same(received, sent);
        const succeeded = await server.events.wait('auth.succeeded', { user: 'alice' }, mark);
        t.match(succeeded.peer, /^127\.0\.0\.7:\d+$/);
        const fields = { conn: Number(succeeded.conn) };
        const accepted = server.events.list('connection.accepted', fields, mark);
        t.match(accepted, [{ peer: succeeded.peer, proxy: /^127\.0\.0\.1:\d+$/ }]);
        await client.stop();
        t.equal((await server.events.wait('connection.closed', fields, mark)).peer, succeeded.peer);
      });

      await t.test('from= means the client', async (t) => {
        const mark = server.events.mark();
        const { code } = await sshRun(t, front, server.alice, [...from('127.0.0.8')], ['true']);
        t.equal(code, 255);
        t.match(await server.events.wait('auth.failed', { reason: 'KEY_SOURCE' }, mark), { peer: /^127\.0\.0\.8:/ });
      });

      await t.test('penalties are of the client, and of no other behind the same proxy', async (t) => {
        const mark = server.events.mark();
        const stranger = { ...server.alice, name: 'nobody' };
        for (let count = 0; count < 3; count++) await sshRun(t, front, stranger, [...from('127.0.0.9')], ['true']);
        t.match(await server.events.wait('source.penalised', {}, mark), { source: '127.0.0.9' });
        const told = await say(front, '127.0.0.9', '');
        t.equal(told, 'Not allowed at this time\r\n');
        const refused = await server.events.wait('connection.refused', { reason: 'PENALTY' }, mark);
        t.match(refused, { peer: /^127\.0\.0\.9:/ });
        await tunnel(t, front, server.alice, [...from('127.0.0.7')]);
      });

      await t.test("the proxy's checks are its own, and earn nothing", async (t) => {
        // A second's worth of penalty each, if they had any: twice what a source is refused for.
        await server.events.waitAll(30 + server.events.list('connection.closed').length, 'connection.closed');
        const checks = server.events
          .list('connection.accepted')
          .filter(({ peer }) => String(peer).startsWith(`${PROXY}:`));
        t.ok(checks.length >= 30);
        t.same(server.events.list('source.penalised', { source: PROXY }), []);
        t.same(
          server.events.list('connection.closed').filter(({ reason }) => String(reason).startsWith('PROXY')),
          [],
        );
      });
    },
  );

flow(t, 'a listener with proxyProtocol', { needs: ['ssh', 'ssh-keygen'] }, async (t, workers) => {
  const server = await startSallyport(t, { workers, config: BEHIND_PROXY });
  /** @returns what the peer heard, when the log has told the reason */
  const refused = async (source: string, bytes: string, reason: string): Promise<string> => {
    const from = server.events.mark();
    const heard = await say(server, source, bytes);
    const { conn } = await server.events.wait('connection.closed', { reason }, from);
    t.match(server.events.list('connection.accepted', {}, from), [{ conn }], 'nothing ends that did not begin');
    return heard;
  };

  await t.test('who is no proxy speaks SSH as usual, and is refused with a header', async (t) => {
    await tunnel(t, server, server.alice, ['-o', 'BindAddress=127.0.0.7']);
    const header = 'PROXY TCP4 192.0.2.1 192.0.2.2 5000 22\r\nSSH-2.0-a\r\n';
    const heard = await refused('127.0.0.7', header, 'PROXY_UNEXPECTED');
    t.equal(heard, 'SSH-2.0-Sallyport\r\nInvalid SSH identification string.\r\n');
    t.same(
      server.events.list('connection.accepted', {}).filter(({ peer }) => /^192/.test(String(peer))),
      [],
    );
  });

  await t.test(
    'a proxy without a header, and with one that is none, is refused with a reason of its own',
    async (t) => {
      t.equal(await refused(PROXY, 'SSH-2.0-OpenSSH_9.2\r\n', 'PROXY_MISSING'), 'PROXY header expected.\r\n');
      t.equal(await refused(PROXY, 'PROXY TCP4 300.0.0.1 192.0.2.2 1 2\r\n', 'PROXY_INVALID'), '');
      t.equal(await refused(PROXY, `PROXY ${'a'.repeat(200)}`, 'PROXY_INVALID'), '');
    },
  );

  await t.test('a reload takes the proxy away', async (t) => {
    await server.reload({ ...server.config, listen: ['127.0.0.1:0'] });
    await tunnel(t, server, server.alice, []);
  });
});
