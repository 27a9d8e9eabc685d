/** Tunnels that end in this program: Duplexes of every temper, servers of node:http and node:net, and both far ends that go
 *  in every order. The peer is a fake port; sockets are real where a socket's habits are the point. */
import { EventEmitter, once } from 'node:events';
import { createServer as createHttpServer, request as httpRequest, type IncomingMessage } from 'node:http';
import { connect, createServer, type Socket } from 'node:net';
import { Duplex, type DuplexOptions, PassThrough, Readable, Stream, Writable } from 'node:stream';
import t, { type Test } from 'tap';
import { MSG } from '../../../src/shared/protocol.js';
import { ChannelPump, type PumpOptions } from '../../../src/worker/channel/pump.js';
import { ChannelStream } from '../../../src/worker/channel/stream.js';
import { ChannelTable } from '../../../src/worker/channel/table.js';
import {
  discardTarget,
  joinInside,
  type Target,
  type TunnelFacts,
  TunnelStream,
  targetOf,
  tunnelOf,
} from '../../../src/worker/forward/inside.js';
import { plenty } from '../../support/account.js';
import { FakePort } from '../../support/fake_port.js';
import { sentText, types, until } from '../../support/joined.js';

const FACTS: TunnelFacts = {
  identity: { user: 'alice' },
  peer: { address: '203.0.113.7', port: 4711 },
  origin: { host: '127.0.0.1', port: 5555 },
  destination: { kind: 'tcp', host: 'inside', port: 80 },
};

/** As the policy looks at what a hook has answered. */
function look(value: unknown): Target {
  const target = targetOf(value);
  if (target === null) throw new Error('is no target');
  return target;
}

/** @param value a target; or one that was looked at, and then something happened to it */
function make(
  t: Test,
  value: unknown,
  options: { readonly windowBytes?: number; readonly timeouts?: Partial<PumpOptions['timeouts']> } = {},
) {
  const port = new FakePort();
  const table = new ChannelTable(port, {
    maxChannels: 1,
    memoryBytes: 64 * 1024,
    account: plenty(),
    now: () => 0,
    violated: (what) => t.fail(what),
  });
  const reservation = table.reserve();
  if (reservation === null) throw new Error('no room');
  const { windowBytes = 1024 * 1024 } = options;
  const channel = table.open(reservation, { id: 9, windowBytes, maxPacketBytes: 32 * 1024 }, 0);
  const ends: string[] = [];
  const lingering = plenty();
  joinInside(channel, FACTS, isLookedAt(value) ? value : look(value), {
    timeouts: { halfCloseMs: 0, idleChannelMs: 0, ...options.timeouts },
    lingering,
    onEnd: (end, detail) => ends.push(detail === undefined ? end : `${end}: ${detail}`),
  });
  return {
    port,
    table,
    channel,
    lingering,
    ends,
    data: (text: string | Buffer) => channel.onData(Buffer.from(text), null),
    ended: () => until(() => ends.length > 0, 'end of the tunnel'),
    /** The peer agrees to our CLOSE: then nothing of the channel is left. */
    agree: () => {
      channel.onPeerClose();
      t.equal(table.size, 0, 'the number is free');
      t.equal(ends.length, 1, 'told once');
      t.equal(types(port).filter((type) => type === MSG.CHANNEL_CLOSE).length <= 1, true);
    },
  };
}

function isLookedAt(value: unknown): value is Target {
  return typeof value === 'object' && value !== null && Object.getPrototypeOf(value) === Object.prototype;
}

/** Writes down what it is given, and gives what a test makes it give. */
class Probe extends Duplex {
  got = '';
  readonly heard: string[] = [];
  /** Set: writes wait until it is called. */
  held: (() => void) | null = null;
  slow = false;

  constructor(options: DuplexOptions = {}) {
    super(options);
    for (const name of ['end', 'finish', 'close', 'error']) this.on(name, () => this.heard.push(name));
  }
  override _read(): void {}
  override _write(chunk: Buffer, _encoding: BufferEncoding, done: () => void): void {
    const taken = (): void => {
      this.got += chunk.toString();
      done();
    };
    if (this.slow) this.held = taken;
    else taken();
  }
  takeHeld(): void {
    const { held } = this;
    this.held = null;
    held?.();
  }
}

const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));
async function turns(count: number): Promise<void> {
  for (let n = 0; n < count; n++) await turn();
}

