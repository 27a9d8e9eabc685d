/** A channel as a Duplex: pump and stream together on a fake port. Bytes and credit both ways, every order of endings,
 *  listeners that throw, and then all of it at random. */
import { once } from 'node:events';
import { pipeline, Transform, Writable } from 'node:stream';
import { pipeline as piped } from 'node:stream/promises';
import fc from 'fast-check';
import t from 'tap';
import { MSG } from '../../../src/shared/protocol.js';
import { Channel } from '../../../src/worker/channel/channel.js';
import { ChannelPump, type LingerBudget, type PumpOptions } from '../../../src/worker/channel/pump.js';
import { ChannelStream } from '../../../src/worker/channel/stream.js';
import { plenty } from '../../support/account.js';
import { within } from '../../support/deadline.js';
import { FakePort, type Sent } from '../../support/fake_port.js';
import { fakeTimers } from '../../support/fake_timers.js';
import { sentText, types, until } from '../../support/joined.js';

interface Options {
  /** Of the peer's: what we may send. */
  readonly windowBytes?: number;
  readonly maxPacketBytes?: number;
  /** Of ours: what the peer may send. */
  readonly receiveWindowBytes?: number;
  readonly timeouts?: Partial<PumpOptions['timeouts']>;
  readonly port?: FakePort;
  readonly lingering?: LingerBudget;
}

function make(t: { fail(what: string): unknown }, options: Options = {}) {
  const port = options.port ?? new FakePort();
  const blocked = new Set<Channel>();
  let releases = 0;
  const channel = new Channel(
    port,
    {
      block: (one) => blocked.add(one),
      hold: () => {},
      keep: () => {},
      touch: () => {},
      now: () => 0,
      grow: () => 0,
      isTight: false,
      partBytes: Number.POSITIVE_INFINITY,
      shrink: () => {},
      received: () => {},
      taken: () => {},
      dropped: () => {},
      release: () => releases++,
      violated: (what) => t.fail(what),
    },
    {
      id: 0,
      peerId: 9,
      sendWindowBytes: options.windowBytes ?? 1024 * 1024,
      peerMaxPacketBytes: options.maxPacketBytes ?? 32 * 1024,
      receiveWindowBytes: options.receiveWindowBytes ?? 16 * 1024,
      announcedMs: 0,
    },
  );
  const ends: string[] = [];
  const pump = new ChannelPump(channel, {
    timeouts: { halfCloseMs: 0, idleChannelMs: 0, ...options.timeouts },
    lingering: options.lingering ?? plenty(),
    onEnd: (end, detail) => ends.push(detail === undefined ? end : `${end}: ${detail}`),
  });
  const stream = new ChannelStream(pump);
  pump.open();
  const heard: string[] = [];
  for (const name of ['end', 'finish', 'close', 'error']) stream.on(name, () => heard.push(name));
  return {
    port,
    channel,
    pump,
    stream,
    ends,
    heard,
    releases: () => releases,
    /** The peer sends. */
    data: (text: string | Buffer) => channel.onData(Buffer.from(text), null),
    /** The transport drained: whoever waits gets its turn. */
    wake: () => {
      for (const one of [...blocked]) {
        if (!port.writable) return;
        blocked.delete(one);
        one.onWritable();
      }
    },
    waiting: () => blocked.size > 0,
    closed: () => until(() => heard.includes('close'), "'close'"),
  };
}

const credit = (sent: readonly Sent[]): number =>
  sent.filter(({ type }) => type === MSG.CHANNEL_WINDOW_ADJUST).reduce((sum, { text }) => sum + Number(text), 0);
const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

t.test('data both ways, in order, and the bytes of a read buffer that is used again', async (t) => {
  const { channel, port, stream, ends, closed } = make(t);
  const readBuffer = Buffer.alloc(5);
  for (const word of ['one..', 'two..', 'three']) {
    readBuffer.write(word);
    channel.onData(readBuffer, null);
  }
  readBuffer.fill('x');
  let got = '';
  stream.setEncoding('utf8').on('data', (text: string) => {
    got += text;
  });
  await until(() => got === 'one..two..three', 'data');
  stream.write('a');
  stream.write(Buffer.from('b'));
  stream.write(new Uint8Array([0x63]));
  stream.write('');
  t.same(port.take(), ['DATA>9 a', 'DATA>9 b', 'DATA>9 c']);
  channel.onEof();
  stream.end('d');
  await closed();
  t.same(port.take(), ['DATA>9 d', 'EOF>9', 'CLOSE>9']);
  t.same(ends, ['COMPLETE']);
  channel.onPeerClose();
});

