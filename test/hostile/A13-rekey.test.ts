/** A13: key exchanges after the login (RFC 4253 §9): too many of them, one that stops half-way, whoever began it, and a peer that
 *  never asks for one. The deadline of an exchange is 30 s. */
import t from 'tap';
import { DISCONNECT, MSG } from '../../src/shared/protocol.js';
import { hostile, type Scene } from '../support/hostile.js';
import { dataMessage, openDirectChannel, type RawClient } from '../support/raw_client.js';

const DEADLINE_SECONDS = 30;
const CUT_WITHIN_MS = 60_000;
const REKEY_BYTES = 256 * 1024;
const options = { config: { rekey: { bytes: '256KiB' } } };
const PART = Buffer.alloc(16 * 1024, 'x');
/** Without traffic, within a minute (transport/key_age.ts). */
const MANY_REKEYS = 10;

/** From now on nothing that the client says arrives. */
function mute({ socket }: RawClient): void {
  socket.write = () => true;
}

async function moved({ echoPort }: Scene, client: RawClient, bytes: number): Promise<void> {
  const channel = await openDirectChannel(client, echoPort);
  for (let sent = 0; sent < bytes; sent += PART.length) {
    client.send(dataMessage(channel, PART));
    for (let back = 0; back < PART.length; ) back += (await client.take(MSG.CHANNEL_DATA)).length - 9;
  }
}

hostile(t, 'A13', 'key exchanges after the login', options, async (t, scene) => {
  const { server, login } = scene;
  const from = server.events.mark();

  // Two that stop half-way; their deadline runs while the rest is looked at.
  const begun = await login();
  begun.rekey().catch(() => {});
  mute(begun);
  const asked = await login();
  const channel = await openDirectChannel(asked, scene.echoPort);
  for (let sent = 0; sent <= REKEY_BYTES; sent += PART.length) asked.send(dataMessage(channel, PART));
  mute(asked); // before the server can ask for new keys
  const sinceMs = performance.now();

  await t.test('one after the other without traffic: ten a minute', async (t) => {
    const client = await login();
    for (let count = 0; count < MANY_REKEYS; count++) await client.rekey();
    await t.resolves(client.roundTrip(), 'so many are served');
    client.rekey().catch(() => {});
    t.match(await client.ended, { reason: DISCONNECT.PROTOCOL_ERROR, text: 'too many key exchanges' });
  });

  await t.test('a peer that never asks is asked', async (t) => {
    const client = await login();
    await moved(scene, client, 6 * REKEY_BYTES);
    t.ok(client.rekeys >= 6, `${client.rekeys} key exchanges`);
    await client.roundTrip();
  });

  await server.events.waitAll(2, 'connection.closed', { reason: 'KEX_TIMEOUT' }, from, CUT_WITHIN_MS);
  for (const client of [begun, asked])
    t.same(await client.ended, {
      ...{ reason: DISCONNECT.KEY_EXCHANGE_FAILED, text: 'key exchange took too long' },
    });
  t.ok(performance.now() - sinceMs >= (DEADLINE_SECONDS - 1) * 1000, 'not before its time');
  t.equal(server.events.list('connection.closed', { reason: 'KEX_TIMEOUT' }, from).length, 2, 'one line tells of each');
});
