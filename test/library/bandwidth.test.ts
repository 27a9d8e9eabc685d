/** BANDWIDTH in a program: `limits()` says a rate, the server shares the process, and the tunnels end in it: the same rooms as in
 *  a cluster, by function calls. */
import { createServer } from 'node:net';
import t from 'tap';
import { type DirectAnswer, type IdentityLimits, TunnelServer } from '../../src/index.js';
import { MSG } from '../../src/shared/protocol.js';
import { dataMessage, openDirectChannel, rawClient } from '../support/raw_client.js';
import { tempDir } from '../support/temp.js';

const RATE_BYTES = 100_000;
const BURST_BYTES = RATE_BYTES / 5;
/** Each way. */
const TOTAL_BYTES = 150_000;

t.test('both directions of a tunnel that ends in the program, within the limit and whole', async (t) => {
  let taken = 0;
  const target = createServer((socket) => {
    socket.write(Buffer.alloc(TOTAL_BYTES, 'down'));
    socket.on('data', ({ length }) => {
      taken += length;
    });
  });
  class Limited extends TunnelServer {
    override checkAuthPassword(): boolean {
      return true;
    }
    override limits(): IdentityLimits {
      return { connections: 5, channels: 5, forwards: 0, bytesPerSecond: RATE_BYTES };
    }
    override checkDirect(): DirectAnswer {
      return target;
    }
  }
  const stateDir = `${tempDir(t)}/state`;
  const server = new Limited({
    listen: ['127.0.0.1:0'],
    stateDir,
    log: { level: 'silent' },
    timeouts: { drain: '1s' },
  });
  const [address] = await server.listen();
  t.teardown(() => server.close({ now: true }));
  const client = rawClient(t, { host: '127.0.0.1', port: address?.kind === 'tcp' ? address.port : 0 });
  await client.login('alice', { password: 'x' });

  const startedMs = performance.now();
  const allowed = (): number => BURST_BYTES + ((performance.now() - startedMs) / 1_000) * RATE_BYTES * 1.05;
  const channel = await openDirectChannel(client, 80, { host: 'inside' });
  t.equal(channel.windowBytes, 0, 'what it may send has to be paid for first');
  const payload = Buffer.alloc(TOTAL_BYTES, 'up');
  let [sent, came] = [0, 0];
  while (sent < TOTAL_BYTES) {
    const adjust = await client.take(MSG.CHANNEL_WINDOW_ADJUST);
    const bytes = Math.min(adjust.readUInt32BE(5), TOTAL_BYTES - sent);
    for (let at = sent; at < sent + bytes; at += 32_768)
      client.send(dataMessage(channel, payload.subarray(at, Math.min(at + 32_768, sent + bytes))));
    sent += bytes;
    if (sent > allowed()) t.fail(`${sent} bytes up were allowed too soon`);
  }
  while (came < TOTAL_BYTES) {
    came += (await client.take(MSG.CHANNEL_DATA)).length - 9;
    if (came > allowed()) t.fail(`${came} bytes came too soon`);
  }
  await client.roundTrip();
  t.same([came, taken], [TOTAL_BYTES, TOTAL_BYTES]);
  t.ok(
    performance.now() - startedMs >= (1_000 * (TOTAL_BYTES - BURST_BYTES)) / RATE_BYTES / 1.05,
    'that took its time',
  );
});