t.test('a Duplex', async (t) => {
  await t.test('an echo, until the peer has ended', async (t) => {
    const { channel, port, data, ends, ended, agree } = make(t, new PassThrough());
    data('one ');
    await turn();
    data('two');
    await until(() => sentText(port) === 'one two', 'echo');
    channel.onEof();
    await ended();
    t.same(port.take(), ['DATA>9 one ', 'DATA>9 two', 'EOF>9', 'CLOSE>9']);
    t.same(ends, ['COMPLETE']);
    agree();
  });

  await t.test('a pipeline of the user, as one', async (t) => {
    const upper = Duplex.from(async function* (source: AsyncIterable<Buffer>) {
      for await (const chunk of source) yield chunk.toString().toUpperCase();
    });
    const { channel, port, data, ends, ended, agree } = make(t, upper);
    data('hello');
    channel.onEof();
    await ended();
    t.same(port.take(), ['DATA>9 HELLO', 'EOF>9', 'CLOSE>9']);
    t.same(ends, ['COMPLETE']);
    agree();
  });

  await t.test('backpressure: a target that takes nothing stops the peer', async (t) => {
    const target = new Probe({ highWaterMark: 1 });
    target.slow = true;
    const { channel, port, data, table } = make(t, target);
    let open = channel.receiveWindowBytes;
    let sent = 0;
    for (let n = 0; n < 100; n++) {
      const bytes = Math.min(open, 1000);
      if (bytes > 0) data(Buffer.alloc(bytes, 'x'));
      open -= bytes;
      sent += bytes;
      await turn();
      for (const { type, text } of port.sent.splice(0)) if (type === MSG.CHANNEL_WINDOW_ADJUST) open += Number(text);
    }
    t.equal(open, 0);
    t.ok(sent <= 2 * channel.receiveWindowBytes, `${sent} bytes kept`);
    while (target.got.length < sent) {
      target.takeHeld();
      await turn();
    }
    t.equal(target.got.length, sent);
    t.equal(table.size, 1);
    target.destroy();
  });

  await t.test('backpressure: a peer that takes nothing stops the target', async (t) => {
    let given = 0;
    const target = new Duplex({
      read() {
        given += 1000;
        this.push(Buffer.alloc(1000, 'x'));
      },
      write: (_chunk, _encoding, done) => done(),
    });
    const { channel, port } = make(t, target, { windowBytes: 10 });
    await turns(20);
    t.equal(sentText(port).length, 10);
    t.ok(given < 1024 * 1024, `${given} bytes read`);
    channel.onWindowAdjust(5000);
    await until(() => sentText(port).length === 5010, 'more');
    target.destroy();
  });
});

