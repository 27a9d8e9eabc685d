/** CHANNELS: what a user who is logged in may ask to be opened (RFC 4254 §5.1), and how much of it.
 *  In one process with the server, so that an exception of its own fails the test. */
import t from 'tap';
import { MSG, message, OPEN_FAILURE, UINT32_MAX } from '../../src/shared/protocol.js';
import { startEndpoint } from '../support/endpoint_under_test.js';
import {
  confirmed,
  dataMessage,
  directOpen,
  openDirectChannel,
  openRefusal,
  type RawClient,
} from '../support/raw_client.js';
import { startEcho } from '../support/targets.js';

/** Bytes of the next CHANNEL_DATA for our channel. */
async function nextData(client: RawClient, id: number): Promise<string> {
  const payload = await client.take(MSG.CHANNEL_DATA, (data) => data.readUInt32BE(1) === id);
  return payload.subarray(9).toString();
}

t.test('RFC 4254 §5.1: opens', async (t) => {
  const server = await startEndpoint(t);
  const { port } = await startEcho(t);
  const client = await server.login(t);

  const unknown = [
    'x11',
    'auth-agent@openssh.com',
    'tun@openssh.com',
    'forwarded-tcpip',
    '',
    '__proto__',
    'a'.repeat(30_000),
  ];
  for (const type of unknown)
    await t.test(`type "${type.slice(0, 30)}" is refused as unknown`, async (t) => {
      client.send(message(MSG.CHANNEL_OPEN, type, 9, 1000, 1000));
      t.match(await openRefusal(client, 9), { reason: OPEN_FAILURE.UNKNOWN_CHANNEL_TYPE });
    });

  for (const bad of [0, 65_536, 70_000, UINT32_MAX])
    await t.test(`port ${bad} is refused`, async (t) => {
      client.send(directOpen(bad, { id: 9 }));
      t.match(await openRefusal(client, 9), { reason: OPEN_FAILURE.ADMINISTRATIVELY_PROHIBITED });
    });

  const hosts = [
    '127.0.0.1\0.example.org',
    'a\nb',
    '\x1b[2J',
    '',
    ' ',
    'a'.repeat(30_000),
    '..',
    '\ud83d\ude00.example',
  ];
  for (const host of hosts)
    await t.test(`host ${JSON.stringify(host.slice(0, 30))} is refused, and logged on one line`, async (t) => {
      client.send(directOpen(port, { id: 9, host }));
      t.ok((await openRefusal(client, 9)).reason > 0);
      const { destination } = server.primary.list('channel.refused').at(-1) ?? {};
      t.match(destination, /^[^\p{Cc}]{0,270}$/u);
    });

  for (const path of ['', 'relative.sock', '\0abstract', '/tmp/\0x', `/tmp/${'a'.repeat(108)}`, '/tmp/../etc/x'])
    await t.test(`socket path ${JSON.stringify(path.slice(0, 30))} is refused, whatever the hooks say`, async (t) => {
      client.send(message(MSG.CHANNEL_OPEN, 'direct-streamlocal@openssh.com', 9, 1000, 1000, path, '', 0));
      t.match(await openRefusal(client, 9), { reason: OPEN_FAILURE.ADMINISTRATIVELY_PROHIBITED });
    });

  await t.resolves(client.roundTrip(), 'the connection has come through all of it');
});

t.test('RFC 4254 §5.1: one channel too many is refused, and room is made by closing one', async (t) => {
  const server = await startEndpoint(t);
  const { port } = await startEcho(t);
  const client = await server.login(t);
  for (let id = 0; id < 1024; id++) client.send(directOpen(port, { id }));
  const channels = await Promise.all(Array.from({ length: 1024 }, (_, id) => confirmed(client, id)));
  t.equal(new Set(channels.map(({ peerId }) => peerId)).size, 1024, 'each has its own number');
  t.ok(
    channels.every(({ windowBytes }) => windowBytes >= 16_384),
    'and a window that is worth having',
  );
  const promised = channels.reduce((sum, { windowBytes }) => sum + windowBytes, 0);
  t.ok(promised <= 2 * 16 * 1024 * 1024, `${promised} bytes of window for a budget of 16 MiB and floors`);
  client.send(directOpen(port, { id: 1024 }));
  t.match(await openRefusal(client, 1024), { reason: OPEN_FAILURE.RESOURCE_SHORTAGE });

  client.send(message(MSG.CHANNEL_CLOSE, channels[5]?.peerId ?? -1));
  await client.take(MSG.CHANNEL_CLOSE);
  const again = await openDirectChannel(client, port, { id: 1024 });
  t.equal(again.peerId, channels[5]?.peerId, 'the number is used again');
  client.send(dataMessage(again, 'fresh'));
  t.equal(await nextData(client, 1024), 'fresh');
});
