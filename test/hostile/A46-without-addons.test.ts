/** A46: install scripts that did not run, and addons that are missing or cannot be loaded. ssh2's C++ ciphers are optional:
 *  without them the server says so, is slower and nothing else: logins, data both ways, key exchanges, pressure.
 *  That a package installed with --ignore-scripts runs is shown in test/package.test.ts. */
import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import { MACS } from '../../src/shared/algorithms.js';
import { MSG, message } from '../../src/shared/protocol.js';
import { exchange, MIB } from '../support/bytes.js';
import { deferred, within } from '../support/deadline.js';
import { projectRoot } from '../support/paths.js';

// Before anything here loads ssh2: its crypto.js then takes Node's own ciphers.
await import('../support/preload/no_addons.js');
const { startEndpoint } = await import('../support/endpoint_under_test.js');
const { hostile } = await import('../support/hostile.js');
const { dataMessage, keyStream, openDirectChannel } = await import('../support/raw_client.js');
const { tunnel } = await import('../support/ssh.js');
const { connect, freePort, startEcho } = await import('../support/targets.js');
const { ciphersReady } = await import('../../src/worker/transport/ssh2.js');
await ciphersReady(); // as a worker does before it is ready

t.test('install scripts: none of ours, and of what we depend on only those of optional addons', async (t) => {
  const own = JSON.parse(readFileSync(join(projectRoot, 'package.json'), 'utf8'));
  t.same(
    Object.keys(own.scripts).filter((name) => /^(pre|post)?(install|prepare)$/.test(name)),
    [],
  );
  const lock: { packages: Record<string, { hasInstallScript?: boolean; dev?: boolean }> } = JSON.parse(
    readFileSync(join(projectRoot, 'package-lock.json'), 'utf8'),
  );
  const scripted = Object.entries(lock.packages).filter(([, entry]) => entry.hasInstallScript && !entry.dev);
  t.same(scripted.map(([path]) => path).sort(), ['node_modules/cpu-features', 'node_modules/ssh2']);
});

const preload = new URL('../support/preload/no_addons.js', import.meta.url).href;
const CIPHERS = ['aes128-gcm@openssh.com', 'chacha20-poly1305@openssh.com', 'aes256-ctr'];

for (const addons of ['missing', 'broken'])
  hostile(
    t,
    'A46',
    `addons that are ${addons}`,
    { env: { NODE_OPTIONS: `--import ${preload}`, TEST_ADDONS: addons }, workers: [2] },
    async (t, { server, echoPort }) => {
      for (const cipher of CIPHERS) {
        const near = await freePort();
        const specs = ['-c', cipher, '-o', 'RekeyLimit=1M', '-L', `${near}:127.0.0.1:${echoPort}`];
        const { client } = await tunnel(t, server, server.alice, specs);
        const { sent, received } = await exchange(await connect(t, near), cipher, 4 * MIB);
        t.same(received, sent, cipher);
        await client.stop();
      }
    },
  );

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
    const server = await startEndpoint(t, { config: { rekey: { bytes: '64KiB' }, algorithms: { macs: MACS } } });
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