t.test('many small writes that were corked become one packet', async (t) => {
  const { port, stream } = make(t);
  stream.cork();
  for (let n = 0; n < 1000; n++) stream.write('x');
  stream.uncork();
  t.same(port.take(), [`DATA>9 ${'x'.repeat(1000)}`]);
});

t.test('RFC 4254 §5.2: credit', async (t) => {
  await t.test('a reader that never reads stops the peer, with no more kept than the window', async (t) => {
    const windowBytes = 256 * 1024;
    const { channel, port, stream, data, closed } = make(t, { receiveWindowBytes: windowBytes });
    let open = windowBytes;
    let sent = 0;
    const sendAll = (): void => {
      while (open > 0) {
        const bytes = Math.min(open, 1000);
        data(Buffer.alloc(bytes, sent % 251));
        sent += bytes;
        open += credit(port.sent.splice(0)) - bytes;
      }
    };
    sendAll();
    await turn();
    sendAll();
    t.equal(open, 0);
    t.equal(sent, windowBytes, 'not one byte of credit');
    // Reading a little of what waits gives no credit for the rest.
    let read = 0;
    for (let n = 0; n < 3; n++) {
      read += stream.read(1)?.length ?? 0;
      await turn();
    }
    t.ok(read > 0);
    t.equal(credit(port.sent), 0);
    // Then it goes on, and every byte is credited in the end.
    stream.on('data', (chunk: Buffer) => {
      read += chunk.length;
    });
    await until(() => read === sent, 'all data');
    open += credit(port.sent.splice(0));
    t.ok(open > windowBytes / 2, `${open} bytes open again`);
    for (let n = 0; n < 300; n++) {
      data(Buffer.alloc(1000));
      await turn();
      open += credit(port.sent.splice(0)) - 1000;
    }
    t.ok(open > windowBytes / 2 && open <= windowBytes, `each byte once: ${open} bytes open`);
    stream.destroy();
    await closed();
    channel.onPeerClose();
  });

  await t.test('the smallest window works, byte by byte and with reads larger than it', async (t) => {
    const { port, stream, data } = make(t, { receiveWindowBytes: 16 * 1024 });
    let open = 16 * 1024;
    let sent = 0;
    const feed = (): void => {
      open += credit(port.sent.splice(0));
      for (; open > 0 && sent < 100_000; sent++, open--) data(Buffer.from([sent % 251]));
    };
    feed();
    stream.read(50_000);
    for (let n = 0; n < 20 && stream.readableLength < 50_000; n++) {
      feed();
      await turn();
    }
    t.equal(stream.read(50_000)?.length, 50_000);
  });

  await t.test('a paused reader holds its credit back, one that goes on gives it', async (t) => {
    const { port, stream, data } = make(t, { receiveWindowBytes: 16 * 1024 });
    stream.on('data', () => stream.pause());
    data(Buffer.alloc(100)); // taken by the listener once it flows
    await turn();
    for (let n = 0; n < 4; n++) data(Buffer.alloc(4000));
    await turn();
    t.equal(credit(port.sent), 0);
    stream.removeAllListeners('data').resume();
    await until(() => credit(port.sent) > 8 * 1024, 'credit');
  });

  await t.test('none behind EOF', async (t) => {
    const { channel, port, stream, data } = make(t, { receiveWindowBytes: 16 * 1024 });
    data(Buffer.alloc(16 * 1024));
    channel.onEof();
    await once(stream.resume(), 'end');
    t.same(port.take(), []);
  });
});

