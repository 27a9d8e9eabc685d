/** Key exchanges behind the first one (RFC 4253 §9), the transport alone with a raw client: what begins one, what either side may
 *  say meanwhile, what stays and what is new, and the peers that do not keep to it. */
import { setImmediate as nextTurn } from 'node:timers/promises';
import t from 'tap';
import { DISCONNECT, MSG, message } from '../../../src/shared/protocol.js';
import { HYBRID_KEX } from '../../../src/worker/transport/algorithms.js';
import { deferred } from '../../support/deadline.js';
import { keyStream, type RawClient, type RawClientOptions } from '../../support/raw_client.js';
import { startTransport, type TransportUnderTest } from '../../support/transport_under_test.js';

const HOUR_MS = 3_600_000;
/** As much as a message's head, padding and number may add to what waits. */
const MOST_HELD_BYTES = 2 * 1024 * 1024;

/** A message that neither side has a meaning for here. */
const numbered = (index: number): Buffer => message(MSG.GLOBAL_REQUEST, `number ${index}`, false);

/** The server asks for new keys now. */
function ask({ transport, clock }: TransportUnderTest): void {
  clock.nowMs += HOUR_MS;
  transport.rekeyIfDue();
}

/** Resolves when the client has a message that the server sends now. */
async function reaches({ transport, client }: TransportUnderTest, index: number): Promise<void> {
  transport.send(numbered(index));
  await client.take(MSG.GLOBAL_REQUEST, (payload) => payload.equals(numbered(index)));
}

/** The client leaves the server's KEXINIT unanswered. @returns resolves when it has come, with the answer that was due */
function unanswered(client: RawClient): Promise<() => void> {
  const asked = deferred<() => void>();
  client.onKexInit = asked.resolve;
  return asked.promise;
}

t.test('RFC 4344 §3.1: packets wear the keys out, those of either direction', async (t) => {
  const packets = 1000;
  await t.test('ours', async (t) => {
    const under = await startTransport(t, { rekey: { packets } });
    const { transport, client } = under;
    client.intercept = (payload) => payload[0] === MSG.CHANNEL_DATA;
    let sent = 0;
    for (; transport.writable; sent++) transport.sendData(0, Buffer.of(1), 0, 1);
    t.ok(sent <= packets, `${sent} packets and no more`);
    await reaches(under, 0);
    t.equal(client.rekeys, 1);
  });
  await t.test('our messages, data or not', async (t) => {
    const under = await startTransport(t, { rekey: { packets } });
    const { transport, client } = under;
    client.intercept = (payload) => payload[0] === MSG.GLOBAL_REQUEST && !payload.equals(numbered(0));
    let sent = 0;
    for (; !transport.isExchanging && sent < 2 * packets; sent++) transport.send(numbered(1));
    t.ok(sent <= packets, `${sent} packets and no more`);
    await reaches(under, 0);
    t.equal(client.rekeys, 1);
  });
  await t.test(
    'those that waited for the exchange too: the next one begins among them, and their order stays',
    async (t) => {
      const under = await startTransport(t, { rekey: { packets } });
      const { transport, client } = under;
      const came: number[] = [];
      client.intercept = (payload) => {
        if (payload[0] !== MSG.GLOBAL_REQUEST || payload.equals(numbered(0))) return false;
        came.push(Number(/number (\d+)/.exec(payload.toString('latin1'))?.[1]));
        return true;
      };
      ask(under);
      const all = Array.from({ length: 2.5 * packets }, (_, index) => index + 1);
      for (const index of all) transport.send(numbered(index));
      await reaches(under, 0);
      t.same(came, all);
      t.equal(client.rekeys, 3);
    },
  );
  await t.test('the peer’s', async (t) => {
    const under = await startTransport(t, { rekey: { packets } });
    for (let sent = 0; sent < packets; sent++) under.client.send(numbered(sent));
    await under.client.take(MSG.EXT_INFO);
    while (under.client.rekeys === 0) await nextTurn();
    await reaches(under, 0);
    t.equal(under.client.rekeys, 1);
  });
  await t.test('the twin: as many in both directions together are not enough', async (t) => {
    const under = await startTransport(t, { rekey: { packets } });
    const { transport, client, payloads } = under;
    for (let sent = 0; sent < packets / 2; sent++) {
      client.send(numbered(sent));
      transport.sendData(0, Buffer.of(1), 0, 1);
    }
    while (payloads.length < packets / 2) await nextTurn();
    await reaches(under, 0);
    t.equal(client.rekeys, 0);
  });
});

