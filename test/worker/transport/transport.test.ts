/** The transport alone, with a raw client: order, key exchanges, pressure, and the ways in which it ends. */
import { once } from 'node:events';
import { setImmediate as nextTurn } from 'node:timers/promises';
import t from 'tap';
import { DISCONNECT, MSG, message, WireReader } from '../../../src/shared/protocol.js';
import { within } from '../../support/deadline.js';
import { keyStream } from '../../support/raw_client.js';
import { startTransport } from '../../support/transport_under_test.js';

const SUITES = ['aes128-gcm@openssh.com', 'chacha20-poly1305@openssh.com', 'aes128-ctr'];

/** A message that neither side has a meaning for here. */
const numbered = (index: number): Buffer => message(MSG.GLOBAL_REQUEST, `number ${index}`, false);

t.test('a flood of small messages gives the loop back to the others soon, and is read in small pieces', async (t) => {
  const { client, payloads, reads } = await startTransport(t);
  const messages = 20_000;
  client.socket.cork();
  for (let index = 0; index < messages; index++) client.send(numbered(index));
  client.socket.uncork();
  let most = 0;
  for (let before = payloads.length; payloads.length < messages; before = payloads.length) {
    await nextTurn();
    most = Math.max(most, payloads.length - before);
  }
  // Two reads of 16 KiB at most; libuv would read on as long as reads come full, up to 32 times.
  t.ok(most < 1_000, `${most} messages in one turn, of ${messages} in ${reads()} reads`);
  t.match(payloads.at(-1)?.toString('latin1'), /number 19999/, 'and none is lost over it');
});

t.test('RFC 8308 §2.4: EXT_INFO is the first message, and its list has no SHA-1', async (t) => {
  const { transport, client } = await startTransport(t);
  transport.send(numbered(0));
  await client.take(MSG.GLOBAL_REQUEST);
  t.same(client.untaken, [MSG.EXT_INFO]);
  const text = (await client.take(MSG.EXT_INFO)).toString('latin1');
  t.match(
    text,
    /server-sig-algs.*ssh-ed25519,sk-ssh-ed25519@openssh.com,.*,rsa-sha2-512,rsa-sha2-256,.*-cert-v01@openssh.com\0/s,
  );
  t.notMatch(text, /ssh-rsa|ssh-dss/);
});

t.test('RFC 8308 §2.4: EXT_INFO comes once, whatever a later KEXINIT says', async (t) => {
  const { transport, client, clock } = await startTransport(t);
  await client.take(MSG.EXT_INFO);
  await client.rekey(); // its KEXINIT has ext-info-c again
  client.send(message(MSG.PING, 'in force on the other side too'));
  await client.take(MSG.PONG);
  clock.nowMs += 3_600_000;
  transport.rekeyIfDue();
  transport.send(numbered(0));
  await client.take(MSG.GLOBAL_REQUEST);
  t.equal(client.rekeys, 2);
  t.same(client.untaken, []);
});

t.test('RFC 8308 §2.5: an EXT_INFO of the client’s is passed over', async (t) => {
  const { client, payloads } = await startTransport(t);
  client.send(message(MSG.EXT_INFO, 1, 'ext-info-in-auth@openssh.com', '0'));
  client.send(message(MSG.PING, 'still here'));
  await client.take(MSG.PONG);
  t.same(payloads, []);
});

t.test('OpenSSH PROTOCOL §1.9: a ping is announced, and answered with what was in it', async (t) => {
  const { transport, client, clock, payloads } = await startTransport(t);
  const announced = new WireReader(await client.take(MSG.EXT_INFO), 1);
  t.equal(announced.uint32(), 2);
  const fields = Array.from({ length: 4 }, () => announced.text());
  t.same([fields[0], ...fields.slice(2)], ['server-sig-algs', 'ping@openssh.com', '0']);
  t.ok(announced.atEnd);
  for (const data of ['', 'x', keyStream(1)(30_000)]) {
    client.send(message(MSG.PING, data));
    t.same(await client.take(MSG.PONG), message(MSG.PONG, data));
  }
  clock.nowMs += 3_600_000;
  client.send(message(MSG.PING, 'on its way when new keys are asked for'));
  transport.rekeyIfDue();
  await client.take(MSG.PONG);
  t.equal(client.rekeys, 1, 'the answer waits for them');
  t.same(payloads, [], 'nobody above the transport hears of it');
});