t.test('a target that ends first', async (t) => {
  await t.test('is EOF, and the other direction goes on', async (t) => {
    const target = new Probe();
    const { channel, port, data, ends, ended, agree } = make(t, target);
    target.push('answer');
    target.push(null);
    await until(() => types(port).includes(MSG.CHANNEL_EOF), 'EOF');
    t.same(port.take(), ['DATA>9 answer', 'EOF>9']);
    data('question');
    await turns(2);
    t.equal(target.got, 'question');
    t.same(ends, []);
    channel.onEof();
    await ended();
    t.same([ends, port.take()], [['COMPLETE'], ['CLOSE>9']]);
    await until(() => target.heard.includes('close'), "the target's close");
    t.same(target.heard, ['end', 'finish', 'close']);
    agree();
  });

  await t.test('and then takes slowly what was on its way', async (t) => {
    const target = new Probe();
    target.slow = true;
    const { channel, data, ends, ended, agree } = make(t, target);
    target.push(null);
    data('one');
    await turns(2);
    data('two');
    channel.onEof();
    await ended();
    agree();
    for (let n = 0; n < 10; n++) {
      t.notOk(target.got !== 'onetwo' && target.destroyed, 'not before it has all of it');
      target.takeHeld();
      await turn();
    }
    t.equal(target.got, 'onetwo');
    t.ok(target.heard.includes('finish'));
    t.ok(target.destroyed);
    t.same(ends, ['COMPLETE']);
  });

  for (const allowHalfOpen of [true, false])
    await t.test(`and closes, half-open ${allowHalfOpen}: its whole answer arrives`, async (t) => {
      const target = new Probe({ allowHalfOpen });
      const { channel, port, data, ends, ended, agree } = make(t, target, { windowBytes: 5 });
      target.push('the whole answer');
      target.push(null);
      if (allowHalfOpen) target.end();
      await turns(5);
      t.ok(target.heard.includes('close'));
      data('what nobody reads any more');
      await turns(2);
      data('and more');
      t.same(port.take(), ['DATA>9 the w']);
      t.same(ends, []);
      channel.onWindowAdjust(100);
      await ended();
      t.same(port.take(), ['DATA>9 hole answer', 'EOF>9', 'CLOSE>9']);
      t.same(ends, ['COMPLETE']);
      t.notOk(target.heard.includes('error'));
      agree();
    });

  await t.test('and is destroyed, without an error: its whole answer arrives', async (t) => {
    const target = new Probe();
    target.slow = true;
    const { channel, port, data, ends, ended, agree } = make(t, target, { windowBytes: 5 });
    data('never taken');
    target.push('the whole answer');
    target.push(null);
    await until(() => target.heard.includes('end'), 'end');
    target.destroy();
    await turns(2);
    t.same(ends, []);
    channel.onWindowAdjust(100);
    await ended();
    t.same(port.take(), ['DATA>9 the w', 'DATA>9 hole answer', 'EOF>9', 'CLOSE>9']);
    t.same(ends, ['COMPLETE']);
    agree();
  });

  await t.test('and its writing with it, while it still takes what it was given', async (t) => {
    const target = new Probe({ allowHalfOpen: false });
    target.slow = true;
    const { data, ends, ended, agree } = make(t, target);
    data('one');
    await turns(2);
    data('two');
    await turns(2);
    target.push(null);
    await ended();
    for (let n = 0; n < 10 && !target.destroyed; n++) {
      target.takeHeld();
      await turn();
    }
    t.equal(target.got, 'onetwo');
    t.ok(target.heard.includes('finish'));
    await until(() => target.heard.includes('close'), "the target's close");
    t.same(ends, ['COMPLETE']);
    agree();
  });

  await t.test('a real socket whose server answers and hangs up', async (t) => {
    const answer = 'x'.repeat(500_000);
    const server = createServer((socket) => socket.end(answer)).listen(0, '127.0.0.1');
    await once(server, 'listening');
    const address = server.address();
    const target = connect(address !== null && typeof address === 'object' ? address.port : 0, '127.0.0.1');
    t.teardown(() => {
      target.destroy();
      server.close();
    });
    const { channel, port, data, ends, ended, agree } = make(t, target, { windowBytes: 0 });
    data('GET');
    let granted = 0;
    while (ends.length === 0 && granted < 1_000_000) {
      channel.onWindowAdjust(1000);
      granted += 1000;
      await turn();
      if (granted % 50_000 === 0) data('y');
    }
    await ended();
    t.equal(sentText(port).length, answer.length);
    t.same(types(port).slice(-2), [MSG.CHANNEL_EOF, MSG.CHANNEL_CLOSE]);
    t.same(ends, ['COMPLETE']);
    agree();
  });
});

t.test('a target that ends its writing alone: the rest of what the peer sends is thrown away', async (t) => {
  const target = new Probe();
  const { channel, port, data, ends, ended, agree } = make(t, target);
  target.end();
  await turn();
  let open = channel.receiveWindowBytes;
  for (let n = 0; n < 100; n++) {
    const bytes = Math.min(open, 1000);
    data(Buffer.alloc(bytes));
    open -= bytes;
    await turn();
    for (const { type, text } of port.sent.splice(0)) if (type === MSG.CHANNEL_WINDOW_ADJUST) open += Number(text);
  }
  t.ok(open > 0, 'the peer may go on');
  t.same(ends, []);
  target.push('answer');
  target.push(null);
  await turn();
  channel.onEof();
  await ended();
  t.same(ends, ['COMPLETE']);
  t.equal(sentText(port), 'answer');
  agree();
});

