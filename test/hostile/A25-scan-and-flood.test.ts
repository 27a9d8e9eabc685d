/** A25: a scan of ports through us, and a flood of connects to one victim. Both end in refusals that reach nobody, while the
 *  connection lives, other users are served and what is permitted again is opened again.
 *
 *  A closed port and one that does not answer are told apart, as by OpenSSH's sshd: "Connection refused" and "timed out" are what
 *  people look for when a tunnel does not work, and `permitOpen` says which addresses may be asked at all. A fixed time for both
 *  would make every dead backend as slow as a filtered one. What bounds a scan is how many answers it gets. */
import t, { type Test } from 'tap';
import { MSG, message } from '../../src/shared/protocol.js';
import { deferred, within } from '../support/deadline.js';
import { hostile, type Scene, settles } from '../support/hostile.js';
import { directOpen, openRefusal, type RawClient } from '../support/raw_client.js';
import { freePort, startTarget } from '../support/targets.js';

const FAILURES = 60;
const OPENS_A_SECOND = 50;
const FLOOD = 2_000;
const SCANNED = 300;
/** So many ports are asked for at a time. */
const LANES = 10;

/** What the peer hears of `count` opens of that port, by text; '' where it was opened. */
async function texts(client: RawClient, port: number, count: number): Promise<Map<string, number>> {
  const heard = new Map<string, number>();
  for (let at = 0; at < count; at += LANES) {
    const ids = Array.from({ length: LANES }, (_, lane) => 1_000 + at + lane);
    for (const id of ids) client.send(directOpen(port, { id }));
    for (const id of ids) {
      const { text } = await openRefusal(client, id);
      heard.set(text, (heard.get(text) ?? 0) + 1);
    }
  }
  return heard;
}

/** Whether an open of that port is confirmed. */
async function isOpened(client: RawClient, port: number, id: number): Promise<boolean> {
  const { promise, resolve } = deferred<boolean>();
  client.intercept = (payload) => {
    const [type] = payload;
    if (type !== MSG.CHANNEL_OPEN_CONFIRMATION && type !== MSG.CHANNEL_OPEN_FAILURE) return false;
    if (payload.readUInt32BE(1) !== id) return false;
    resolve(type === MSG.CHANNEL_OPEN_CONFIRMATION);
    return true;
  };
  client.send(directOpen(port, { id }));
  return await within(promise, 'answer to the open');
}

const USERS = {
  alice: { limits: { failedOpensPerMinute: FAILURES } },
  bob: { limits: { opensPerSecond: OPENS_A_SECOND } },
};

hostile(t, 'A25', 'a port scan through us, and a flood of connects', { users: USERS }, async (t, scene) => {
  await t.test('a scan', async (t) => await scan(t, scene));
  await t.test('a flood', async (t) => await flood(t, scene));
});

async function scan(t: Test, { server, echoPort, login }: Scene): Promise<void> {
  const closedPort = await freePort();
  const from = server.events.mark();
  const startedMs = performance.now();
  const scanner = await login();
  const heard = await texts(scanner, closedPort, SCANNED);
  const dialled = heard.get('connection refused') ?? 0;
  const seconds = (performance.now() - startedMs) / 1_000;
  t.ok(dialled >= FAILURES && dialled <= FAILURES + LANES + seconds, `${dialled} of ${SCANNED} were dialled`);
  t.equal(heard.get('too many failed opens'), SCANNED - dialled, 'the rest was answered');
  t.notOk(scanner.hasEnded, 'it is refused, not cut');
  const refused = server.events.list('channel.refused', { user: 'alice', reason: 'OPEN_FAILURES' }, from);
  t.ok(refused.length > 0 && refused.length <= SCANNED, 'the log says why');

  // Nothing is opened until one more may fail, which takes a second. (Another worker counts for itself.)
  let id = 10;
  while (!(await isOpened(scanner, echoPort, id))) id++;
  t.pass('then it is opened again');
}

async function flood(t: Test, { server, stranger }: Scene): Promise<void> {
  let connects = 0;
  const victim = await startTarget(t, (socket) => {
    connects++;
    socket.end();
  });
  const from = server.events.mark();
  const flooder = stranger();
  await flooder.login('bob', server.bob);
  const startedMs = performance.now();
  let answers = 0;
  let opened = 0;
  // What is opened is closed at once, so that the number of channels is no bound.
  flooder.intercept = (payload) => {
    if (payload[0] === MSG.CHANNEL_OPEN_CONFIRMATION) {
      opened++;
      flooder.send(message(MSG.CHANNEL_CLOSE, payload.readUInt32BE(5)));
    } else if (payload[0] !== MSG.CHANNEL_OPEN_FAILURE || payload.readUInt32BE(1) >= FLOOD) return false;
    answers++;
    return true;
  };
  for (let id = 0; id < FLOOD; id++) flooder.send(directOpen(victim.port, { id }));
  await flooder.roundTrip();
  t.ok(await settles(() => answers === FLOOD), 'each open is answered');
  const seconds = (performance.now() - startedMs) / 1_000;
  const most = OPENS_A_SECOND * (2 + seconds);
  t.ok(opened >= OPENS_A_SECOND && opened <= most, `${opened} of ${FLOOD} were opened in ${seconds.toFixed(1)} s`);
  t.ok(await settles(() => connects === opened), 'and no other reached the victim');
  t.notOk(flooder.hasEnded, 'it is refused, not cut');
  t.ok(
    server.events.list('channel.refused', { user: 'bob', reason: 'OPEN_RATE' }, from).length > 0,
    'the log says why',
  );
}