t.test('RFC 4254 §5.2: what the peer allows', async (t) => {
  await t.test("its window: write() is false, 'drain' comes with an adjust", async (t) => {
    const { channel, port, stream } = make(t, { windowBytes: 10 });
    t.equal(stream.write(Buffer.alloc(100_000, 'x')), false);
    t.same(port.take(), ['DATA>9 xxxxxxxxxx']);
    let drained = false;
    stream.once('drain', () => {
      drained = true;
    });
    channel.onWindowAdjust(99_989);
    await turn();
    t.notOk(drained, 'one byte is missing');
    channel.onWindowAdjust(1);
    await until(() => drained, 'drain');
    t.equal(sentText(port).length, 99_990);
  });

  await t.test('its packet size', async (t) => {
    const { port, stream } = make(t, { maxPacketBytes: 300 });
    stream.write(Buffer.alloc(1000, 'x'));
    t.same(
      port.sent.map(({ text }) => text.length),
      [300, 300, 300, 100],
    );
  });

  await t.test('on stderr too, and out of the same window', async (t) => {
    const { channel, port, pump, stream } = make(t, { windowBytes: 50, maxPacketBytes: 20 });
    let done = 0;
    pump.send('stderr', Buffer.alloc(45, 'e'), () => done++);
    stream.write('0123456789');
    t.equal(done, 1);
    const [first, second, third, fourth] = port.sent.splice(0);
    t.same(
      [first, second, third].map((sent) => sent?.type),
      Array(3).fill(MSG.CHANNEL_EXTENDED_DATA),
    );
    t.same(
      [first, second, third].map((sent) => sent?.text.slice(8).length),
      [20, 20, 5],
    );
    t.equal(fourth?.text, '01234');
    pump.send('stderr', Buffer.from('after'), () => done++);
    t.same(port.take(), []);
    channel.onWindowAdjust(6);
    t.match(port.take(), ['DATA>9 56789', /^EXTENDED_DATA>9 .*a$/s]);
    t.equal(done, 1, 'stderr waits for four more');
    channel.onWindowAdjust(4);
    t.match(port.take(), [/^EXTENDED_DATA>9 .*fter$/s]);
    t.equal(done, 2);
  });

  await t.test('a transport that takes nothing', async (t) => {
    const { port, stream, wake, waiting } = make(t);
    port.capacityBytes = 40_000;
    t.equal(stream.write(Buffer.alloc(100_000, 'x')), false);
    t.ok(waiting());
    const sent = sentText(port).length;
    t.ok(sent < 100_000);
    port.writable = true;
    port.capacityBytes = Number.POSITIVE_INFINITY;
    const drained = once(stream, 'drain');
    wake();
    await within(drained, 'drain');
    t.equal(sentText(port).length, 100_000);
  });

  await t.test('EOF waits for the data before it', async (t) => {
    const { channel, port, stream, heard } = make(t, { windowBytes: 3 });
    stream.write('abc');
    stream.write('de');
    stream.end('f');
    await turn();
    t.same(port.take(), ['DATA>9 abc']);
    t.same(heard, []);
    channel.onWindowAdjust(3);
    await until(() => heard.includes('finish'), 'finish');
    t.same(port.take(), ['DATA>9 de', 'DATA>9 f', 'EOF>9']);
  });
});

t.test('RFC 4254 §5.3: each direction ends by itself', async (t) => {
  await t.test('the peer first', async (t) => {
    const { channel, port, stream, data, ends, releases, closed } = make(t);
    data('question');
    channel.onEof();
    stream.resume();
    await once(stream, 'end');
    await turn();
    t.same(port.take(), []);
    t.same(ends, []);
    stream.write('ans');
    stream.end('wer');
    await closed();
    t.same(port.take(), ['DATA>9 ans', 'DATA>9 wer', 'EOF>9', 'CLOSE>9']);
    t.same(ends, ['COMPLETE']);
    t.equal(releases(), 0, 'the number is free when the peer agrees');
    channel.onPeerClose();
    t.equal(releases(), 1);
    channel.onConnectionLost();
    t.same([ends.length, releases(), port.take()], [1, 1, []]);
  });

  await t.test('ours first', async (t) => {
    const { channel, port, stream, data, ends, closed } = make(t);
    stream.end('question');
    await once(stream, 'finish');
    t.same(port.take(), ['DATA>9 question', 'EOF>9']);
    let answer = '';
    stream.on('data', (chunk: Buffer) => {
      answer += chunk.toString();
    });
    data('ans');
    await turn();
    data('wer');
    channel.onEof();
    await closed();
    t.equal(answer, 'answer');
    t.same(port.take(), ['CLOSE>9']);
    t.same(ends, ['COMPLETE']);
  });
});