t.test('a ping that is none ends the connection', async (t) => {
  for (const payload of [message(MSG.PING), message(MSG.PING, 'x', 'more'), message(MSG.PING, 9)]) {
    const { client, closed } = await startTransport(t);
    client.send(payload);
    t.equal(await closed(), 'PROTOCOL_ERROR');
    t.match(await client.ended, { reason: DISCONNECT.PROTOCOL_ERROR });
  }
});

t.test('CVE-2025-26466: pings of a peer that does not read the answers pile up to a limit', async (t) => {
  const { transport, client, closed } = await startTransport(t);
  client.socket.pause();
  const gone = closed().then((reason) => ({ reason }));
  const ping = message(MSG.PING, keyStream(2)(30_000));
  let most = 0;
  for (;;) {
    for (let count = 0; count < 10; count++) client.send(ping);
    most = Math.max(most, transport.queuedBytes);
    const outcome = await Promise.race([gone, nextTurn().then(() => null)]);
    if (outcome === null) continue;
    t.equal(outcome.reason, 'OVERFLOW');
    break;
  }
  t.ok(most < 2 * 1024 * 1024, `${most} bytes were held`);
});

for (const cipher of SUITES)
  t.test(`messages and data keep their order through key exchanges of either side, ${cipher}`, async (t) => {
    const { transport, client, clock } = await startTransport(t, { client: { cipher } });
    await client.take(MSG.EXT_INFO);
    const expected: string[] = [];
    const received: string[] = [];
    const all = new Promise<void>((resolve) => {
      client.intercept = (payload) => {
        received.push(payload.subarray(1).toString('latin1'));
        if (received.length === 40) resolve();
        return true;
      };
    });
    for (let index = 0; index < 40; index++) {
      if (index === 10) {
        clock.nowMs += 3_600_000;
        transport.rekeyIfDue();
        t.equal(transport.writable, false, 'no data within a key exchange');
      }
      if (index === 25) void client.rekey();
      const payload = index % 2 === 0 || !transport.writable ? numbered(index) : null;
      if (payload !== null) {
        transport.send(payload);
        expected.push(payload.subarray(1).toString('latin1'));
      } else {
        const source = Buffer.from(`..data ${index}..`);
        transport.sendData(7, source, 2, source.length - 2);
        expected.push(message(0, 7, `data ${index}`).subarray(1).toString('latin1'));
      }
      await new Promise((resolve) => setImmediate(resolve));
    }
    await within(all, 'all messages');
    t.same(received, expected);
    t.equal(client.rekeys, 2);
  });

t.test('RFC 4253 §9: key exchanges that time asks for are no storm, whoever begins them', async (t) => {
  for (const who of ['server', 'client'])
    await t.test(who, async (t) => {
      // The server may be told to do it every second; ten times a minute is the limit of an idle client.
      const timeMs = who === 'server' ? 1000 : 3_600_000;
      const { transport, client, clock } = await startTransport(t, { rekey: { bytes: 2 ** 30, timeMs } });
      for (let hour = 1; hour <= 30; hour++) {
        clock.nowMs += timeMs;
        if (who === 'server') transport.rekeyIfDue();
        else await client.rekey();
        const done = message(MSG.GLOBAL_REQUEST, `hour ${hour}`, false);
        transport.send(done);
        await client.take(MSG.GLOBAL_REQUEST, (payload) => payload.equals(done));
      }
      t.equal(client.rekeys, 30);
      t.notOk(client.hasEnded);
    });
});

t.test('RFC 4253 §9: a download alone wears the keys out too', async (t) => {
  const { transport, client } = await startTransport(t, { rekey: { bytes: 100_000, timeMs: 3_600_000 } });
  client.intercept = (payload) => payload[0] === MSG.CHANNEL_DATA;
  const source = Buffer.alloc(30_000);
  for (let sent = 0; transport.writable; sent += 30_000) {
    t.ok(sent < 200_000, 'new keys are asked for in time');
    transport.sendData(0, source, 0, source.length);
  }
  transport.send(numbered(0));
  await client.take(MSG.GLOBAL_REQUEST);
  t.equal(client.rekeys, 1);
});