t.test(
  'RFC 4253 §7.1: what a peer says before its own KEXINIT is taken, and answered behind the exchange',
  async (t) => {
    const under = await startTransport(t);
    const { client, transport, payloads } = under;
    await client.take(MSG.EXT_INFO);
    const asked = unanswered(client);
    ask(under);
    t.ok(transport.isExchanging);
    t.equal(transport.writable, false, 'sources wait');
    const answer = await asked;
    const next = keyStream(1);
    const sent = Array.from({ length: 100 }, () => message(MSG.CHANNEL_DATA, 0, next(30_000)));
    for (const payload of sent) client.sendNow(payload);
    client.sendNow(message(MSG.PING, 'between'));
    while (payloads.length < sent.length) await nextTurn();
    for (let index = 0; index < 10; index++) transport.send(numbered(index));
    t.same(client.untaken, [], 'nothing of ours is within the exchange');
    answer();
    for (let index = 0; index < 10; index++) await client.take(MSG.GLOBAL_REQUEST);
    t.same(await client.take(MSG.PONG), message(MSG.PONG, 'between'));
    t.ok(Buffer.concat(payloads).equals(Buffer.concat(sent)));
    t.equal(client.rekeys, 1);
    t.equal(transport.queuedBytes, 0);
  },
);

t.test('RFC 4253 §7.1: behind its KEXINIT a peer sends no data', async (t) => {
  const said: ReadonlyArray<readonly [string, Buffer]> = [
    ['channel data', message(MSG.CHANNEL_DATA, 0, 'x')],
    ['a global request', numbered(0)],
    ['a ping', message(MSG.PING, 'x')],
    ['a service request', message(MSG.SERVICE_REQUEST, 'ssh-userauth')],
    ['a second KEXINIT', message(MSG.KEXINIT, 'x')],
  ];
  for (const [name, payload] of said)
    for (const who of ['server', 'client'] as const)
      await t.test(`${name}, in an exchange that the ${who} began`, async (t) => {
        const under = await startTransport(t);
        const { client, closed, payloads } = under;
        if (who === 'server') {
          // Its KEXINIT and no more: the rest of its answer does not come.
          const asked = unanswered(client);
          ask(under);
          await asked;
        }
        client.rekey().catch(() => {});
        client.sendNow(payload);
        t.equal(await closed(), 'PROTOCOL_ERROR');
        t.match(await client.ended, { reason: DISCONNECT.PROTOCOL_ERROR, text: 'not within a key exchange' });
        t.same(payloads, []);
      });
});

t.test('RFC 4253 §7.1: generic messages are allowed within, also in a strict exchange', async (t) => {
  for (const strict of [true, false])
    await t.test(strict ? 'strict' : 'not strict', async (t) => {
      const under = await startTransport(t, { client: { strict } });
      const { client } = under;
      const renewed = client.rekey();
      client.sendNow(message(MSG.IGNORE, 'x'));
      client.sendNow(message(MSG.DEBUG, false, 'x', ''));
      client.sendNow(message(MSG.UNIMPLEMENTED, 0));
      client.sendNow(message(MSG.EXT_INFO, 0));
      await renewed;
      await reaches(under, 0);
    });
});

t.test('a peer that leaves within a key exchange', async (t) => {
  const { client, closed } = await startTransport(t);
  client.rekey().catch(() => {});
  client.sendNow(message(MSG.DISCONNECT, DISCONNECT.BY_APPLICATION, 'that is all', ''));
  t.equal(await closed(), 'PEER_DISCONNECTED');
});

t.test('both sides begin at once', async (t) => {
  const under = await startTransport(t);
  const { client } = under;
  for (let count = 1; count <= 20; count++) {
    const renewed = client.rekey();
    ask(under);
    await renewed;
    await reaches(under, count);
    t.equal(client.rekeys, count, 'one exchange, and no storm');
  }
});

t.test('other algorithms than before', async (t) => {
  const under = await startTransport(t, { client: { kex: 'ecdh-sha2-nistp256' } });
  const { client, transport, payloads } = under;
  const identifier = client.sessionId;
  t.same(transport.sessionId, identifier);
  const offers: readonly RawClientOptions[] = [
    { kex: 'curve25519-sha256', cipher: 'aes256-ctr', mac: 'hmac-sha2-256' },
    { kex: 'ecdh-sha2-nistp256', cipher: 'chacha20-poly1305@openssh.com' },
    { kex: 'curve25519-sha256@libssh.org', cipher: 'aes128-ctr', mac: 'hmac-sha2-512-etm@openssh.com' },
    { kex: HYBRID_KEX, cipher: 'aes256-gcm@openssh.com' },
  ];
  for (const [index, offer] of offers.entries())
    await t.test(`${offer.kex} ${offer.cipher} ${offer.mac ?? ''}`, async (t) => {
      client.offerNext(offer);
      ask(under);
      const data = message(MSG.CHANNEL_DATA, 0, keyStream(index)(30_000));
      client.send(data);
      await reaches(under, index);
      while (payloads.length <= index) await nextTurn();
      t.same(payloads[index], data);
      t.equal(client.negotiated?.cs.cipher, offer.cipher);
      t.equal(client.rekeys, index + 1);
      // RFC 4253 §7.2: "the exchange hash H from the first key exchange is additionally used as the session identifier"
      t.same([transport.sessionId, client.sessionId], [identifier, identifier]);
    });
});

