/** A42: a worker whose memory runs out sheds load before the kernel kills it: beyond four fifths nothing new is opened and
 *  nobody new is taken, and what stands still is cut until there is room.
 *
 *  A cgroup's limit needs rights that a test has not: what the process may have and what it has are told to the worker by the
 *  test in its place (the last scene). The row's 24 hours of leak hunt are `npm run chaos` and test/library/soak.test.ts. */
import t, { type Test } from 'tap';
import { OPEN_FAILURE } from '../../src/shared/protocol.js';
import { startAccepting } from '../support/accepting.js';
import { Credit } from '../support/credit.js';
import { startEndpoint } from '../support/endpoint_under_test.js';
import { hostile } from '../support/hostile.js';
import { confirmed, directOpen, openDirectChannel, openRefusal } from '../support/raw_client.js';
import { connect, cut, startEcho } from '../support/targets.js';

const MIB = 1024 * 1024;

hostile(
  t,
  'A42',
  'a user whose memory is full opens nothing new and is cut while it stands still; nobody else feels it',
  { users: { alice: { limits: { memory: '4MiB' } } } },
  async (t, { server, login, stranger, echoPort }) => {
    const { port, accepted } = await startAccepting(t);
    const bob = stranger();
    await bob.login('bob', server.bob);
    const hoarder = await login();
    const from = server.events.mark();
    let outcome = 'opened';
    for (let id = 1; outcome === 'opened'; id++) {
      hoarder.send(directOpen(port, { id }));
      outcome = await Promise.race([
        confirmed(hoarder, id).then(async (channel) => {
          (await accepted()).pause();
          await new Credit(hoarder, channel).exhaust(() => hoarder.roundTrip());
          return 'opened';
        }),
        openRefusal(hoarder, id).then(({ reason }) => `refused for ${reason}`),
      ]).catch(() => 'ended');
      const channel = await openDirectChannel(bob, echoPort, { id });
      t.ok(channel.windowBytes > MIB, 'another user has windows as ever');
    }
    t.ok([`refused for ${OPEN_FAILURE.RESOURCE_SHORTAGE}`, 'ended'].includes(outcome), outcome);
    const closed = await server.events.wait('connection.closed', { reason: 'OVERFLOW', user: 'alice' }, from);
    t.match(closed.detail, /^held \d+ bytes when memory was short$/);
    t.equal(server.events.list('connection.closed', {}, from).length, 1);
    const again = await openDirectChannel(await login(), echoPort);
    t.ok(again.windowBytes >= MIB / 4, 'and his next connection begins anew');
  },
);

t.test('A42 a process that has nearly all that the kernel lets it have', async (t: Test) => {
  let residentBytes = 100 * MIB;
  const server = await startEndpoint(t, {
    process: { usableBytes: () => 2 * 1024 * MIB, residentBytes: () => residentBytes }, // of two workers
  });
  const echo = await startEcho(t);
  const hoard = await startAccepting(t);
  const bystander = await server.login(t);
  const channel = await openDirectChannel(bystander, echo.port);
  const hoarder = await server.login(t);
  const full = await openDirectChannel(hoarder, hoard.port);
  (await hoard.accepted()).pause();
  await new Credit(hoarder, full).exhaust(() => bystander.roundTrip());
  server.endpoint.look();

  residentBytes = 900 * MIB;
  server.endpoint.look();
  bystander.send(directOpen(echo.port, { id: 5 }));
  t.match(await openRefusal(bystander, 5), { reason: OPEN_FAILURE.RESOURCE_SHORTAGE, text: 'resource shortage' });
  await cut(await connect(t, server.port)); // not taken: the primary gives it to another worker, or closes it
  t.same(
    server.primary.list('connection.closed').map(({ reason }) => reason),
    [],
    'what is held is not what makes the process large',
  );
  t.ok(channel.peerId >= 0);

  residentBytes = 300 * MIB;
  server.endpoint.look();
  t.ok(await openDirectChannel(bystander, echo.port, { id: 6 }), 'and when it has room again, so have they');
});