t.test('a peer that leaves a key exchange unanswered is cut', async (t) => {
  const { transport, client, clock, closed } = await startTransport(t, { kexTimeoutMs: 300 });
  client.socket.pause();
  clock.nowMs += 3_600_000;
  transport.rekeyIfDue();
  t.equal(await closed(), 'KEX_TIMEOUT');
});

t.test('data stops at a mark and goes on below another; nothing is lost', async (t) => {
  for (const cipher of SUITES)
    await t.test(cipher, async (t) => {
      const { transport, client, writableCalls } = await startTransport(t, { client: { cipher } });
      client.socket.pause();
      const next = keyStream(1);
      const sent: Buffer[] = [];
      /** Seals until it may no more, and then waits for the kernel, until that takes nothing either. */
      for (let idle = 0; idle < 100; idle++) {
        for (; transport.writable; idle = 0) {
          const piece = next(20_000);
          sent.push(Buffer.from(piece));
          transport.sendData(0, piece, 0, piece.length);
          piece.fill(0); // the bytes have been copied
        }
        await new Promise((resolve) => setImmediate(resolve));
      }
      t.ok(transport.queuedBytes < 600_000, `${transport.queuedBytes} bytes wait`);
      const before = writableCalls();
      const received: Buffer[] = [];
      const all = new Promise<void>((resolve) => {
        client.intercept = (payload) => {
          if (payload[0] !== MSG.CHANNEL_DATA) return false;
          received.push(Buffer.from(payload.subarray(9)));
          if (received.length === sent.length) resolve();
          return true;
        };
      });
      client.socket.resume();
      await within(all, 'all data');
      t.ok(Buffer.concat(received).equals(Buffer.concat(sent)));
      t.equal(writableCalls(), before + 1, 'told once');
      t.ok(transport.writable);
    });
});

t.test('control messages to a peer that does not read pile up to a limit', async (t) => {
  const { transport, client, closed } = await startTransport(t);
  client.socket.pause();
  const big = message(MSG.GLOBAL_REQUEST, 'x'.repeat(30_000), false);
  const gone = closed().then((reason) => ({ reason }));
  let most = 0;
  for (;;) {
    for (let count = 0; count < 10; count++) {
      transport.send(big);
      most = Math.max(most, transport.queuedBytes);
    }
    const outcome = await Promise.race([gone, new Promise<null>((resolve) => setImmediate(() => resolve(null)))]);
    if (outcome !== null) {
      t.equal(outcome.reason, 'OVERFLOW');
      break;
    }
  }
  t.ok(most < 2 * 1024 * 1024, `${most} bytes were held`);
});

t.test('the ends', async (t) => {
  await t.test('disconnect says why, with all that was sent before it', async (t) => {
    const { transport, client, closed, socket } = await startTransport(t);
    transport.send(numbered(1));
    transport.disconnect(DISCONNECT.BY_APPLICATION, 'that is all', 'KILLED');
    transport.disconnect(DISCONNECT.BY_APPLICATION, 'again', 'KILLED');
    transport.send(numbered(2));
    transport.abort('KEEPALIVE_TIMEOUT');
    t.equal(await closed(), 'KILLED');
    t.same(await client.ended, { reason: 11, text: 'that is all' });
    t.same(client.untaken, [MSG.EXT_INFO, MSG.GLOBAL_REQUEST]);
    if (!socket.closed) await within(once(socket, 'close'), 'close of our side');
  });

  await t.test('disconnect within a key exchange of ours', async (t) => {
    const { transport, client, clock } = await startTransport(t);
    clock.nowMs += 3_600_000;
    transport.rekeyIfDue();
    transport.send(numbered(1));
    transport.disconnect(DISCONNECT.BY_APPLICATION, 'that is all', 'KILLED');
    t.match(await client.ended, { reason: 11, text: 'that is all' });
  });

  await t.test('abort resets at once, and the descriptor is closed', async (t) => {
    const { transport, client, closed, socket } = await startTransport(t);
    await client.take(MSG.EXT_INFO);
    const closing = within(once(socket, 'close'), 'close of our side');
    const reset = within(once(client.socket, 'error'), 'reset');
    transport.abort('KEEPALIVE_TIMEOUT');
    t.equal(await closed(), 'KEEPALIVE_TIMEOUT');
    await closing;
    t.match(await reset, [{ code: 'ECONNRESET' }]);
  });

  await t.test('abort with bytes that nobody reads', async (t) => {
    const { transport, client, closed, socket } = await startTransport(t);
    const closing = within(once(socket, 'close'), 'close of our side');
    client.socket.pause();
    while (transport.writable) transport.sendData(0, Buffer.alloc(30_000), 0, 30_000);
    transport.abort('WRITE_STALLED');
    t.equal(await closed(), 'WRITE_STALLED');
    await t.resolves(closing);
  });

  await t.test('a peer that ends its side, and one that resets', async (t) => {
    for (const leave of ['end', 'resetAndDestroy'] as const) {
      const { client, closed, socket } = await startTransport(t);
      const closing = new Promise((resolve) => socket.once('close', resolve));
      client.socket[leave]();
      t.equal(await closed(), 'PEER_CLOSED', leave);
      await within(closing, 'close of our side');
    }
  });

  await t.test('a peer that does not take our DISCONNECT is not waited for', async (t) => {
    const { transport, client, socket } = await startTransport(t);
    const closing = within(once(socket, 'close'), 'close of our side');
    client.socket.pause();
    transport.disconnect(DISCONNECT.BY_APPLICATION, 'that is all', 'KILLED');
    await t.resolves(closing);
  });
});