t.test('RFC 4254 §5.3: EOF and CLOSE in one read', async (t) => {
  await t.test('a slow reader gets everything, then end and close', async (t) => {
    const { channel, port, stream, data, ends, heard, releases } = make(t);
    for (let n = 0; n < 16; n++) data(Buffer.alloc(1024, n));
    channel.onEof();
    channel.onPeerClose();
    t.same(port.take(), ['CLOSE>9'], 'answered at once');
    t.equal(releases(), 0, 'its bytes are still here');
    let bytes = 0;
    const slow = new Writable({
      highWaterMark: 1,
      write(chunk: Buffer, _encoding, done) {
        bytes += chunk.length;
        setImmediate(done);
      },
    });
    await piped(stream, slow);
    await turn();
    t.equal(bytes, 16 * 1024);
    t.same(heard, ['end', 'close']);
    t.same(ends, ['PEER_CLOSED']);
    t.equal(releases(), 1);
    t.same(port.take(), []);
  });

  await t.test('a reader that comes later', async (t) => {
    const { channel, stream, data, closed } = make(t);
    data('late');
    channel.onEof();
    channel.onPeerClose();
    for (let n = 0; n < 5; n++) await turn();
    let got = '';
    for await (const chunk of stream) got += String(chunk);
    t.equal(got, 'late');
    await closed();
  });

  await t.test("with nothing to read there is nothing to wait for: 'end' and 'close', whoever listens", async (t) => {
    const { channel, stream, heard, ends, releases, closed } = make(t);
    channel.onEof();
    stream.write('kept');
    channel.onPeerClose();
    await closed();
    t.same(heard, ['end', 'close'], 'nobody read, and it came all the same');
    t.same([ends, releases()], [['PEER_CLOSED'], 1]);
  });

  await t.test('everything was read before, and only the CLOSE is new', async (t) => {
    const { channel, stream, heard, ends, closed } = make(t);
    stream.resume();
    channel.onEof();
    await once(stream, 'end');
    channel.onPeerClose();
    await closed();
    t.same(heard, ['end', 'close']);
    t.same(ends, ['PEER_CLOSED']);
  });

  await t.test('both had ended: COMPLETE', async (t) => {
    const { channel, port, stream, data, ends, closed } = make(t);
    stream.end('all');
    await once(stream, 'finish');
    data('unread');
    channel.onEof();
    channel.onPeerClose();
    stream.resume();
    await closed();
    t.same(ends, ['COMPLETE']);
    t.same(port.take(), ['DATA>9 all', 'EOF>9', 'CLOSE>9']);
  });

  await t.test('what the reader answers has no taker: written and forgotten, with no error', async (t) => {
    const { channel, port, stream, data, heard, ends } = make(t, { windowBytes: 0 });
    const answered = new Promise((resolve) => stream.write('blocked', resolve));
    data('question');
    channel.onEof();
    channel.onPeerClose();
    t.notOk(await answered);
    t.notOk(await new Promise((resolve) => stream.write('later', resolve)));
    const upper = new Transform({
      transform: (chunk: Buffer, _encoding, done) => done(null, chunk.toString().toUpperCase()),
    });
    stream.pipe(upper).pipe(stream);
    await until(() => heard.includes('close'), 'close');
    t.same(
      heard.filter((name) => name !== 'finish'),
      ['end', 'close'],
    );
    t.equal(ends.length, 1);
    t.same(port.take(), ['CLOSE>9']);
  });
});

t.test("CLOSE without EOF: 'close' without 'end'", async (t) => {
  for (const end of ['onPeerClose', 'onConnectionLost'] as const)
    await t.test(end, async (t) => {
      const { channel, port, stream, data, heard, ends, releases, closed } = make(t, { windowBytes: 0 });
      data('half of the ans');
      const failed = new Promise((resolve) => stream.write('blocked', resolve));
      stream.write('and more');
      channel[end]();
      await closed();
      t.ok((await failed) instanceof Error);
      t.same(heard, ['close']);
      t.same(ends, ['PEER_CLOSED']);
      t.same(releases(), end === 'onPeerClose' ? 1 : 0);
      t.same(port.take(), end === 'onPeerClose' ? ['CLOSE>9'] : []);
    });
});