t.test('a target that fails', async (t) => {
  await t.test('with an error: the answer is not the whole, so there is no EOF', async (t) => {
    const target = new Probe();
    const { port, ends, ended, agree } = make(t, target);
    target.push('half of the ans');
    await turn();
    target.destroy(new Error('cut\noff'));
    await ended();
    t.same(port.take(), ['DATA>9 half of the ans', 'CLOSE>9']);
    t.same(ends, ['TARGET_ERROR: cut\\x0aoff']);
    agree();
  });

  await t.test('without one', async (t) => {
    const target = new Probe();
    const { port, ends, ended, agree } = make(t, target);
    target.destroy();
    await ended();
    t.same(port.take(), ['CLOSE>9']);
    t.match(ends, [/^TARGET_ERROR/]);
    agree();
  });

  await t.test('while it writes', async (t) => {
    const target = new Duplex({ read() {}, write: (_chunk, _encoding, done) => done(new Error('full')) });
    const { data, ends, ended, agree } = make(t, target);
    data('x');
    await ended();
    t.same(ends, ['TARGET_ERROR: full']);
    agree();
  });

  await t.test('by throwing while it writes', async (t) => {
    const target = new Duplex({
      read() {},
      write() {
        throw new Error('bang');
      },
    });
    const { data, ends, ended, agree } = make(t, target);
    await turn();
    t.doesNotThrow(() => data('x'));
    await ended();
    t.match(ends, [/^(HOOK_FAILED|TARGET_ERROR): bang$/]);
    await until(() => target.destroyed, 'the target destroyed');
    agree();
  });

  await t.test('behind the end of its answer', async (t) => {
    const target = new Probe();
    const { port, ends, ended, agree } = make(t, target);
    target.push(null);
    await until(() => types(port).includes(MSG.CHANNEL_EOF), 'EOF');
    target.destroy(new Error('late'));
    await ended();
    t.same(port.take(), ['EOF>9', 'CLOSE>9']);
    t.same(ends, ['TARGET_ERROR: late']);
    agree();
  });

  await t.test('before it is joined', async (t) => {
    for (const error of [undefined, new Error('dead')])
      for (const looked of ['before', 'after']) {
        const target = new Probe();
        const before = look(target);
        target.destroy(error);
        const { port, data, ends, ended, agree } = make(t, looked === 'before' ? before : target);
        data('x');
        await ended();
        t.same(port.take(), ['CLOSE>9']);
        t.match(ends, [looked === 'before' ? /^TARGET_ERROR/ : 'TARGET_ERROR: the target is destroyed']);
        agree();
        const closed = new Probe();
        const beforeClose = look(closed);
        closed.destroy(error);
        await once(closed, 'close').catch(() => {});
        const later = make(t, looked === 'before' ? beforeClose : closed);
        await later.ended();
        t.match(later.ends, [/^TARGET_ERROR/]);
      }
  });

  await t.test('again and again', async (t) => {
    const target = new Probe();
    const { ends, ended } = make(t, target);
    target.emit('error', new Error('first'));
    target.emit('error', new Error('second'));
    await ended();
    target.emit('error', new Error('third'));
    t.match(ends, [/^TARGET_ERROR: first/]);
  });
});

t.test('a target that had ended before it is joined', async (t) => {
  const target = new Probe();
  target.resume().push(null);
  await once(target, 'end');
  const { channel, port, data, ends, ended, agree } = make(t, target);
  data('question');
  await until(() => types(port).includes(MSG.CHANNEL_EOF), 'EOF');
  t.equal(target.got, 'question');
  channel.onEof();
  await ended();
  t.same([port.take(), ends], [['EOF>9', 'CLOSE>9'], ['COMPLETE']]);
  agree();
});

t.test('a peer that closes first', async (t) => {
  for (const end of ['onPeerClose', 'onConnectionLost'] as const) {
    await t.test(`${end} without EOF: the target must not take what it has for the whole`, async (t) => {
      const target = new Probe();
      const { channel, data, ends, ended } = make(t, target);
      data('half of the que');
      await turns(2);
      channel[end]();
      await ended();
      await until(() => target.heard.includes('close'), "the target's close");
      t.notOk(target.heard.includes('finish'));
      t.same(ends, ['PEER_CLOSED']);
    });

    await t.test(`${end} with EOF: a slow target gets everything, and its end`, async (t) => {
      const target = new Probe({ highWaterMark: 10_000 });
      target.slow = true;
      const { channel, data, ends, table } = make(t, target);
      for (let n = 0; n < 10; n++) data(String(n).repeat(1000));
      channel.onEof();
      channel[end]();
      for (let n = 0; n < 100 && !target.destroyed; n++) {
        target.takeHeld();
        await turn();
      }
      t.equal(target.got.length, 10_000);
      t.same(target.heard.slice(0, 1), ['finish']);
      await until(() => target.heard.includes('close'), "the target's close");
      t.notOk(target.heard.includes('error'));
      t.same(ends, ['PEER_CLOSED']);
      if (end === 'onPeerClose') t.equal(table.size, 0);
    });

    await t.test(`${end} with EOF: an answer that never ends has no taker`, async (t) => {
      const target = new Duplex({
        read() {
          setImmediate(() => this.push('x'));
        },
        write: (_chunk, _encoding, done) => setImmediate(done),
      });
      const { channel, data, ends, ended } = make(t, target, { windowBytes: 3 });
      data('question');
      channel.onEof();
      channel[end]();
      await ended();
      t.same(ends, ['PEER_CLOSED']);
      await until(() => target.destroyed, 'the target destroyed');
    });
  }

  await t.test('long after its EOF', async (t) => {
    const target = new Probe();
    const { channel, data, ends, ended, table } = make(t, target, { windowBytes: 2 });
    data('question');
    channel.onEof();
    await until(() => target.heard.includes('finish'), 'finish');
    target.push('answer');
    await turns(2);
    channel.onPeerClose();
    await ended();
    await until(() => target.destroyed, 'the target destroyed');
    t.same([ends, table.size], [['PEER_CLOSED'], 0]);
  });

  await t.test('a target that has to be read to take everything', async (t) => {
    let taken = 0;
    const target = Duplex.from(async function* (source: AsyncIterable<Buffer>) {
      for await (const chunk of source) {
        taken += chunk.length;
        await turn();
        for (const byte of chunk.subarray(0, 50)) yield Buffer.from([byte]);
      }
    });
    const { channel, data, ended } = make(t, target, { windowBytes: 10 });
    for (let n = 0; n < 40; n++) {
      data('x'.repeat(400));
      if (n % 4 === 0) await turn(); // in several pieces, whatever waits together
    }
    channel.onEof();
    channel.onPeerClose();
    await ended();
    t.ok(taken < 16_000);
    await until(() => taken === 16_000, 'all of it');
    await until(() => target.destroyed, 'the target destroyed');
  });
});