t.test('a packet of which only the tag is missing: what ssh2 keeps of it is not written over', async (t) => {
  for (const cipher of SUITES)
    await t.test(cipher, async (t) => {
      const { client, payloads, socket } = await startTransport(t, { client: { cipher } });
      const write = client.socket.write.bind(client.socket);
      const tagBytes = cipher === 'aes128-ctr' ? 32 : 16;
      const next = keyStream(4);
      const sent: Buffer[] = [];
      for (const length of [10, 1000, 30_000, 32_768])
        for (const missing of [1, tagBytes - 1, tagBytes, tagBytes + 1]) {
          const parts: Buffer[] = [];
          client.socket.write = (bytes: string | Uint8Array) => {
            parts.push(Buffer.from(bytes));
            return true;
          };
          const payload = message(MSG.CHANNEL_DATA, 0, next(length));
          sent.push(payload);
          client.send(payload);
          const packet = Buffer.concat(parts);
          for (const piece of [packet.subarray(0, -missing), packet.subarray(-missing)]) {
            const before = socket.bytesRead;
            write(piece);
            while (socket.bytesRead < before + piece.length) await new Promise((resolve) => setImmediate(resolve));
          }
        }
      const arrived = payloads.filter((payload) => payload[0] === MSG.CHANNEL_DATA);
      t.equal(arrived.length, sent.length);
      t.ok(arrived.every((payload, index) => payload.equals(sent[index] ?? Buffer.alloc(0))));
    });
});

t.test('bytes in any pieces: nothing that ssh2 keeps of them is written over', async (t) => {
  for (const cipher of SUITES)
    await t.test(cipher, async (t) => {
      const { client, payloads, socket } = await startTransport(t, { client: { cipher } });
      const write = client.socket.write.bind(client.socket);
      const stream: Buffer[] = [];
      client.socket.write = (bytes: string | Uint8Array) => {
        stream.push(Buffer.from(bytes));
        return true;
      };
      const next = keyStream(3);
      const sent = Array.from({ length: 300 }, (_, index) =>
        message(MSG.CHANNEL_DATA, 0, next(index % 7 === 0 ? 32_768 : index * 10)),
      );
      for (const payload of sent) client.send(payload);
      const bytes = Buffer.concat(stream);
      let piece = 0;
      for (let at = 0; at < bytes.length; ) {
        piece++;
        // Around the ends of packets above all: one byte, a tag's length, and everything at once.
        const length = [1, 15, 16, 17, 4, 32_800, 5, 70_000][piece % 8] ?? 1;
        const before = socket.bytesRead;
        const part = bytes.subarray(at, at + length);
        write(part);
        at += part.length;
        while (socket.bytesRead < before + part.length) await new Promise((resolve) => setImmediate(resolve));
      }
      const arrived = payloads.filter((payload) => payload[0] === MSG.CHANNEL_DATA);
      t.equal(arrived.length, sent.length);
      t.ok(arrived.every((payload, index) => payload.equals(sent[index] ?? Buffer.alloc(0))));
    });
});