t.test('destroy()', async (t) => {
  await t.test('with an error and no listener ends nothing but the channel', async (t) => {
    const { channel, port, stream, ends, closed } = make(t, { windowBytes: 0 });
    stream.write('blocked');
    stream
      .removeAllListeners('error')
      .on('error', () => {})
      .removeAllListeners('error');
    stream.destroy(new Error('no\nmore'));
    await closed();
    t.same(port.take(), ['CLOSE>9']);
    t.same(ends, ['TARGET_ERROR: no\\x0amore']);
    channel.onEof();
    channel.onPeerClose();
    t.same([port.take(), ends.length], [[], 1]);
  });

  await t.test('without one, data that was under way is passed over', async (t) => {
    const { channel, port, stream, data, ends, heard, closed } = make(t);
    stream.destroy();
    data('was under way');
    channel.onEof();
    channel.onWindowAdjust(10);
    channel.onRequest('signal', true, Buffer.alloc(0));
    channel.onPeerClose();
    await closed();
    t.same([port.take(), ends, heard], [['CLOSE>9'], ['TARGET_ERROR'], ['close']]);
  });

  await t.test('within a listener, twice, and with more writes behind it', async (t) => {
    const { port, stream, data, ends, closed } = make(t);
    stream.on('data', () => {
      stream.destroy();
      stream.destroy(new Error('again'));
      stream.write('behind');
    });
    stream.resume();
    await turn();
    data('go');
    await closed();
    t.same([port.take(), ends], [['CLOSE>9'], ['TARGET_ERROR']]);
  });

  await t.test('a write behind end() ends the channel alone', async (t) => {
    const { port, stream, ends, heard, closed } = make(t);
    stream.end('x');
    stream.write('y');
    await closed();
    t.ok(heard.includes('error'));
    t.match(ends, [/^TARGET_ERROR: write after end/]);
    t.equal(port.take().at(-1), 'CLOSE>9');
  });
});

t.test('a listener that throws ends its own channel and nothing else', async (t) => {
  const bang = (): never => {
    throw new Error('bang');
  };
  const cases: { readonly [name: string]: (made: ReturnType<typeof make>) => void | Promise<void> } = {
    'data, within onData': async ({ stream, data }) => {
      stream.on('data', bang);
      await turn(); // flows
      data('x');
    },
    'data, of what came before the listener': ({ stream, data }) => {
      data('x');
      stream.on('data', bang);
    },
    readable: ({ stream, data }) => {
      stream.on('readable', bang);
      data('x');
    },
    end: ({ stream, channel }) => {
      stream.resume().on('end', bang);
      channel.onEof();
    },
    'end, after CLOSE': ({ stream, channel, data }) => {
      stream.on('end', bang);
      data('x');
      channel.onEof();
      channel.onPeerClose();
      stream.resume();
    },
    drain: ({ stream, channel }) => {
      stream.on('drain', bang);
      stream.write(Buffer.alloc(100));
      stream.write(Buffer.alloc(100_000));
      channel.onWindowAdjust(200_000);
    },
    finish: ({ stream }) => {
      stream.on('finish', bang).end();
    },
    'a pipe whose end throws': async ({ stream, data }) => {
      stream.pipe(new Writable({ write: bang }));
      await turn();
      data('x');
    },
  };
  for (const [name, run] of Object.entries(cases))
    await t.test(name, async (t) => {
      const made = make(t, { windowBytes: 50 });
      await run(made);
      await made.closed();
      t.same(made.ends, ['HOOK_FAILED: bang']);
      t.equal(types(made.port).filter((type) => type === MSG.CHANNEL_CLOSE).length, 1);
      t.equal(types(made.port).at(-1), MSG.CHANNEL_CLOSE);
      made.channel.onPeerClose();
      t.equal(made.releases(), 1);
    });

  await t.test('in what it does when the channel is over already', async (t) => {
    const { channel, stream, ends, closed } = make(t, { windowBytes: 0 });
    stream.on('close', bang).on('error', bang);
    stream.write('blocked');
    const over = closed();
    channel.onPeerClose();
    await over;
    await turn();
    t.same(ends, ['PEER_CLOSED']);
  });

  await t.test('a callback of a write that fails with the channel', async (t) => {
    const { channel, stream, ends, releases, closed } = make(t, { windowBytes: 0 });
    stream.write('blocked', bang);
    t.doesNotThrow(() => channel.onPeerClose());
    await closed();
    t.same([ends, releases()], [['PEER_CLOSED'], 1]);
  });

  await t.test('a callback of a write, within onWindowAdjust', async (t) => {
    const { channel, stream, ends, closed } = make(t, { windowBytes: 0 });
    stream.write('blocked', bang);
    channel.onWindowAdjust(100);
    await closed();
    t.same(ends, ['HOOK_FAILED: bang']);
  });
});

