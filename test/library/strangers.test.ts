/** STRANGERS: penalties and start-ups, in one process and in a cluster alike: who is refused, by which words, and who is not. The
 *  rules themselves stand in master/penalties.test, startups.test and door.test. Sources are addresses of 127.0.0.0/8. */
import t, { type Test } from 'tap';
import { handlerUrl, MODES, type Served, serveIn } from '../support/library.js';
import { rawClient } from '../support/raw_client.js';
import { connect, firstLine } from '../support/targets.js';

const IDENT = 'SSH-2.0-Sallyport';
const [FULL, PENALISED] = ['Exceeded MaxStartups', 'Not allowed at this time'];
const [RIGHT, WRONG] = [{ password: 'foo' }, { password: 'bar' }];

/** What a connection hears first, which then stays open. */
async function heard(t: Test, server: Served, from: string): Promise<string> {
  return await firstLine(await connect(t, server.port, server.host, from));
}

/** Fails to log in, and goes; the server has told its end. */
async function fails(t: Test, server: Served, from: string): Promise<void> {
  const client = rawClient(t, server, { from });
  await client.refusedLogin('alice', WRONG);
  const peer = `${from}:${client.socket.localPort}`;
  client.socket.destroy();
  await server.wait('connection.closed', (event) => event.peer === peer);
}

for (const mode of MODES) {
  t.test(`${mode}: failed logins add up to a refusal of their source, and of no other`, async (t) => {
    const penalties = { authFail: '100s', min: '250s', exempt: ['127.0.0.9'] } as const;
    const server = await serveIn(t, mode, handlerUrl('recorder'), { penalties });
    for (const from of ['127.0.0.2', '127.0.0.9']) for (let count = 0; count < 3; count++) await fails(t, server, from);
    t.match(await server.wait('source.penalised'), { source: '127.0.0.2', reason: 'AUTH_FAIL' });
    t.equal(await heard(t, server, '127.0.0.2'), PENALISED);
    t.match(await server.wait('connection.refused'), { reason: 'PENALTY', peer: /^127\.0\.0\.2:/ });
    for (const from of ['127.0.0.3', '127.0.0.9']) {
      t.equal(await heard(t, server, from), IDENT, from);
      await t.resolves(rawClient(t, server, { from }).login('alice', RIGHT), `and a login from ${from}`);
    }
    t.equal(server.told.filter(({ event }) => event === 'source.penalised').length, 1);
  });

  t.test(`${mode}: so many strangers at a time, and so many of one source`, async (t) => {
    const limits = { startups: '2:100:40', startupsPerSource: 2 } as const;
    const server = await serveIn(t, mode, handlerUrl('recorder'), { limits, penalties: { exempt: ['127.0.0.9'] } });
    // Two of one source; the second is a suspect, which is counted for itself.
    for (const line of [IDENT, IDENT, FULL]) t.equal(await heard(t, server, '127.0.0.2'), line);
    t.match(await server.wait('connection.refused', ({ reason }) => reason === 'SOURCE_STARTUPS'), {
      peer: /^127\.0\.0\.2:/,
    });

    const second = rawClient(t, server, { from: '127.0.0.3' });
    await second.ready;
    t.equal(await heard(t, server, '127.0.0.4'), FULL, 'a third stranger');
    t.match(await server.wait('connection.refused', ({ reason }) => reason === 'STARTUPS'), { peer: /^127\.0\.0\.4:/ });
    t.equal(await heard(t, server, '127.0.0.9'), IDENT, 'who is exempt comes in');

    await second.login('alice', RIGHT);
    await server.wait('auth.succeeded'); // the primary has heard of it by then
    t.equal(await heard(t, server, '127.0.0.5'), IDENT, 'who has logged in is no stranger any more');
    t.equal(await heard(t, server, '127.0.0.6'), FULL);
    t.equal(await heard(t, server, '127.0.0.3'), IDENT, 'nor is the next one from there');
  });
}