t.test('time: an idle tunnel ends, and its target with it', async (t) => {
  const target = new Probe();
  const { port, ends, ended, agree } = make(t, target, { timeouts: { idleChannelMs: 20 } });
  await ended();
  t.same([port.take(), ends], [['CLOSE>9'], ['IDLE_TIMEOUT']]);
  await until(() => target.heard.includes('close'), "the target's close");
  agree();
});

t.test('a Duplex of another library: what has the methods will do', async (t) => {
  /** As streams were before Node 0.10, and as hand-made ones still are: no state to look at, no 'close' or 'finish'. */
  class OldStream extends Stream {
    readable = true;
    writable = true;
    written = '';
    ended = false;
    gone = false;
    read(): null {
      return null;
    }
    pause(): this {
      return this;
    }
    resume(): this {
      return this;
    }
    write(chunk: Buffer): boolean {
      this.written += chunk.toString();
      return true;
    }
    end(): void {
      this.ended = true;
      this.emit('data', Buffer.from('bye'));
      this.emit('end');
    }
    destroy(): void {
      this.gone = true;
    }
  }
  await t.test('both directions', async (t) => {
    const old = new OldStream();
    const { channel, port, data, ends, ended, agree } = make(t, old);
    old.emit('data', Buffer.from('hello '));
    data('question');
    channel.onEof();
    await ended();
    t.equal(old.written, 'question');
    t.same(port.take(), ['DATA>9 hello ', 'DATA>9 bye', 'EOF>9', 'CLOSE>9']);
    t.same(ends, ['COMPLETE']);
    agree();
  });
  await t.test('a peer that goes behind its EOF: what it knows of its own length spoils no count', async (t) => {
    const old = new OldStream();
    const { channel, data, ended, lingering } = make(t, old);
    data('question');
    channel.onEof();
    channel.onPeerClose();
    await ended();
    await turns(2);
    t.equal(old.written, 'question');
    t.notOk(lingering.linger(Number.MAX_SAFE_INTEGER), 'the budget of the worker still has an end');
  });
  await t.test('its error, and a peer that goes', async (t) => {
    for (const how of ['error', 'close']) {
      const old = new OldStream();
      const { channel, ends, ended, agree } = make(t, old);
      if (how === 'error') old.emit('error', new Error('old'));
      else channel.onPeerClose();
      await ended();
      t.same(ends, [how === 'error' ? 'TARGET_ERROR: old' : 'PEER_CLOSED']);
      await until(() => old.gone, 'destroy()');
      if (how === 'error') agree();
    }
  });
});