t.test("the connection is lost, in whatever state: 'close', told once", async (t) => {
  const states: { readonly [name: string]: (made: ReturnType<typeof make>) => unknown } = {
    fresh: () => {},
    'with unread data': ({ data }) => data('x'),
    'with a blocked write': ({ stream }) => {
      stream.write('xxxxxxxxxxxxxxxxxx');
      stream.write('y');
    },
    'with a blocked EOF': ({ stream }) => {
      stream.end('xxxxxxxxxxxxxxxxxx');
    },
    'EOF sent': ({ stream }) => once(stream.end(), 'finish'),
    'EOF received': ({ channel }) => channel.onEof(),
    'EOF received and read': ({ channel, stream }) => {
      channel.onEof();
      return once(stream.resume(), 'end');
    },
    'both at once': ({ channel, stream }) => {
      stream.resume().end();
      channel.onEof();
    },
    'CLOSE received': ({ channel, data }) => {
      data('x');
      channel.onEof();
      channel.onPeerClose();
      return turn();
    },
    'CLOSE sent': ({ stream }) => {
      stream.destroy();
    },
    'over both ways': ({ stream, channel }) => {
      stream.destroy();
      channel.onPeerClose();
    },
  };
  for (const [name, into] of Object.entries(states))
    await t.test(name, async (t) => {
      const made = make(t, { windowBytes: 10 });
      const { channel, port, stream, ends, heard, releases, closed } = made;
      await into(made);
      port.take();
      channel.onConnectionLost();
      stream.resume();
      await closed();
      channel.onConnectionLost();
      channel.onPeerClose();
      await turn();
      t.equal(ends.length, 1);
      t.ok(releases() <= 1);
      t.equal(heard.filter((event) => event === 'close').length, 1);
      t.notOk(heard.includes('error'));
      t.same(port.take(), []);
    });
});

t.test('the connection ends within a send of ours (too much waits for the peer)', async (t) => {
  /** The message that is one too many. */
  class LastStraw extends FakePort {
    lose = (): void => {};
    override send(payload: Uint8Array): void {
      super.send(payload);
      this.lose();
    }
  }
  for (const eof of [false, true])
    await t.test(eof ? 'while a reader still has something to read' : 'plainly', async (t) => {
      const port = new LastStraw();
      const { channel, pump, stream, data, ends, heard, closed } = make(t, { port });
      data('unread');
      if (eof) channel.onEof();
      port.lose = () => {
        port.lose = () => {};
        channel.onConnectionLost();
      };
      let calls = 0;
      pump.send('stderr', Buffer.from('x'), () => calls++);
      stream.write('behind');
      let got = '';
      stream.on('data', (chunk: Buffer) => {
        got += chunk.toString();
      });
      await closed();
      t.equal(calls, 1, 'the callback of that write');
      t.equal(got, eof ? 'unread' : '');
      t.notOk(heard.includes('error'));
      t.same(ends, ['PEER_CLOSED']);
    });

  await t.test('by the EOF', async (t) => {
    const port = new LastStraw();
    const { channel, stream, data, ends, heard, closed } = make(t, { port });
    data('unread');
    channel.onEof();
    port.lose = () => channel.onConnectionLost();
    stream.end();
    stream.resume();
    await closed();
    t.notOk(heard.includes('error'));
    t.ok(heard.includes('end'));
    t.equal(ends.length, 1);
  });
});

