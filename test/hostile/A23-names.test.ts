/** A23: names that lie: another address each time they are asked for (DNS rebinding), good and bad addresses in one answer, an
 *  alias of localhost, a thousand addresses, answers that are no addresses, no answer at all. A name is looked up once, each
 *  of its addresses is checked, and the checked address is dialled. A name server that hangs costs its user 3 s a name and
 *  his own share of look-ups, and the others nothing.
 *  A huge TXT record is not asked for. What a look-up that hangs does to libuv's threads is not seen here: DECISIONS 7 and
 *  workerEnv() in src/master/main.ts. */
import { once } from 'node:events';
import { createServer } from 'node:net';
import t, { type Test } from 'tap';
import { MSG, OPEN_FAILURE } from '../../src/shared/protocol.js';
import { hostile } from '../support/hostile.js';
import { nameService } from '../support/name_service.js';
import { confirmed, dataMessage, directOpen, openDirectChannel, openRefusal } from '../support/raw_client.js';
import { freePort } from '../support/targets.js';

const GOOD = '127.0.0.1';
/** As near as a protected destination can be to a permitted one: the next address, the same port. */
const BAD = '127.0.0.2';
const MANY = Array.from({ length: 1000 }, (_, index) => `127.1.${index >> 8}.${index & 255}`);

const names = nameService(t, {
  'flip.example': [[GOOD], [BAD]],
  'mixed.example': [['169.254.169.254', BAD, GOOD]],
  'alias-of-localhost.example': [[BAD, '::1']],
  'many.example': [[...MANY, GOOD]],
  'nonsense.example': [['no address', 'fe80::1%lo', '']],
  'good.example': [[GOOD]],
  'hung.example': [null],
});

/** Whoever is let through to BAD knocks here. */
async function trap(t: Test, port: number): Promise<() => number> {
  let knocks = 0;
  const server = createServer((socket) => {
    knocks++;
    socket.destroy();
  });
  server.listen({ host: BAD, port });
  await once(server, 'listening');
  t.teardown(() => server.close());
  return () => knocks;
}

const PROHIBITED = { reason: OPEN_FAILURE.ADMINISTRATIVELY_PROHIBITED, text: 'not permitted' };
const TIMED_OUT = { reason: OPEN_FAILURE.CONNECT_FAILED, text: 'name lookup timed out' };
/** Of one user: 4 under way and 32 that wait for them (src/worker/forward/resolve.ts). */
const SHARE = 36;

hostile(
  t,
  'A23',
  'names that lie or hang',
  { env: names.env, users: { alice: { permitOpen: [`${GOOD}:*`, '127.1.0.0/16:*', '*.example:*'] } } },
  async (t, { server, echoPort, login, stranger }) => {
    const knocks = await trap(t, echoPort);
    const from = names.asked().length;
    const timesAsked = (name: string): number =>
      names
        .asked()
        .slice(from)
        .filter((asked) => asked === name).length;
    const alice = await login();
    let id = 0;
    const open = (host: string, port = echoPort): void => alice.send(directOpen(port, { host, id: ++id }));

    await t.test('rebinding: what was checked is what is dialled, and the next look-up is checked again', async (t) => {
      open('flip.example');
      const channel = await confirmed(alice, id);
      alice.send(dataMessage(channel, 'of the good one'));
      t.match((await alice.take(MSG.CHANNEL_DATA)).toString(), /of the good one$/);
      t.equal(timesAsked('flip.example'), 1, 'looked up once');
      open('flip.example');
      t.same(await openRefusal(alice, id), PROHIBITED);
      await server.events.wait('channel.refused', { reason: 'PROTECTED_DESTINATION' });
    });

    await t.test('one good address among bad ones is the one that is dialled; none is none', async (t) => {
      open('mixed.example');
      t.ok(await confirmed(alice, id));
      open('alias-of-localhost.example');
      t.same(await openRefusal(alice, id), PROHIBITED);
    });

    await t.test('of a thousand addresses a few are tried', async (t) => {
      open('many.example', await freePort());
      t.match(await openRefusal(alice, id), { text: 'connection refused' });
      open('many.example');
      t.match(await openRefusal(alice, id), { text: 'connection refused' }, 'the last one would have answered');
    });

    await t.test('what is no address is none', async (t) => {
      open('nonsense.example');
      t.match(await openRefusal(alice, id), { text: 'name not found' });
    });

    await t.test('a name server that hangs', async (t) => {
      const first = id + 1;
      for (let count = 0; count < SHARE; count++) open('hung.example');
      open('hung.example');
      t.match(await openRefusal(alice, id), { text: 'resource shortage' }, 'one more than her share, at once');
      t.ok(await openDirectChannel(alice, echoPort, { id: ++id }), 'an address needs no name server');
      const bob = stranger();
      await bob.login('bob', server.bob);
      t.ok(await openDirectChannel(bob, echoPort, { host: 'good.example' }), "another's names are found meanwhile");
      for (let hung = first; hung < first + SHARE; hung++) t.same(await openRefusal(alice, hung), TIMED_OUT);
      await server.events.waitAll(SHARE, 'channel.refused', { user: 'alice', reason: 'NAME_TIMEOUT' });

      open('good.example');
      t.same(await openRefusal(alice, id), TIMED_OUT, 'look-ups that nobody waits for any more keep their places');
      t.ok(await openDirectChannel(bob, echoPort, { id: 1, host: 'good.example' }), "which are all alice's");
      t.equal(timesAsked('hung.example'), 4);
    });

    t.equal(knocks(), 0, 'nobody was let through');
  },
);
