/** CHANNELS: what a user who is logged in may do to channels (RFC 4254 §5), and what ends a channel or the connection.
 *  In one process with the server, so that an exception of its own fails the test. */
import { once } from 'node:events';
import type { Socket } from 'node:net';
import t, { type Test } from 'tap';
import { DISCONNECT, MSG, message, OPEN_FAILURE, UINT32_MAX } from '../../src/shared/protocol.js';
import { within } from '../support/deadline.js';
import { type EndpointUnderTest, startEndpoint } from '../support/endpoint_under_test.js';
import {
  confirmed,
  dataMessage,
  directOpen,
  type OpenChannel,
  openDirectChannel,
  openRefusal,
  type RawClient,
} from '../support/raw_client.js';
import { cut, startEcho, startTarget } from '../support/targets.js';

/** A target whose accepted sockets a test can take one by one. */
async function startAccepting(t: Test): Promise<{ readonly port: number; accepted(): Promise<Socket> }> {
  const sockets: Socket[] = [];
  let wake = (): void => {};
  const { port } = await startTarget(t, (socket) => {
    sockets.push(socket);
    wake();
  });
  return {
    port,
    async accepted() {
      for (;;) {
        const socket = sockets.shift();
        if (socket !== undefined) return socket;
        await within(
          new Promise<void>((resolve) => {
            wake = resolve;
          }),
          'a connection at the target',
        );
      }
    },
  };
}

/** Bytes of the next CHANNEL_DATA for our channel. */
async function nextData(client: RawClient, id: number): Promise<string> {
  const payload = await client.take(MSG.CHANNEL_DATA, (data) => data.readUInt32BE(1) === id);
  return payload.subarray(9).toString();
}

/** The test's client and one channel to an echo. */
async function echoing(
  t: Test,
  server: EndpointUnderTest,
): Promise<{ client: RawClient; channel: OpenChannel; port: number }> {
  const { port } = await startEcho(t);
  const client = await server.login(t);
  return { client, channel: await openDirectChannel(client, port), port };
}

/** The server ends the connection for breaking the protocol, says so, and is none the worse for it. */
async function brokeProtocol(t: Test, server: EndpointUnderTest, client: RawClient, text: string): Promise<void> {
  t.match(await client.ended, { reason: DISCONNECT.PROTOCOL_ERROR, text });
  const closed = await server.primary.wait('connection.closed');
  t.match(closed, { reason: 'PROTOCOL_ERROR', detail: text });
  t.same(server.endpoint.load(), { connections: 0, channels: 0, bufferedBytes: 0 });
  await t.resolves(server.login(t), 'others are served');
}

