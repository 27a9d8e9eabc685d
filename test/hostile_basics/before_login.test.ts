/** BEFORE LOGIN: how a stranger may present himself (RFC 4253 §4.2), and how long he may stay. What he may say behind that is
 *  looked at in hostile/A05 to A08 and A14. In one process with the server, so that an exception of its own fails the test. */
import { connect, type Socket } from 'node:net';
import t, { type Test } from 'tap';
import { MSG } from '../../src/shared/protocol.js';
import { DEADLINE_MS, within } from '../support/deadline.js';
import { type EndpointUnderTest, PASSWORD, startEndpoint } from '../support/endpoint_under_test.js';
import { rawClient } from '../support/raw_client.js';

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

t.test('a stranger who stays silent is let go at the end of the grace time', async (t) => {
  const server = await startEndpoint(t, { config: { auth: { loginGraceTime: '1s' } } });
  const client = await server.keyed(t);
  t.match(await client.ended, { reason: 11, text: 'login took too long' });
  const silent = plain(t, server);
  t.equal(await heard(silent), 'SSH-2.0-Sallyport\r\n');
});
