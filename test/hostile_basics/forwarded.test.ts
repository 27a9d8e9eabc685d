/** FORWARDED: the channels that we open (RFC 4254 §7.2) towards a peer. One that answers them late, twice, wrongly or never:
 *  test/hostile/A32. */
import { once } from 'node:events';
import type { Socket } from 'node:net';
import t, { type Test } from 'tap';
import { MSG, message, WireReader } from '../../src/shared/protocol.js';
import { within } from '../support/deadline.js';
import { type EndpointUnderTest, startEndpoint } from '../support/endpoint_under_test.js';
import type { RawClient } from '../support/raw_client.js';
import { connect } from '../support/targets.js';
import { tempDir } from '../support/temp.js';

interface Forwarding {
  readonly client: RawClient;
  readonly port: number;
}

async function forwarding(t: Test, server: EndpointUnderTest, host = 'localhost'): Promise<Forwarding> {
  const client = await server.login(t);
  client.send(message(MSG.GLOBAL_REQUEST, 'tcpip-forward', true, host, 0));
  return { client, port: (await client.take(MSG.REQUEST_SUCCESS)).readUInt32BE(1) };
}

/** A connection to the forward, and the open that it brought. */
async function knock(
  t: Test,
  { client, port }: Forwarding,
  host?: string,
): Promise<{ socket: Socket; peerId: number; open: WireReader; windowBytes: number }> {
  const socket = await connect(t, port, host);
  const open = new WireReader(await client.take(MSG.CHANNEL_OPEN), 1);
  t.equal(open.text(), 'forwarded-tcpip');
  const peerId = open.uint32();
  const windowBytes = open.uint32();
  t.equal(open.uint32(), 32_768);
  return { socket, peerId, open, windowBytes };
}

function confirmation(peerId: number, ours: number): Buffer {
  return message(MSG.CHANNEL_OPEN_CONFIRMATION, peerId, ours, 100_000, 32_768);
}

async function allOf(socket: Socket): Promise<string> {
  const chunks: Buffer[] = [];
  socket.on('data', (chunk: Buffer) => chunks.push(chunk));
  await within(once(socket, 'end'), 'end of the stream');
  return Buffer.concat(chunks).toString();
}

t.test('the open carries the address as it was asked for, the port, and who came', async (t) => {
  const server = await startEndpoint(t);
  for (const [asked, reached] of [
    ['localhost', '127.0.0.1'],
    ['localhost', '::1'],
    ['', '127.0.0.1'],
    ['*', '127.0.0.1'],
    ['0.0.0.0', '127.0.0.1'],
    ['::', '::1'],
    ['127.0.0.1', '127.0.0.1'],
  ] as const) {
    const forward = await forwarding(t, server, asked);
    const { socket, open } = await knock(t, forward, reached);
    t.same(
      [open.text(), open.uint32(), open.text(), open.uint32(), open.atEnd],
      [asked, forward.port, reached, socket.localPort, true],
      `"${asked}" by ${reached}`,
    );
  }
});

t.test('a Unix socket is named by its path', async (t) => {
  const server = await startEndpoint(t);
  const client = await server.login(t);
  const path = `${tempDir(t)}/a.sock`;
  client.send(message(MSG.GLOBAL_REQUEST, 'streamlocal-forward@openssh.com', true, path));
  await client.take(MSG.REQUEST_SUCCESS);
  const socket = await connect(t, path);
  const open = new WireReader(await client.take(MSG.CHANNEL_OPEN), 1);
  t.equal(open.text(), 'forwarded-streamlocal@openssh.com');
  const peerId = open.uint32();
  open.uint32();
  open.uint32();
  t.same([open.text(), open.text(), open.atEnd], [path, '', true]);
  client.send(confirmation(peerId, 3));
  client.send(message(MSG.CHANNEL_DATA, peerId, 'hello'));
  client.send(message(MSG.CHANNEL_EOF, peerId));
  t.equal(await allOf(socket), 'hello');
});

t.test('data that stands right behind the confirmation, in one segment', async (t) => {
  const server = await startEndpoint(t);
  const forward = await forwarding(t, server);
  const { socket, peerId } = await knock(t, forward);
  const { client } = forward;
  client.socket.cork();
  client.send(confirmation(peerId, 3));
  client.send(message(MSG.CHANNEL_DATA, peerId, 'hello'));
  client.send(message(MSG.CHANNEL_EOF, peerId));
  client.send(message(MSG.CHANNEL_CLOSE, peerId));
  client.socket.uncork();
  t.equal(await allOf(socket), 'hello');
});

t.test('bytes that came before the confirmation are kept, as far as the kernel keeps them', async (t) => {
  const server = await startEndpoint(t);
  const forward = await forwarding(t, server);
  const { socket, peerId } = await knock(t, forward);
  socket.end('GET /');
  forward.client.send(confirmation(peerId, 3));
  const data = await forward.client.take(MSG.CHANNEL_DATA);
  t.same([data.readUInt32BE(1), data.subarray(9).toString()], [3, 'GET /']);
  await forward.client.take(MSG.CHANNEL_EOF);
});

t.test('after a cancel, what runs goes on', async (t) => {
  const server = await startEndpoint(t);
  const forward = await forwarding(t, server);
  const { client } = forward;
  const open = await knock(t, forward);
  client.send(confirmation(open.peerId, 3));
  const waiting = await knock(t, forward);
  client.send(message(MSG.GLOBAL_REQUEST, 'cancel-tcpip-forward', true, 'localhost', forward.port));
  await client.take(MSG.REQUEST_SUCCESS);
  await t.rejects(connect(t, forward.port), 'nobody new comes in');
  client.send(confirmation(waiting.peerId, 4));
  for (const { socket, peerId } of [open, waiting]) {
    client.send(message(MSG.CHANNEL_DATA, peerId, 'on and on'));
    client.send(message(MSG.CHANNEL_EOF, peerId));
    t.equal(await allOf(socket), 'on and on');
  }
});