t.test('time', async (t) => {
  for (const way of ['in', 'out'])
    await t.test(`an idle channel ends, one that moves ${way} does not`, async (t) => {
      const clock = fakeTimers(t);
      const { channel, port, stream, data, ends, closed } = make(t, { timeouts: { idleChannelMs: 300 } });
      stream.resume();
      for (let n = 0; n < 5; n++) {
        clock.advance(299);
        if (way === 'in') data('x');
        else stream.write('y');
      }
      clock.advance(299);
      t.same(ends, []);
      clock.advance(1);
      await closed();
      t.same(ends, ['IDLE_TIMEOUT']);
      t.equal(port.take().at(-1), 'CLOSE>9');
      channel.onPeerClose();
    });

  for (const [name, half] of [
    ['ours', (made: ReturnType<typeof make>) => made.stream.end()],
    ["the peer's", (made: ReturnType<typeof make>) => made.channel.onEof()],
  ] as const)
    await t.test(`a half-closed channel, ${name}`, async (t) => {
      const clock = fakeTimers(t);
      const made = make(t, { timeouts: { halfCloseMs: 30 } });
      made.stream.resume();
      clock.advance(1_000_000);
      t.same(made.ends, [], 'an open one has no limit');
      half(made);
      await turn(); // the end of what we write is sent behind all of it
      clock.advance(29);
      t.same(made.ends, []);
      clock.advance(1);
      await made.closed();
      t.same(made.ends, ['IDLE_TIMEOUT']);
    });

  await t.test('a peer that takes nothing is idle', async (t) => {
    const clock = fakeTimers(t);
    const { stream, ends, closed } = make(t, { windowBytes: 0, timeouts: { idleChannelMs: 20 } });
    clock.advance(19);
    stream.end('blocked');
    clock.advance(1);
    await closed();
    t.same(ends, ['IDLE_TIMEOUT']);
  });

  await t.test('what came before CLOSE waits a minute for a reader that has stopped', async (t) => {
    const clock = fakeTimers(t);
    const { channel, stream, data, ends, releases, heard } = make(t, { timeouts: { halfCloseMs: 60_000 } });
    for (let n = 0; n < 3; n++) data(Buffer.alloc(5000));
    channel.onEof();
    clock.advance(59_000);
    channel.onPeerClose();
    clock.advance(59_999);
    t.equal(stream.read(100)?.length, 100);
    t.same([ends, releases()], [[], 0]);
    clock.advance(1);
    t.same([ends.length, releases()], [1, 1]);
    await turn();
    t.same(heard, ['close']);
  });

  await t.test('no timer is left behind', async (t) => {
    const clock = fakeTimers(t);
    const { channel, stream, data, ends, closed } = make(t, { timeouts: { idleChannelMs: 20, halfCloseMs: 20 } });
    stream.setTimeout(20, () => t.fail('a timeout'));
    t.equal(clock.pending, 2);
    stream.destroy();
    await closed();
    data('was under way');
    channel.onEof();
    stream.setTimeout(20);
    t.equal(clock.pending, 0);
    clock.advance(1000);
    t.same(ends, ['TARGET_ERROR']);
  });
});

t.test('pipeline() through it', async (t) => {
  const { channel, port, stream, data, ends, closed } = make(t);
  const upper = new Transform({
    transform: (chunk: Buffer, _encoding, done) => done(null, chunk.toString().toUpperCase()),
  });
  const done = new Promise((resolve) => pipeline(stream, upper, stream, resolve));
  data('hello ');
  await turn();
  data('world');
  channel.onEof();
  t.notOk(await done);
  await closed();
  t.equal(sentText(port), 'HELLO WORLD');
  t.same(port.take().slice(-2), ['EOF>9', 'CLOSE>9']);
  t.same(ends, ['COMPLETE']);
});

