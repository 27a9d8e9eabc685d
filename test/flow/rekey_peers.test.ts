/** REKEY, the peer's side of it (RFC 4253 §9), against a whole server: both sides that ask for new keys all the time, one that goes on
 *  until it has sent its own KEXINIT, one that never answers ours, and a drain meanwhile. */
import { createHash } from 'node:crypto';
import type { Socket } from 'node:net';
import t, { type Test } from 'tap';
import { DISCONNECT, MSG } from '../../src/shared/protocol.js';
import { exchange, KIB, MIB } from '../support/bytes.js';
import { deferred, within } from '../support/deadline.js';
import { flow, ONE_AND_TWO_WORKERS } from '../support/flow.js';
import { dataMessage, keyStream, openDirectChannel, type RawClient, rawClient } from '../support/raw_client.js';
import { type Sallyport, startSallyport } from '../support/server.js';
import { tunnel } from '../support/ssh.js';
import { connect, freePort, startEcho, startTarget } from '../support/targets.js';

const NEEDS = ['ssh', 'ssh-keygen'] as const;
const PIECE_BYTES = 16 * KIB;
const PIECES_WITHIN = 4;
/** What lies between a target and a paused pump: the kernel's buffers of both sockets, and one of ours. */
const MOST_BUFFERED_BYTES = 16 * MIB;
/** A key exchange behind the login has 30 s, whatever the config says. */
const CUT_WITHIN_MS = 90_000;

async function loggedIn(t: Test, server: Sallyport): Promise<RawClient> {
  const client = rawClient(t, server);
  await client.login('alice', server.alice);
  return client;
}

flow(
  t,
  'both sides that want new keys every 256 KiB',
  { needs: NEEDS, workers: ONE_AND_TWO_WORKERS },
  async (t, workers) => {
    const server = await startSallyport(t, { workers, config: { rekey: { bytes: '256KiB' } } });
    const echo = await startEcho(t);
    const near = await freePort();
    const specs = ['-o', 'RekeyLimit=256K', '-L', `${near}:localhost:${echo.port}`];
    const { client } = await tunnel(t, server, server.alice, specs);
    const seeds = ['first', 'second', 'third', 'fourth'];
    const all = await Promise.all(seeds.map(async (seed) => await exchange(await connect(t, near), seed, 5 * MIB)));
    for (const { sent, received } of all) t.same(received, sent);
    const rekeys = client.stderr.split('SSH2_MSG_NEWKEYS sent').length - 2;
    t.ok(rekeys >= 40, `${rekeys} exchanges for 20 MB each way`);
    t.match(client.stderr, 'SSH2_MSG_KEXINIT received');
  },
);

flow(
  t,
  'a client that goes on until it has sent its own KEXINIT',
  { needs: NEEDS, workers: ONE_AND_TWO_WORKERS },
  async (t, workers) => {
    const server = await startSallyport(t, { workers, config: { rekey: { bytes: '256KiB' } } });
    const echo = await startEcho(t);
    const client = await loggedIn(t, server);
    const channel = await openDirectChannel(client, echo.port);
    const totalBytes = 16 * MIB;
    const [sent, received] = [createHash('sha256'), createHash('sha256')];
    const next = keyStream(1);
    let [sentBytes, receivedBytes, credit, meanwhile] = [0, 0, channel.windowBytes, 0];
    const all = deferred<void>();
    /** @returns false where the window, but for what is left of it for later, or the stream is at its end */
    const sendPiece = (send: (payload: Buffer) => void, leftPieces = PIECES_WITHIN): boolean => {
      if (sentBytes >= totalBytes || credit < (leftPieces + 1) * PIECE_BYTES) return false;
      const bytes = next(PIECE_BYTES);
      sent.update(bytes);
      sentBytes += PIECE_BYTES;
      credit -= PIECE_BYTES;
      send(dataMessage(channel, bytes));
      return true;
    };
    client.intercept = (payload) => {
      if (payload[0] === MSG.CHANNEL_WINDOW_ADJUST) credit += payload.readUInt32BE(5);
      else if (payload[0] === MSG.CHANNEL_DATA) {
        received.update(payload.subarray(9));
        receivedBytes += payload.length - 9;
        if (receivedBytes === totalBytes) all.resolve();
      } else return false;
      while (sendPiece((message) => client.send(message)));
      return true;
    };
    client.onKexInit = (answer) => {
      for (let left = PIECES_WITHIN; left > 0; left--)
        if (sendPiece((message) => client.sendNow(message), left - 1)) meanwhile++;
      answer();
    };
    while (sendPiece((message) => client.send(message)));
    await within(all.promise, 'all that was sent');
    t.equal(received.digest('hex'), sent.digest('hex'));
    t.ok(client.rekeys >= 10, `${client.rekeys} exchanges`);
    t.ok(meanwhile >= 10, `${meanwhile} pieces came between the two KEXINITs`);
  },
);

flow(
  t,
  'a client that never answers our KEXINIT is cut, and its targets wait meanwhile',
  { needs: NEEDS },
  async (t, workers) => {
    const server = await startSallyport(t, { workers, config: { rekey: { bytes: '256KiB' } } });
    const sources: Socket[] = [];
    const source = await startTarget(t, (socket) => {
      sources.push(socket);
      const pour = (): void => {
        while (!socket.destroyed && socket.write(Buffer.alloc(64 * KIB)));
      };
      socket.on('drain', pour);
      pour();
    });
    const client = await loggedIn(t, server);
    client.intercept = (payload) => payload[0] === MSG.CHANNEL_DATA;
    const asked = deferred<void>();
    client.onKexInit = () => asked.resolve();
    const from = server.events.mark();
    await openDirectChannel(client, source.port);
    await within(asked.promise, 'KEXINIT of the server');
    await server.events.wait('connection.closed', { reason: 'KEX_TIMEOUT' }, from, CUT_WITHIN_MS);
    t.match(await client.ended, {
      reason: DISCONNECT.KEY_EXCHANGE_FAILED,
      text: 'key exchange took too long',
    });
    const { bytesOut } = await server.events.wait('channel.closed', {}, from);
    t.ok(Number(bytesOut) < MIB, `${bytesOut} bytes were sent until the exchange began, and none within it`);
    const poured = sources[0]?.bytesWritten ?? 0;
    t.ok(poured < MOST_BUFFERED_BYTES, `${poured} bytes were taken from the target`);
  },
);

flow(t, 'a drain within a key exchange', { needs: NEEDS, workers: ONE_AND_TWO_WORKERS }, async (t, workers) => {
  const server = await startSallyport(t, { workers, config: { rekey: { bytes: '64KiB' } } });
  const echo = await startEcho(t);
  const client = await loggedIn(t, server);
  client.intercept = (payload) => payload[0] === MSG.CHANNEL_DATA;
  const asked = deferred<void>();
  client.onKexInit = () => asked.resolve();
  const channel = await openDirectChannel(client, echo.port);
  for (let sent = 0; sent < 5; sent++) client.send(dataMessage(channel, Buffer.alloc(PIECE_BYTES)));
  await within(asked.promise, 'KEXINIT of the server');
  const from = server.events.mark();
  t.same(await server.stop(), { code: 0, signal: null });
  t.match(await client.ended, { reason: DISCONNECT.BY_APPLICATION }, 'it is told all the same');
  t.equal(server.events.list('connection.closed', { reason: 'KEX_TIMEOUT' }, from).length, 0);
});