t.test('what is a target', (t) => {
  const duplex = new PassThrough();
  const server = createServer();
  const http = createHttpServer();
  const isDuplex = (value: Duplex): boolean => {
    const target = targetOf(value);
    return target?.kind === 'duplex' && target.duplex === value;
  };
  const isServer = (value: EventEmitter): boolean => {
    const target = targetOf(value);
    return target?.kind === 'server' && target.server === value;
  };
  t.ok(isDuplex(duplex));
  t.ok(isServer(server));
  t.ok(isServer(http));
  t.ok(isServer(Object.assign(createHttpServer(), { destroy() {} })), 'as the package server-destroy leaves it');
  t.ok(isDuplex(Object.assign(new PassThrough(), { listen() {}, close() {} })), 'a Duplex that can more');
  const dead = new PassThrough();
  dead.destroy();
  t.same(targetOf(dead), { kind: 'destroyed' });
  const throwing = {
    get pipe(): never {
      throw new Error('bang');
    },
  };
  for (const none of [null, undefined, true, false, 0, 'pipe', {}, [], () => {}, new EventEmitter(), { allow: true }])
    t.equal(targetOf(none), null, String(none));
  t.equal(targetOf(new Writable({ write() {} })), null, 'one direction is not enough');
  t.equal(targetOf(new Readable({ read() {} })), null, 'nor the other');
  t.equal(targetOf({ kind: 'duplex', duplex }), null, 'what has been looked at is no answer');
  t.throws(() => targetOf(throwing), 'the hook that answered it is to blame');
  t.end();
});

t.test('a target that came too late', async (t) => {
  const target = new Probe({
    destroy(_error, done) {
      done(new Error('in its own destroy'));
    },
  });
  target.removeAllListeners('error');
  const closed = new Promise((resolve) => target.on('close', resolve));
  discardTarget(look(target));
  await closed;
  t.ok(target.destroyed);
  discardTarget(look(target)); // and once more
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  discardTarget(look(server));
  discardTarget(look(Object.assign(server, { destroy: () => t.fail('destroyed') })));
  t.ok(server.listening, 'a server has other connections');
  server.close();
});

t.test('a server with a destroy() of its own (the package server-destroy) takes the tunnel as any other', async (t) => {
  for (const plain of [createServer(), createHttpServer()]) {
    const server = Object.assign(plain, { destroy: () => t.fail('destroyed') });
    const connections: Duplex[] = [];
    server.removeAllListeners('connection').on('connection', (socket: Duplex) => connections.push(socket));
    const { channel, port, ends, ended, agree } = make(t, server);
    t.ok(connections.length === 1 && connections[0] instanceof TunnelStream);
    connections[0]?.resume().end('hello');
    channel.onEof();
    await ended();
    t.same([port.take(), ends], [['DATA>9 hello', 'EOF>9', 'CLOSE>9'], ['COMPLETE']]);
    agree();
    const left = make(t, server);
    left.channel.onPeerClose();
    await left.ended();
    await turns(2);
    t.same(left.ends, ['PEER_CLOSED'], 'and the end of a tunnel is none of the server');
  }
});

t.test("a Duplex whose listener for 'pipe' throws ends its own tunnel only", async (t) => {
  const other = make(t, new PassThrough());
  for (const thrown of [new Error('ba\nng'), 'a text', undefined]) {
    const target = new Probe();
    target.on('pipe', () => {
      throw thrown;
    });
    const { port, data, ends, ended, agree } = make(t, target);
    data('was under way');
    await ended();
    t.same(port.take(), ['CLOSE>9']);
    t.match(ends, [/^(TARGET_ERROR|HOOK_FAILED): (ba\\x0ang|a text|undefined)$/]);
    await until(() => target.destroyed, 'the target destroyed');
    target.emit('error', new Error('later'));
    agree();
  }
  other.data('still here');
  await until(() => sentText(other.port) === 'still here', 'echo');
  t.same(other.ends, []);
});

t.test('what a tunnel tells, of whatever copy of this package, and nothing of anything else', async (t) => {
  const table = new ChannelTable(new FakePort(), {
    maxChannels: 3,
    memoryBytes: 1024 * 1024,
    account: plenty(),
    now: () => 0,
    violated: t.fail,
  });
  const pump = (): ChannelPump => {
    const reservation = table.reserve();
    if (reservation === null) throw new Error('no room');
    const channel = table.open(reservation, { id: 9, windowBytes: 1024, maxPacketBytes: 1024 }, 0);
    return new ChannelPump(channel, {
      timeouts: { halfCloseMs: 0, idleChannelMs: 0 },
      lingering: plenty(),
      onEnd() {},
    });
  };
  const facts = tunnelOf(new TunnelStream(pump(), FACTS));
  t.equal(facts?.identity, FACTS.identity, 'the very object');
  t.same([facts?.peer, facts?.origin, facts?.destination], [FACTS.peer, FACTS.origin, FACTS.destination]);
  const { TunnelStream: Other }: { TunnelStream: typeof TunnelStream } = await import(
    `${new URL('../../../src/worker/forward/inside.js', import.meta.url).href}?another`
  );
  t.not(Other, TunnelStream);
  const foreign = new Other(pump(), FACTS);
  t.notOk((foreign as unknown) instanceof TunnelStream);
  t.equal(tunnelOf(foreign)?.identity, FACTS.identity);
  const { identity, peer, origin, destination } = FACTS;
  const session = new ChannelStream(pump());
  for (const none of [null, undefined, 'tunnel', 7, {}, [], () => {}, new PassThrough(), session])
    t.equal(tunnelOf(none), null, String(none));
  t.equal(tunnelOf({ identity, peer, origin, destination }), null, 'the same words are not enough');
});

