/** BEFORE LOGIN: what a stranger may say, and that anything else ends his connection and no other (RFC 4253, RFC 4252 §6).
 *  In one process with the server, so that an exception of its own fails the test. */
import { connect, type Socket } from 'node:net';
import t, { type Test } from 'tap';
import { MSG, message } from '../../src/shared/protocol.js';
import { DEADLINE_MS, within } from '../support/deadline.js';
import { type EndpointUnderTest, PASSWORD, startEndpoint } from '../support/endpoint_under_test.js';
import { directOpen, passwordRequest, rawClient } from '../support/raw_client.js';

/** Everything that comes until the server ends the connection. */
async function heard(socket: Socket): Promise<string> {
  const chunks: Buffer[] = [];
  socket.on('data', (chunk: Buffer) => chunks.push(chunk));
  socket.on('error', () => {});
  const closing = new Promise((resolve) => socket.once('close', resolve));
  await within(closing, 'end of the connection', DEADLINE_MS, () => Buffer.concat(chunks).toString('latin1'));
  return Buffer.concat(chunks).toString('latin1');
}

function plain(t: Test, { host, port }: EndpointUnderTest): Socket {
  const socket = connect({ host, port, noDelay: true });
  t.teardown(() => socket.destroy());
  return socket;
}

t.test('RFC 4253 §4.2: the identification', async (t) => {
  const server = await startEndpoint(t);

  /** A first KEXINIT of the server shows that the line was taken. */
  const isTaken = (heard: string): boolean => heard.charCodeAt('SSH-2.0-Sallyport\r\n'.length + 5) === MSG.KEXINIT;
  const taken: ReadonlyArray<readonly [name: string, line: string]> = [
    ['a line of 255 bytes', `SSH-2.0-${'a'.repeat(245)}\r\n`],
    ['a bare LF at its end', 'SSH-2.0-OldClient\n'],
    ['comments', 'SSH-2.0-Client some comments\r\n'],
    ['version 1.99', 'SSH-1.99-Client\r\n'],
  ];
  for (const [name, line] of taken) {
    await t.test(`${name} is fine, in one piece and byte by byte`, async (t) => {
      for (const pieces of [[line], [...line]]) {
        const socket = plain(t, server);
        let text = '';
        const found = new Promise<void>((resolve) => {
          socket.on('data', (chunk: Buffer) => {
            text += chunk.toString('latin1');
            if (isTaken(text)) resolve();
          });
        });
        for (const piece of pieces) await new Promise((resolve) => socket.write(piece, resolve));
        await t.resolves(within(found, 'KEXINIT'));
        socket.destroy();
      }
    });
  }

  await t.test('a login works when each write is a read of its own, and others are read in between', async (t) => {
    // What the key exchange keeps of a read must not lie in a buffer that the next read goes to.
    const bystander = await server.login(t);
    const client = rawClient(t, server);
    const write = client.socket.write.bind(client.socket);
    // The server's KEXINIT shows that our ident was read, alone.
    let turn = (async () => {
      while (client.socket.bytesRead < 100) await new Promise((resolve) => setImmediate(resolve));
    })();
    client.socket.write = (bytes: string | Uint8Array) => {
      const copy = Buffer.from(bytes);
      turn = turn.then(async () => {
        write(copy);
        for (let count = 0; count < 3; count++) await bystander.roundTrip();
      });
      return true;
    };
    await t.resolves(client.login('alice', { password: PASSWORD }));
    await turn;
  });

  await t.test('an ident and a KEXINIT that come as one segment', async (t) => {
    const client = rawClient(t, server);
    client.socket.cork();
    client.socket.once('connect', () => process.nextTick(() => client.socket.uncork()));
    await t.resolves(client.login('alice', { password: PASSWORD }));
  });
});

t.test('RFC 4252 §6: a message of the connection protocol ends a connection that is not logged in', async (t) => {
  const server = await startEndpoint(t);
  const bystander = await server.login(t);

  const messages: ReadonlyArray<readonly [name: string, payload: Buffer]> = [
    ['a global request', message(MSG.GLOBAL_REQUEST, 'tcpip-forward', true, 'localhost', 0)],
    ['a session', message(MSG.CHANNEL_OPEN, 'session', 0, 1000, 1000)],
    ['a direct-tcpip', directOpen(22)],
    ['channel data', message(MSG.CHANNEL_DATA, 0, 'exec')],
    ['a channel request (CVE-2025-32433)', message(MSG.CHANNEL_REQUEST, 0, 'exec', true, 'id')],
    ['USERAUTH_SUCCESS (CVE-2018-10933)', message(MSG.USERAUTH_SUCCESS)],
    ['USERAUTH_FAILURE', message(MSG.USERAUTH_FAILURE, 'password', false)],
    ['message 60', message(60, 'ssh-ed25519', Buffer.alloc(51))],
    ['message 60, empty', message(60)],
    ['INFO_RESPONSE to no question', message(61, 1, 'password')],
    ['INFO_RESPONSE, cut short', Buffer.from([61, 0])],
    ['message 63', message(63, 'token')],
    ['message 79', message(79)],
    ['message 255', message(255)],
    ['a second NEWKEYS', message(MSG.NEWKEYS)],
    ['a KEXDH_INIT', message(30, Buffer.alloc(32, 9))],
    ['SERVICE_REQUEST, cut short', Buffer.from([5, 0, 0, 0, 9, 1])],
    ['SERVICE_REQUEST for the connection', message(MSG.SERVICE_REQUEST, 'ssh-connection')],
    ['USERAUTH_REQUEST, cut short', Buffer.from([50, 0, 0, 0, 9, 1])],
  ];
  for (const [name, payload] of messages) {
    await t.test(name, async (t) => {
      const fresh = await server.keyed(t);
      fresh.send(payload);
      t.match(await fresh.ended, { reason: Number }, 'before the service request');

      const asked = await server.keyed(t);
      asked.send(message(MSG.SERVICE_REQUEST, 'ssh-userauth'));
      await asked.take(MSG.SERVICE_ACCEPT);
      asked.send(payload);
      t.match(await asked.ended, { reason: Number }, 'after it');
    });
  }
  await t.test('messages that are sent ahead of the answer to a login', async (t) => {
    const client = await server.keyed(t);
    client.send(message(MSG.SERVICE_REQUEST, 'ssh-userauth'));
    client.send(passwordRequest('alice', 'wrong'));
    client.send(directOpen(22));
    t.match(await client.ended, { reason: 2 });
  });
  await t.resolves(bystander.roundTrip(), 'and nobody else noticed');
});