t.test('at random: no order of events breaks a promise', async (t) => {
  type Step =
    | { readonly do: 'data' | 'write' | 'adjust' | 'read' | 'stderr'; readonly bytes: number }
    | {
        readonly do:
          | 'eof'
          | 'close'
          | 'lost'
          | 'end'
          | 'destroy'
          | 'flow'
          | 'pause'
          | 'hold'
          | 'wake'
          | 'turn'
          | 'cork';
      };
  const sized = fc.record({
    do: fc.constantFrom('data' as const, 'write' as const, 'adjust' as const, 'read' as const, 'stderr' as const),
    bytes: fc.integer({ min: 0, max: 9000 }),
  });
  const plain = fc.record({
    do: fc.constantFrom(
      ...(['eof', 'close', 'lost', 'end', 'destroy', 'flow', 'pause', 'hold', 'wake', 'turn', 'cork'] as const),
    ),
  });
  const steps: fc.Arbitrary<Step[]> = fc.array(fc.oneof({ arbitrary: sized, weight: 3 }, plain), { maxLength: 40 });
  await fc.assert(
    fc.asyncProperty(steps, async (steps) => {
      const made = make(
        { fail: (what) => expect(false, what) },
        {
          windowBytes: 5000,
          maxPacketBytes: 1000,
        },
      );
      const { channel, port, pump, stream, ends, heard, wake } = made;
      let peerMay = 5000;
      let open = 16 * 1024;
      let sentBytes = 0;
      let gotBytes = 0;
      let inOrder = true;
      let writtenBytes = 0;
      let leavingBytes = 0;
      let eofReceived = false;
      let gone = false;
      let ended = false;
      const take = (chunk: Buffer): void => {
        for (const byte of chunk) if (byte !== gotBytes++ % 251) inOrder = false;
      };
      const look = (): void => {
        let closes = 0;
        for (const { type, text } of port.sent) {
          expect(closes === 0, 'nothing behind CLOSE');
          if (type === MSG.CHANNEL_CLOSE) closes++;
          if (type === MSG.CHANNEL_DATA) {
            expect(text.length <= 1000 && text.length > 0, 'packet size');
            peerMay -= text.length;
            leavingBytes += text.length;
          }
          if (type === MSG.CHANNEL_EXTENDED_DATA) peerMay -= text.length - 8;
          expect(peerMay >= 0, "the peer's window");
          if (type === MSG.CHANNEL_WINDOW_ADJUST) open += Number(text);
        }
        if (closes > 0) gone = true;
        port.sent.length = 0;
        expect(open <= 16 * 1024, 'credit for what was sent, once');
        expect(stream.readableLength <= 16 * 1024 + stream.readableHighWaterMark, 'bytes kept');
      };
      for (const step of steps) {
        switch (step.do) {
          case 'data':
            if (eofReceived || gone) break;
            {
              const bytes = Math.min(step.bytes, open);
              open -= bytes;
              channel.onData(Buffer.from(Array.from({ length: bytes }, () => sentBytes++ % 251)), null);
            }
            break;
          case 'write':
            if (ended || stream.destroyed) break;
            writtenBytes += step.bytes;
            stream.write(Buffer.alloc(step.bytes, 'w'));
            break;
          case 'stderr':
            if (!ended) pump.send('stderr', Buffer.alloc(Math.min(step.bytes, 100), 'e'), () => {});
            break;
          case 'adjust':
            peerMay += step.bytes;
            channel.onWindowAdjust(step.bytes);
            break;
          case 'read': {
            const chunk = stream.read(step.bytes === 0 ? undefined : Math.min(step.bytes, stream.readableLength || 1));
            if (chunk !== null && stream.readableFlowing !== true && stream.listenerCount('data') === 0) take(chunk);
            break;
          }
          case 'eof':
            eofReceived = true;
            channel.onEof();
            break;
          case 'close':
            gone = true;
            channel.onPeerClose();
            break;
          case 'lost':
            gone = true;
            channel.onConnectionLost();
            break;
          case 'end':
            ended = true;
            stream.end();
            break;
          case 'destroy':
            stream.destroy();
            break;
          case 'flow':
            if (stream.listenerCount('data') === 0) stream.on('data', take);
            else stream.resume();
            break;
          case 'pause':
            stream.pause();
            break;
          case 'hold':
            port.writable = false;
            break;
          case 'wake':
            port.writable = true;
            wake();
            break;
          case 'cork':
            if (ended) break; // with an empty write before the end, any Writable of Node 20 never finishes then
            stream.cork();
            process.nextTick(() => stream.uncork());
            break;
          case 'turn':
            await turn();
            break;
        }
        look();
      }
      // Let it all run out: everything that was promised has to arrive.
      const whole = !gone && !stream.destroyed;
      port.writable = true;
      wake();
      if (stream.listenerCount('data') === 0) stream.on('data', take);
      stream.resume();
      peerMay += 10_000_000;
      channel.onWindowAdjust(10_000_000);
      if (whole) {
        channel.onEof();
        stream.end();
      } else {
        channel.onPeerClose();
        channel.onConnectionLost();
      }
      for (let n = 0; n < 1000 && !heard.includes('close'); n++) await turn();
      expect(heard.includes('close'), "'close'");
      look();
      expect(inOrder, 'order');
      expect(ends.length === 1, `ends: ${ends.join()}`);
      expect(!heard.includes('error'), 'no error');
      if (whole) {
        expect(ends[0] === 'COMPLETE', ends.join());
        expect(gotBytes === sentBytes, `${gotBytes} of ${sentBytes} bytes read`);
        expect(leavingBytes === writtenBytes, `${leavingBytes} of ${writtenBytes} bytes written`);
        channel.onPeerClose();
        expect(made.releases() === 1, 'released');
      }
    }),
    { numRuns: 500 },
  );
  t.pass('held');
});

function expect(holds: boolean, what: string): void {
  if (!holds) throw new Error(what);
}