t.test('an http.Server', async (t) => {
  await t.test('two requests over one tunnel, and who sent them', async (t) => {
    const seen: unknown[] = [];
    const bodies: string[] = [];
    const server = createHttpServer((request: IncomingMessage, response) => {
      const { socket } = request;
      const tunnel = tunnelOf(socket);
      seen.push([tunnel?.identity, tunnel?.peer, tunnel?.origin, tunnel?.destination]);
      seen.push([socket.remoteAddress, socket.remotePort]);
      request.setEncoding('utf8').on('data', (text: string) => bodies.push(text));
      request.on('end', () => response.end(`answer to ${request.url}`));
    });
    const { channel, port, data, ends, ended, agree } = make(t, server);
    data('GET /one HTTP/1.1\r\nHost: inside\r\n\r\n');
    await until(() => sentText(port).includes('answer to /one'), 'the first answer');
    t.match(sentText(port), /^HTTP\/1.1 200 OK\r\n.*Connection: keep-alive/s);
    t.same(ends, []);
    for (const piece of ['POST /two HTTP/1.1\r\nHost: in', 'side\r\nContent-Length: 4\r\n\r\nbo', 'dy']) {
      data(piece);
      await turn();
    }
    await until(() => sentText(port).includes('answer to /two'), 'the second answer');
    t.equal(seen.length, 4);
    t.equal((seen[0] as unknown[])[0], FACTS.identity, 'the very object');
    t.same(seen.slice(0, 2), [
      [FACTS.identity, FACTS.peer, FACTS.origin, FACTS.destination],
      ['203.0.113.7', 4711],
    ]);
    t.equal(bodies.join(''), 'body');
    channel.onEof();
    await ended();
    t.same(types(port).slice(-2), [MSG.CHANNEL_EOF, MSG.CHANNEL_CLOSE]);
    t.same(ends, ['COMPLETE']);
    agree();
    server.close();
  });

  await t.test('Connection: close is EOF behind the answer', async (t) => {
    const server = createHttpServer((_request, response) => response.end('x'.repeat(100_000)));
    const { channel, port, data, ends, ended } = make(t, server, { windowBytes: 100 });
    data('GET / HTTP/1.1\r\nHost: inside\r\nConnection: close\r\n\r\n');
    await turns(5);
    t.notOk(types(port).includes(MSG.CHANNEL_EOF));
    channel.onWindowAdjust(1_000_000);
    await until(() => types(port).includes(MSG.CHANNEL_EOF), 'EOF');
    t.ok(sentText(port).endsWith('x'.repeat(100_000)));
    channel.onEof();
    await ended();
    t.same(ends, ['COMPLETE']);
  });

  await t.test('with a real client, through a real socket and back', async (t) => {
    const server = createHttpServer((request, response) => request.pipe(response));
    // The peer's program: an http client on a socket, whose bytes go over the channel.
    const near = createServer();
    near.listen(0, '127.0.0.1');
    await once(near, 'listening');
    const address = near.address();
    const accepting: Promise<Socket[]> = once(near, 'connection');
    const body = 'y'.repeat(50_000);
    const request = httpRequest({
      host: '127.0.0.1',
      port: address !== null && typeof address === 'object' ? address.port : 0,
      method: 'POST',
      agent: false,
    });
    const responding: Promise<IncomingMessage[]> = once(request, 'response');
    request.end(body);
    const [socket] = await accepting;
    t.teardown(() => {
      socket?.destroy();
      near.close();
    });
    const { channel, port, ends, ended, agree } = make(t, server);
    let open = channel.receiveWindowBytes;
    const carry = setInterval(() => {
      for (const { type, text } of port.sent.splice(0)) {
        if (type === MSG.CHANNEL_DATA) socket?.write(text);
        if (type === MSG.CHANNEL_EOF) socket?.end();
        if (type === MSG.CHANNEL_WINDOW_ADJUST) open += Number(text);
      }
      const chunk: Buffer | null = open === 0 ? null : (socket?.read(Math.min(open, socket.readableLength)) ?? null);
      if (chunk === null) return;
      open -= chunk.length;
      channel.onData(chunk, null);
    }, 1);
    t.teardown(() => clearInterval(carry));
    socket?.on('end', () => channel.onEof());
    const [response] = await responding;
    let got = '';
    for await (const chunk of response ?? []) got += String(chunk);
    t.equal(got, body);
    await ended();
    t.same(ends, ['COMPLETE']);
    agree();
  });

  await t.test('a peer that leaves within a request', async (t) => {
    const aborted: string[] = [];
    const server = createHttpServer((request, response) => {
      request.on('error', () => aborted.push('request'));
      response.on('close', () => aborted.push('response'));
    });
    const { channel, data, ends, ended, table } = make(t, server);
    data('POST / HTTP/1.1\r\nHost: inside\r\nContent-Length: 100\r\n\r\nhalf');
    await turns(2);
    channel.onPeerClose();
    await ended();
    await until(() => aborted.length === 2, 'both ends');
    t.same([ends, table.size], [['PEER_CLOSED'], 0]);
  });

  await t.test('nonsense: its own 400, and the end', async (t) => {
    const server = createHttpServer(() => t.fail('a request'));
    const { channel, port, data, ended } = make(t, server);
    data('\0\x01nonsense\r\n\r\n');
    channel.onEof();
    await ended();
    t.match(sentText(port), /^HTTP\/1.1 400 /);
  });

  await t.test('a request listener that throws ends that tunnel alone', async (t) => {
    const server = createHttpServer(() => {
      throw new Error('bang');
    });
    const { port, data, ends, ended, agree } = make(t, server);
    await turn();
    t.doesNotThrow(() => data('GET / HTTP/1.1\r\nHost: inside\r\n\r\n'));
    await ended();
    t.same(port.take(), ['CLOSE>9']);
    t.same(ends, ['HOOK_FAILED: bang']);
    agree();
  });

  await t.test('an upgrade', async (t) => {
    const server = createHttpServer();
    server.on('upgrade', (_request, socket, head: Buffer) => {
      socket.write('HTTP/1.1 101 Switching Protocols\r\nUpgrade: echo\r\nConnection: Upgrade\r\n\r\n');
      socket.write(head);
      socket.pipe(socket);
    });
    const { channel, port, data, ends, ended } = make(t, server);
    data('GET / HTTP/1.1\r\nHost: inside\r\nUpgrade: echo\r\nConnection: Upgrade\r\n\r\nhead ');
    await until(() => sentText(port).endsWith('head '), 'the head');
    data('tail');
    channel.onEof();
    await ended();
    t.ok(sentText(port).endsWith('\r\n\r\nhead tail'));
    t.same(ends, ['COMPLETE']);
  });

  await t.test('a server that closes its connections', async (t) => {
    const server = createHttpServer((_request, response) => response.end('x')).listen(0, '127.0.0.1');
    await once(server, 'listening');
    const { port, data, ends, ended } = make(t, server);
    data('GET / HTTP/1.1\r\nHost: inside\r\n\r\n');
    await until(() => sentText(port) !== '', 'the answer');
    server.close();
    server.closeAllConnections();
    await ended();
    t.match(ends, [/^TARGET_ERROR/]);
    t.equal(types(port).at(-1), MSG.CHANNEL_CLOSE);
  });
});

