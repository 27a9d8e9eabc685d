/** Layers: real loopback listeners; an attempt that hangs is a socket whose connect does nothing; timers are fired by hand. */
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { type AddressInfo, createServer, type Server, Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import t, { type Test } from 'tap';
import { type Address, parseAddress } from '../../../src/shared/address.js';
import type { After } from '../../../src/shared/timer.js';
import { type DialOutcome, dial, dialUnix } from '../../../src/worker/forward/dial.js';

function addresses(...texts: string[]): Address[] {
  return texts.flatMap((text) => parseAddress(text) ?? []);
}

/** A listener on a port of the kernel's choice (or a path), closed with its connections when the test ends. */
async function listening(
  t: Test,
  target: { host: string } | { path: string },
): Promise<{ server: Server; port: number }> {
  const accepted = new Set<Socket>();
  const server = createServer((socket) => {
    accepted.add(socket);
    socket.on('error', () => {});
    socket.resume();
  });
  server.listen('host' in target ? { ...target, port: 0 } : target);
  await once(server, 'listening');
  t.teardown(async () => {
    for (const socket of accepted) socket.destroy();
    server.close();
    await once(server, 'close');
  });
  return { server, port: (server.address() as AddressInfo).port };
}

/** A port on which nobody listens, free a moment ago. */
async function freePort(): Promise<number> {
  const server = createServer().listen({ host: '127.0.0.1', port: 0 });
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  server.close();
  await once(server, 'close');
  return port;
}

/** Its connect never gets an answer. */
class HangingSocket extends Socket {
  override connect(): this {
    return this;
  }
}

/** Looks as if the kernel had connected it to itself. */
class EchoingSocket extends Socket {
  constructor() {
    super();
    for (const end of ['local', 'remote']) {
      Object.defineProperty(this, `${end}Address`, { value: '127.0.0.1' });
      Object.defineProperty(this, `${end}Port`, { value: 40_000 });
    }
  }
  override connect(): this {
    setImmediate(() => this.emit('connect'));
    return this;
  }
}

/** Hands out the given sockets in turn and remembers all; every one must be gone when the test ends. */
function factory(t: Test, ...makers: Array<() => Socket>): { create: () => Socket; made: Socket[] } {
  const made: Socket[] = [];
  t.teardown(() => {
    for (const socket of made) socket.destroy();
  });
  const create = (): Socket => {
    const socket = (makers[made.length] ?? plain)();
    made.push(socket);
    return socket;
  };
  return { create, made };
}

const plain = (): Socket => new Socket({ allowHalfOpen: true });
const hanging = (): Socket => new HangingSocket();

/** Timers by their delay, run out by hand. */
class Timers {
  readonly armed = new Map<number, () => void>();
  readonly after: After = (delayMs, fire) => {
    this.armed.set(delayMs, fire);
    return () => {
      if (this.armed.get(delayMs) === fire) this.armed.delete(delayMs);
    };
  };
  fire(delayMs: number): void {
    const fire = this.armed.get(delayMs);
    this.armed.delete(delayMs);
    fire?.();
  }
}

/** The outcome's socket, with the promises of `DialOutcome` checked. */
function connected(t: Test, outcome: DialOutcome): Socket {
  if (!outcome.ok) throw new Error(outcome.code);
  const { socket } = outcome;
  t.notOk(socket.destroyed);
  t.equal(socket.listenerCount('error'), 1, 'an error is never unhandled');
  for (const event of ['close', 'data', 'timeout', 'connect', 'lookup']) t.equal(socket.listenerCount(event), 0, event);
  return socket;
}

t.test('connects, and the socket carries bytes', async (t) => {
  const { server, port } = await listening(t, { host: '127.0.0.1' });
  const { create, made } = factory(t);
  const timers = new Timers();
  const accepted = once(server, 'connection') as Promise<[Socket]>;
  const outcome = await dial({
    addresses: addresses('127.0.0.1'),
    port,
    createSocket: create,
    timeoutMs: 10_000,
    after: timers.after,
  });
  const socket = connected(t, outcome);
  t.equal(made.length, 1);
  t.equal(timers.armed.size, 0, 'no timer is left');
  const [peer] = await accepted;
  socket.write('hello');
  const [bytes] = (await once(peer, 'data')) as [Buffer];
  t.equal(bytes.toString(), 'hello');
});

t.test('a refused address makes room for the next at once', async (t) => {
  const { port } = await listening(t, { host: '127.0.0.2' });
  const { create, made } = factory(t);
  const outcome = await dial({
    addresses: addresses('127.0.0.1', '127.0.0.2'),
    port,
    createSocket: create,
    timeoutMs: 10_000,
    after: new Timers().after,
  });
  t.equal(connected(t, outcome).remoteAddress, '127.0.0.2');
  t.equal(made.length, 2);
  t.ok(made[0]?.destroyed);
});

t.test('RFC 8305 §5: a silent address gets company after the delay, and the loser is destroyed', async (t) => {
  const { port } = await listening(t, { host: '127.0.0.1' });
  const { create, made } = factory(t, hanging);
  const timers = new Timers();
  const pending = dial({
    addresses: addresses('127.0.0.2', '127.0.0.1'),
    port,
    createSocket: create,
    timeoutMs: 10_000,
    after: timers.after,
  });
  t.equal(made.length, 1);
  timers.fire(250);
  t.equal(made.length, 2);
  connected(t, await pending);
  t.ok(made[0]?.destroyed);
  t.equal(timers.armed.size, 0);
});

t.test('failures have stable codes', async (t) => {
  const port = await freePort();
  const { create } = factory(t);
  const timers = new Timers();
  const call = { createSocket: create, timeoutMs: 10_000, after: timers.after };
  t.same(await dial({ ...call, addresses: addresses('127.0.0.1'), port }), { ok: false, code: 'CONNECT_REFUSED' });
  t.same(await dial({ ...call, addresses: [], port }), { ok: false, code: 'CONNECT_FAILED' });
  t.same(await dial({ ...call, addresses: addresses('127.0.0.1'), port: 70_000 }), {
    ok: false,
    code: 'CONNECT_FAILED',
  });
  t.same(
    await dial({ ...call, addresses: addresses('255.255.255.255', '127.0.0.1'), port }),
    { ok: false, code: 'CONNECT_REFUSED' },
    'the most telling of several',
  );
  const noDescriptors = (): Socket => {
    throw Object.assign(new Error('too many open files'), { code: 'EMFILE' });
  };
  t.same(await dial({ ...call, createSocket: noDescriptors, addresses: addresses('127.0.0.1'), port }), {
    ok: false,
    code: 'RESOURCE_SHORTAGE',
  });
  t.equal(timers.armed.size, 0);
});

t.test('the deadline is for the whole race and destroys every attempt', async (t) => {
  const { create, made } = factory(t, hanging, hanging);
  const timers = new Timers();
  const pending = dial({
    addresses: addresses('127.0.0.1', '127.0.0.2'),
    port: 1,
    createSocket: create,
    timeoutMs: 10_000,
    after: timers.after,
  });
  timers.fire(250);
  timers.fire(10_000);
  t.same(await pending, { ok: false, code: 'CONNECT_TIMEOUT' });
  t.same(
    made.map(({ destroyed }) => destroyed),
    [true, true],
  );
});

t.test('an abort destroys every attempt in the same tick', async (t) => {
  const { create, made } = factory(t, hanging, hanging);
  const timers = new Timers();
  const control = new AbortController();
  const call = { addresses: addresses('127.0.0.1', '127.0.0.2'), port: 1, createSocket: create, timeoutMs: 10_000 };
  const pending = dial({ ...call, after: timers.after, signal: control.signal });
  timers.fire(250);
  control.abort();
  t.same(
    made.map(({ destroyed }) => destroyed),
    [true, true],
  );
  t.equal(timers.armed.size, 0);
  t.same(await pending, { ok: false, code: 'CONNECT_FAILED' });
  t.same(await dial({ ...call, signal: control.signal }), { ok: false, code: 'CONNECT_FAILED' });
  t.equal(made.length, 2, 'nothing is made after an abort');
});

t.test('an abort after the success leaves the socket to its new owner', async (t) => {
  const { port } = await listening(t, { host: '127.0.0.1' });
  const { create } = factory(t);
  const control = new AbortController();
  const outcome = await dial({
    addresses: addresses('127.0.0.1'),
    port,
    createSocket: create,
    timeoutMs: 10_000,
    signal: control.signal,
  });
  control.abort();
  connected(t, outcome);
});

t.test('a socket that is connected to itself is nobody listening', async (t) => {
  const { create, made } = factory(t, () => new EchoingSocket());
  const outcome = await dial({
    addresses: addresses('127.0.0.1'),
    port: 40_000,
    createSocket: create,
    timeoutMs: 10_000,
  });
  t.same(outcome, { ok: false, code: 'CONNECT_REFUSED' });
  t.ok(made[0]?.destroyed);
});

t.test('an error right after the connect does not end the process', async (t) => {
  const { port } = await listening(t, { host: '127.0.0.1' });
  const { create, made } = factory(t);
  const pending = dial({ addresses: addresses('127.0.0.1'), port, createSocket: create, timeoutMs: 10_000 });
  // Runs after ours in the same 'connect': the error comes out before any await can continue.
  made[0]?.on('connect', () => made[0]?.destroy(new Error('reset at once')));
  const outcome = await pending;
  t.ok(outcome.ok && outcome.socket.destroyed, 'the caller sees it by destroyed');
});

t.test('Unix sockets', async (t) => {
  const folder = await mkdtemp(join(tmpdir(), 'sallyport-'));
  t.teardown(() => rm(folder, { recursive: true }));
  const path = join(folder, 'target.sock');
  await listening(t, { path });
  const { create } = factory(t);
  connected(t, await dialUnix(path, { createSocket: create, timeoutMs: 10_000 }));
  t.same(await dialUnix(join(folder, 'none.sock'), { createSocket: create, timeoutMs: 10_000 }), {
    ok: false,
    code: 'CONNECT_FAILED',
  });
  const timers = new Timers();
  const stuck = factory(t, hanging);
  const pending = dialUnix(path, { createSocket: stuck.create, timeoutMs: 10_000, after: timers.after });
  timers.fire(10_000);
  t.same(await pending, { ok: false, code: 'CONNECT_TIMEOUT' });
});