t.test('RFC 4254 §5.1: opens', async (t) => {
  const server = await startEndpoint(t);
  const { port } = await startEcho(t);
  const client = await server.login(t);

  for (const maxPacketBytes of [0, 1, 255])
    await t.test(`a maximum packet of ${maxPacketBytes} bytes is refused`, async (t) => {
      client.send(directOpen(port, { id: 9, maxPacketBytes }));
      t.match(await openRefusal(client, 9), { reason: OPEN_FAILURE.RESOURCE_SHORTAGE });
    });
  for (const maxPacketBytes of [256, 32_768, UINT32_MAX])
    await t.test(`with one of ${maxPacketBytes}, no packet carries more than it, or than 32 KiB`, async (t) => {
      const channel = await openDirectChannel(client, port, { id: 9, maxPacketBytes });
      client.send(dataMessage(channel, Buffer.alloc(32_768, 1)));
      client.send(dataMessage(channel, Buffer.alloc(32_768, 1)));
      let received = 0;
      let largest = 0;
      while (received < 65_536) {
        const bytes = (await nextData(client, 9)).length;
        received += bytes;
        largest = Math.max(largest, bytes);
      }
      t.ok(largest <= Math.min(maxPacketBytes, 32_768), `${largest} bytes`);
      client.send(message(MSG.CHANNEL_CLOSE, channel.peerId));
      await client.take(MSG.CHANNEL_CLOSE);
    });

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

  await t.test('a number of the peer that it uses twice, or 2^32-1, is its own affair', async (t) => {
    for (const id of [7, 7, UINT32_MAX]) {
      const channel = await openDirectChannel(client, port, { id });
      client.send(dataMessage(channel, `for ${id}`));
      t.equal(await nextData(client, id), `for ${id}`);
    }
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

t.test('RFC 4254 §5.2: windows', async (t) => {
  await t.test('an initial window of 0 holds the data until an adjust', async (t) => {
    const server = await startEndpoint(t);
    const client = await server.login(t);
    const { port } = await startTarget(t, (socket) => socket.write('hello'));
    const channel = await openDirectChannel(client, port, { windowBytes: 0 });
    await client.roundTrip();
    t.notOk(client.untaken.includes(MSG.CHANNEL_DATA));
    client.send(message(MSG.CHANNEL_WINDOW_ADJUST, channel.peerId, 1));
    t.equal(await nextData(client, 0), 'h');
    client.send(message(MSG.CHANNEL_WINDOW_ADJUST, channel.peerId, 3));
    t.equal(await nextData(client, 0), 'ell');
    client.send(message(MSG.CHANNEL_WINDOW_ADJUST, channel.peerId, UINT32_MAX));
    t.equal(await nextData(client, 0), 'o');
  });

  await t.test('an adjust past 2^32-1 ends the connection', async (t) => {
    const server = await startEndpoint(t);
    const { client, channel } = await echoing(t, server);
    client.send(message(MSG.CHANNEL_WINDOW_ADJUST, channel.peerId, UINT32_MAX));
    await brokeProtocol(t, server, client, 'window adjust past 2^32-1');
  });

  await t.test('an adjust for no channel is passed over: the channel may just have gone', async (t) => {
    const server = await startEndpoint(t);
    const { client } = await echoing(t, server);
    client.send(message(MSG.CHANNEL_WINDOW_ADJUST, 77, 1));
    await t.resolves(client.roundTrip());
  });

  await t.test('data up to the last byte of the window is taken, a byte beyond ends the connection', async (t) => {
    const server = await startEndpoint(t);
    const client = await server.login(t);
    const { port } = await startTarget(t, (socket) => socket.pause()); // never reads
    const channel = await openDirectChannel(client, port);
    // The kernel takes some of it, which opens the window again: so until no more credit comes.
    let credit = channel.windowBytes;
    client.intercept = (payload) => {
      if (payload[0] !== MSG.CHANNEL_WINDOW_ADJUST) return false;
      credit += payload.readUInt32BE(5);
      return true;
    };
    while (credit > 0) {
      const bytes = Math.min(credit, 32_768);
      credit -= bytes;
      client.send(dataMessage(channel, Buffer.alloc(bytes)));
      if (credit === 0) await client.roundTrip();
    }
    t.ok(server.endpoint.load().connections === 1, 'all of it was taken');
    client.send(dataMessage(channel, 'x'));
    await brokeProtocol(t, server, client, 'data beyond the window');
  });

  await t.test('a packet of 32 KiB is taken, one byte more ends the connection', async (t) => {
    const server = await startEndpoint(t);
    const { client, channel } = await echoing(t, server);
    client.send(dataMessage(channel, Buffer.alloc(32_768)));
    await client.roundTrip();
    client.send(dataMessage(channel, Buffer.alloc(32_769)));
    await brokeProtocol(t, server, client, 'packet too large');
  });

  await t.test(
    'stderr data is dropped and its credit comes back; beyond the window it ends the connection',
    async (t) => {
      const server = await startEndpoint(t);
      const { client, channel } = await echoing(t, server);
      const half = channel.windowBytes / 2;
      let sent = 0;
      for (; sent < half; sent += 32_000)
        client.send(message(MSG.CHANNEL_EXTENDED_DATA, channel.peerId, 1, Buffer.alloc(32_000)));
      const adjust = await client.take(MSG.CHANNEL_WINDOW_ADJUST);
      t.ok(adjust.readUInt32BE(5) >= half / 2 && adjust.readUInt32BE(5) <= sent);
      t.notOk(client.untaken.includes(MSG.CHANNEL_DATA), 'none of it came back from the target');
    },
  );
});

t.test('RFC 4254 §5.3: the end of a channel', async (t) => {
  await t.test('data for a number that nobody has ends the connection', async (t) => {
    for (const make of [
      () => message(MSG.CHANNEL_DATA, 77, 'x'),
      () => message(MSG.CHANNEL_EXTENDED_DATA, 77, 1, 'x'),
    ]) {
      const server = await startEndpoint(t);
      const { client } = await echoing(t, server);
      client.send(make());
      await brokeProtocol(t, server, client, 'data for no channel');
    }
  });

  await t.test('data after EOF ends the channel and not the connection', async (t) => {
    const server = await startEndpoint(t);
    const client = await server.login(t);
    const { port, accepted } = await startAccepting(t);
    const channel = await openDirectChannel(client, port);
    client.send(dataMessage(channel, 'before'));
    client.send(message(MSG.CHANNEL_EOF, channel.peerId));
    client.send(dataMessage(channel, 'after'));
    await client.take(MSG.CHANNEL_CLOSE);
    client.send(message(MSG.CHANNEL_CLOSE, channel.peerId));
    t.equal(Buffer.concat(await (await accepted()).toArray()).toString(), 'before');
    await server.primary.wait('channel.closed'); // the target has ended as well
    await client.roundTrip();
    t.equal(server.endpoint.load().channels, 0);
  });

  await t.test(
    'CLOSE is answered once, also when it comes twice; EOF and requests after it are passed over',
    async (t) => {
      const server = await startEndpoint(t);
      const { client, channel } = await echoing(t, server);
      client.send(message(MSG.CHANNEL_CLOSE, channel.peerId));
      await client.take(MSG.CHANNEL_CLOSE);
      for (const type of [MSG.CHANNEL_CLOSE, MSG.CHANNEL_EOF]) client.send(message(type, channel.peerId));
      client.send(message(MSG.CHANNEL_REQUEST, channel.peerId, 'x', true));
      await client.roundTrip();
      t.same(
        client.untaken.filter((type) => type >= MSG.CHANNEL_EOF),
        [],
      );
    },
  );

  await t.test('data after CLOSE ends the connection', async (t) => {
    const server = await startEndpoint(t);
    const { client, channel } = await echoing(t, server);
    client.send(message(MSG.CHANNEL_CLOSE, channel.peerId));
    client.send(dataMessage(channel, 'late'));
    await brokeProtocol(t, server, client, 'data for no channel');
  });

  await t.test('a CLOSE that crosses ours: data sent before it was seen is passed over', async (t) => {
    const server = await startEndpoint(t);
    const client = await server.login(t);
    const { port, accepted } = await startAccepting(t);
    const channel = await openDirectChannel(client, port);
    (await accepted()).resetAndDestroy();
    await client.take(MSG.CHANNEL_CLOSE);
    client.send(dataMessage(channel, 'was under way'));
    client.send(message(MSG.CHANNEL_EOF, channel.peerId));
    await client.roundTrip();
    t.equal(server.endpoint.load().channels, 1, 'the number stays taken until the peer has closed too');
    client.send(message(MSG.CHANNEL_CLOSE, channel.peerId));
    await client.roundTrip();
    t.equal(server.endpoint.load().channels, 0);
    t.notOk(client.untaken.includes(MSG.CHANNEL_CLOSE), 'no second CLOSE came');
  });

  await t.test('CLOSE without EOF resets the target, EOF before CLOSE ends it properly', async (t) => {
    const server = await startEndpoint(t);
    const client = await server.login(t);
    const { port, accepted } = await startAccepting(t);
    const cutOff = await openDirectChannel(client, port, { id: 1 });
    const first = await accepted();
    const failed = once(first.resume(), 'error');
    client.send(message(MSG.CHANNEL_CLOSE, cutOff.peerId));
    t.match(await within(failed, 'reset'), [{ code: 'ECONNRESET' }]);

    const ended = await openDirectChannel(client, port, { id: 2 });
    const second = await accepted();
    client.send(dataMessage(ended, 'all of it'));
    client.send(message(MSG.CHANNEL_EOF, ended.peerId));
    client.send(message(MSG.CHANNEL_CLOSE, ended.peerId));
    t.equal(Buffer.concat(await second.toArray()).toString(), 'all of it');
  });

  await t.test('a peer that leaves after EOF: its bytes still arrive; without EOF the target is reset', async (t) => {
    const server = await startEndpoint(t);
    const { port, accepted } = await startAccepting(t);
    const client = await server.login(t);
    const polite = await openDirectChannel(client, port, { id: 1 });
    const first = await accepted();
    await openDirectChannel(client, port, { id: 2 });
    const second = await accepted();
    client.send(dataMessage(polite, 'farewell'));
    client.send(message(MSG.CHANNEL_EOF, polite.peerId));
    client.socket.end();
    t.equal(Buffer.concat(await first.toArray()).toString(), 'farewell');
    await cut(second);
    await server.primary.wait('connection.closed');
    t.same(server.endpoint.load(), { connections: 0, channels: 0, bufferedBytes: 0 });
  });
});