t.test('RFC 4253 §7: key exchange', async (t) => {
  const server = await startEndpoint(t);

  await t.test('a second one before login ends the connection', async (t) => {
    const client = await server.keyed(t);
    client.rekey().catch(() => {});
    t.match(await client.ended, { reason: 2, text: 'too early to re-key' });
  });

  await t.test('CVE-2023-48795: chacha20-poly1305 without strict key exchange is not served, AES-GCM is', async (t) => {
    const exposed = rawClient(t, server, { cipher: 'chacha20-poly1305@openssh.com', strict: false });
    t.match(await exposed.ended, { reason: 3, text: 'chacha20-poly1305 needs strict key exchange' });
    const safe = await server.login(t, { cipher: 'aes128-gcm@openssh.com', strict: false });
    await t.resolves(safe.roundTrip());
  });

  for (const cipher of ['none', '3des-cbc', 'aes128-cbc', 'arcfour'])
    await t.test(`${cipher} is not to be had`, async (t) => {
      const client = rawClient(t, server, { cipher });
      await t.rejects(client.ready);
      t.match(await server.primary.wait('connection.closed', ({ reason }) => reason === 'KEX_FAILED'), {
        reason: 'KEX_FAILED',
      });
    });

  const packets: ReadonlyArray<readonly [name: string, packet: Buffer]> = [
    ['length 0', Buffer.alloc(32)],
    ['length 2^31', Buffer.concat([Buffer.from([0x80, 0, 0, 0]), Buffer.alloc(32)])],
    ['length 2^32-1', Buffer.alloc(32, 0xff)],
    ['length 35008', Buffer.concat([Buffer.from([0, 0, 0x88, 0xc0]), Buffer.alloc(32)])],
    ['padding longer than the packet', Buffer.concat([Buffer.from([0, 0, 0, 12, 255]), Buffer.alloc(11)])],
    ['a KEXINIT of nothing', Buffer.concat([Buffer.from([0, 0, 0, 12, 10, 20]), Buffer.alloc(10)])],
    ['a KEXDH_INIT first', Buffer.concat([Buffer.from([0, 0, 0, 12, 10, 30]), Buffer.alloc(10)])],
    ['NEWKEYS first', Buffer.concat([Buffer.from([0, 0, 0, 12, 10, 21]), Buffer.alloc(10)])],
    ['a service request first', Buffer.concat([Buffer.from([0, 0, 0, 12, 10, 5]), Buffer.alloc(10)])],
  ];
  for (const [name, packet] of packets)
    await t.test(`a first packet of ${name} ends the connection`, async (t) => {
      const socket = plain(t, server);
      socket.write('SSH-2.0-Client\r\n');
      socket.write(packet);
      t.match(await heard(socket), /^SSH-2\.0-Sallyport\r\n/);
    });

  await t.test('a byte that is changed on the way is noticed, with each kind of cipher', async (t) => {
    for (const cipher of ['aes128-gcm@openssh.com', 'chacha20-poly1305@openssh.com', 'aes128-ctr']) {
      const client = await server.keyed(t, { cipher });
      const write = client.socket.write.bind(client.socket);
      client.socket.write = (bytes: string | Uint8Array) => {
        const spoilt = Buffer.from(bytes);
        spoilt.writeUInt8(spoilt.readUInt8(spoilt.length - 20) ^ 1, spoilt.length - 20);
        return write(spoilt);
      };
      client.send(message(MSG.SERVICE_REQUEST, 'ssh-userauth'));
      t.match(await client.ended, { reason: 2, text: 'protocol error' }, cipher);
    }
  });
});

t.test('a stranger who stays silent is let go at the end of the grace time', async (t) => {
  const server = await startEndpoint(t, { config: { auth: { loginGraceTime: '1s' } } });
  const client = await server.keyed(t);
  t.match(await client.ended, { reason: 11, text: 'login took too long' });
  const silent = plain(t, server);
  t.equal(await heard(silent), 'SSH-2.0-Sallyport\r\n');
});