t.test('a name that is not offered ends it', async (t) => {
  const under = await startTransport(t);
  under.client.offerNext({ cipher: 'aes128-cbc' });
  under.client.rekey().catch(() => {});
  t.equal(await under.closed(), 'PROTOCOL_ERROR');
  t.match(await under.client.ended, { reason: DISCONNECT.KEY_EXCHANGE_FAILED });
});

t.test(
  'OpenSSH PROTOCOL §1.10: sequence numbers begin anew with each strict exchange, whatever is said later',
  async (t) => {
    /** Of the message that the client sent last, as the server counts. */
    const counted = async ({ client, transport, payloads }: TransportUnderTest): Promise<number> => {
      const before = payloads.length;
      client.send(numbered(0));
      while (payloads.length === before) await nextTurn();
      transport.sendUnimplemented();
      return (await client.take(MSG.UNIMPLEMENTED)).readUInt32BE(1);
    };
    for (const strict of [true, false])
      await t.test(strict ? 'strict' : 'not strict: they go on', async (t) => {
        const under = await startTransport(t, { client: { strict } });
        const { client } = under;
        client.offerNext({ strict: !strict }); // the name counts in the first KEXINIT alone
        let last = await counted(under);
        t.equal(last, strict ? 0 : 3, 'behind KEXINIT, ECDH_INIT and NEWKEYS');
        for (const who of ['server', 'client']) {
          if (who === 'client') await client.rekey();
          else {
            ask(under);
            await reaches(under, 1);
          }
          const now = await counted(under);
          t.equal(now, strict ? 0 : last + 4, who);
          last = now;
        }
      });
  },
);

t.test('a peer that leaves our KEXINIT unanswered fills what we hold up to a limit', async (t) => {
  const fills: ReadonlyArray<readonly [string, (under: TransportUnderTest) => void]> = [
    ['with pings', ({ client }) => client.sendNow(message(MSG.PING, keyStream(2)(30_000)))],
    ['with requests that are refused', ({ transport }) => transport.send(message(MSG.REQUEST_FAILURE))],
  ];
  for (const [name, fill] of fills)
    await t.test(name, async (t) => {
      const under = await startTransport(t);
      const asked = unanswered(under.client);
      ask(under);
      await asked;
      const gone = under.closed().then((reason) => ({ reason }));
      let most = 0;
      for (;;) {
        for (let count = 0; count < 100; count++) fill(under);
        most = Math.max(most, under.transport.queuedBytes);
        const outcome = await Promise.race([gone, nextTurn().then(() => null)]);
        if (outcome === null) continue;
        t.equal(outcome.reason, 'OVERFLOW');
        break;
      }
      t.ok(most < MOST_HELD_BYTES, `${most} bytes were held`);
      t.ok(under.account.bytes < 64 * 1024, `and let go: ${under.account.bytes} bytes are left`);
    });
});

t.test('one that stops half-way is cut, wherever that is', async (t) => {
  const stops: ReadonlyArray<readonly [string, (client: RawClient) => void]> = [
    ['behind its KEXINIT', (client) => void client.rekey().catch(() => {})],
    [
      'behind its public key',
      (client) => {
        client.onKexInit = (answer) => {
          answer();
          client.socket.pause(); // our reply does not reach it, and its NEWKEYS does not come
        };
        client.rekey().catch(() => {});
      },
    ],
  ];
  for (const [name, stop] of stops)
    await t.test(name, async (t) => {
      const { client, closed } = await startTransport(t, { kexTimeoutMs: 300 });
      if (name === 'behind its KEXINIT') client.onKexInit = () => {};
      stop(client);
      t.equal(await closed(), 'KEX_TIMEOUT');
    });
});

t.test('exchange after exchange leaves nothing behind that is counted', async (t) => {
  const under = await startTransport(t);
  const { transport, client, account } = under;
  const meanwhile = message(MSG.GLOBAL_REQUEST, 'meanwhile', false);
  client.intercept = (payload) => payload.equals(meanwhile);
  for (let count = 1; count <= 200; count++) {
    ask(under);
    for (let index = 0; index < 100; index++) transport.send(meanwhile);
    await reaches(under, count);
  }
  t.equal(client.rekeys, 200);
  t.same([transport.queuedBytes, account.bytes], [0, 0]);
});

t.test('what comes in one read with its NEWKEYS counts for the new keys: no storm where enough is sent', async (t) => {
  const under = await startTransport(t);
  const { client } = under;
  await client.take(MSG.EXT_INFO);
  const piece = message(MSG.IGNORE, Buffer.alloc(11_000));
  for (let count = 0; count < 15; count++) {
    const keys = client.rekey();
    for (let pieces = 0; pieces < 3; pieces++) client.send(piece); // waits, and goes out in one turn with its NEWKEYS
    await keys;
  }
  await reaches(under, 0);
  t.equal(client.rekeys, 15);
});
