/** WITHOUT BINDING: ssh2's C++ ciphers are optional. Without them the server is slower and nothing else: logins, data both
 *  ways, key exchanges, pressure. */
import { createHash } from 'node:crypto';
import Module from 'node:module';
import t from 'tap';
import { MSG, message } from '../../src/shared/protocol.js';
import { deferred, within } from '../support/deadline.js';

// Before anything loads ssh2: its crypto.js then takes Node's own ciphers.
const load: unknown = Reflect.get(Module, '_load');
if (typeof load !== 'function') throw new Error('node:module has no loader that we know');
Reflect.set(Module, '_load', (request: string, ...rest: unknown[]) => {
  if (request.endsWith('sshcrypto.node')) throw new Error('no binding in this test');
  return load(request, ...rest);
});
const { startEndpoint } = await import('../support/endpoint_under_test.js');
const { dataMessage, keyStream, openDirectChannel } = await import('../support/raw_client.js');
const { startEcho } = await import('../support/targets.js');
const { ciphersReady } = await import('../../src/worker/transport/ssh2.js');
await ciphersReady(); // as a worker does before it is ready

const SUITES = [
  { cipher: 'aes128-gcm@openssh.com' },
  { cipher: 'aes256-gcm@openssh.com' },
  { cipher: 'chacha20-poly1305@openssh.com' },
  { cipher: 'aes128-ctr', mac: 'hmac-sha2-256-etm@openssh.com' },
  { cipher: 'aes256-ctr', mac: 'hmac-sha2-512' },
];

t.test('the server says so', async (t) => {
  const server = await startEndpoint(t);
  t.equal(server.endpoint.nativeBinding, false);
});

for (const suite of SUITES)
  t.test(`${suite.cipher} ${suite.mac ?? ''}`, async (t) => {
    const server = await startEndpoint(t, { config: { rekey: { bytes: '64KiB' } } });
    const { port } = await startEcho(t);
    const client = await server.login(t, suite);
    const channel = await openDirectChannel(client, port);
    const received = createHash('sha256');
    const done = deferred<void>();
    client.intercept = (payload) => {
      if (payload[0] === MSG.CHANNEL_DATA) received.update(payload.subarray(9));
      else if (payload[0] === MSG.CHANNEL_EOF) done.resolve();
      else return false;
      return true;
    };
    const sent = createHash('sha256');
    const next = keyStream(9);
    for (let count = 0; count < 60; count++) {
      const bytes = next(count % 3 === 0 ? 32_768 : count * 7);
      sent.update(bytes);
      client.send(dataMessage(channel, bytes));
    }
    client.send(message(MSG.CHANNEL_EOF, channel.peerId));
    await within(done.promise, 'EOF');
    t.equal(received.digest('hex'), sent.digest('hex'));
    t.ok(client.rekeys >= 2, `${client.rekeys} key exchanges`);
  });

t.test('a peer that does not read is bounded here too', async (t) => {
  const server = await startEndpoint(t);
  const { port } = await startEcho(t);
  const bystander = await server.login(t);
  const client = await server.login(t);
  const channel = await openDirectChannel(client, port);
  const next = keyStream(3);
  const sent = createHash('sha256');
  for (let count = 0; count < 60; count++) {
    const bytes = next(32_768);
    sent.update(bytes);
    client.send(dataMessage(channel, bytes));
  }
  client.send(message(MSG.CHANNEL_EOF, channel.peerId));
  client.socket.pause();
  for (let count = 0; count < 50; count++) await bystander.roundTrip();
  const { bufferedBytes } = server.endpoint.load();
  t.ok(bufferedBytes < 1024 * 1024, `${bufferedBytes} bytes are held`);
  const received = createHash('sha256');
  const done = deferred<void>();
  client.intercept = (payload) => {
    if (payload[0] === MSG.CHANNEL_DATA) received.update(payload.subarray(9));
    else if (payload[0] === MSG.CHANNEL_EOF) done.resolve();
    return true;
  };
  client.socket.resume();
  await within(done.promise, 'EOF');
  t.equal(received.digest('hex'), sent.digest('hex'));
});