t.test('a net.Server', async (t) => {
  await t.test('takes the tunnel as a connection', async (t) => {
    const server = createServer({ allowHalfOpen: true }, (socket) => socket.pipe(socket));
    const { channel, port, data, ends, ended, agree } = make(t, server);
    data('echo');
    channel.onEof();
    await ended();
    t.same(port.take(), ['DATA>9 echo', 'EOF>9', 'CLOSE>9']);
    t.same(ends, ['COMPLETE']);
    agree();
  });

  await t.test('whose connection listener throws', async (t) => {
    for (const thrown of [new Error('ba\nng'), 'a text', undefined]) {
      const server = createServer(() => {
        throw thrown;
      });
      const { port, data, ends, ended, agree } = make(t, server);
      data('was under way');
      await ended();
      t.same(port.take(), ['CLOSE>9']);
      t.match(ends, [/^(TARGET_ERROR|HOOK_FAILED): (ba\\x0ang|a text|undefined)$/]);
      agree();
    }
  });

  await t.test('without a listener: nobody would ever take it', async (t) => {
    const { port, ends, ended, agree } = make(t, createServer());
    await ended();
    t.same(port.take(), ['CLOSE>9']);
    t.match(ends, [/^TARGET_ERROR: /]);
    agree();
  });
});
