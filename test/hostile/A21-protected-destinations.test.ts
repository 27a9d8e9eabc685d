/** A21: tunnels to where a tunnel should not lead: this machine, the metadata service of a cloud, the server itself. `*` opens
 *  none of them; a pattern that names them does, but for the server's own port. All denials read alike, and the log tells them
 *  apart.
 *  Private networks are what the patterns say of them; that a permitted one is dialled is shown in test/worker/policy.test.ts,
 *  since no packet of a test should go there. An address that a cloud maps to this machine without telling it (1:1 NAT) is not
 *  known here; whoever comes round that way is a connection like any other, and counts as one (A24). */
import { networkInterfaces } from 'node:os';
import t from 'tap';
import { formatHostPort } from '../../src/shared/address.js';
import { OPEN_FAILURE } from '../../src/shared/protocol.js';
import { hostile } from '../support/hostile.js';
import { directOpen, openDirectChannel, openRefusal } from '../support/raw_client.js';

const PROTECTED = [
  '127.0.0.1',
  '127.255.255.254',
  '::1',
  '0.0.0.0',
  '0.1.2.3',
  '::',
  '169.254.169.254',
  '169.254.170.2',
  'fd00:ec2::254',
  'fd20:ce::254',
  'fd00:ec2::23',
  'fd00:a9fe:a9fe::1',
  'fd00:42::42',
  'fd00:c1::a9fe:a9fe',
  'fd00:100::100:200',
  '192.0.0.192',
  '100.100.100.200',
  '168.63.129.16',
  '169.254.0.1',
  'fe80::1',
  '224.0.0.1',
  '239.255.255.255',
  'ff02::1',
  '255.255.255.255',
];
/** RFC 1918, CGNAT and unique local addresses, a public one, a name. */
const ELSEWHERE = ['10.0.0.1', '172.16.0.1', '192.168.0.1', '100.64.0.1', 'fd12::1', '192.0.2.1', 'db.internal'];

const DENIED = { reason: OPEN_FAILURE.ADMINISTRATIVELY_PROHIBITED, text: 'not permitted' };

hostile(
  t,
  'A21',
  'protected destinations, and the server itself',
  {
    config: { listen: ['0.0.0.0:0'] },
    users: {
      alice: { permitOpen: ['*:80'] },
      bob: { permitOpen: ['*:*', 'localhost:*', '0.0.0.0:*', '[::]:*'] },
    },
  },
  async (t, { server, echoPort, login, stranger }) => {
    const alice = await login();
    const cases = [
      ...PROTECTED.map((host) => ({ host, port: 80, reason: 'PROTECTED_DESTINATION' })),
      ...ELSEWHERE.map((host) => ({ host, port: 81, reason: 'POLICY_DENIED' })),
    ];
    for (const [id, { host, port, reason }] of cases.entries()) {
      alice.send(directOpen(port, { host, id }));
      t.same(await openRefusal(alice, id), DENIED, host);
      await server.events.wait('channel.refused', { user: 'alice', destination: formatHostPort(host, port), reason });
    }
    t.equal(server.events.list('channel.refused', { user: 'alice' }).length, cases.length, 'one line for each');

    const bob = stranger();
    await bob.login('bob', server.bob);
    const own = Object.values(networkInterfaces()).flatMap((list) =>
      (list ?? []).filter(({ family }) => family === 'IPv4').map(({ address }) => address),
    );
    const itself = [...own, ...own.map((ip) => `::ffff:${ip}`), '127.0.0.2', '0.0.0.0', '::'];
    for (const [id, host] of itself.entries()) {
      bob.send(directOpen(server.port, { host, id }));
      t.same(await openRefusal(bob, id), DENIED, `the own port at ${host}`);
    }
    await server.events.waitAll(itself.length, 'channel.refused', { user: 'bob', reason: 'OWN_LISTENER' });
    await t.resolves(openDirectChannel(bob, echoPort, { id: 100 }), 'twin: what a pattern names is open');
  },
);
