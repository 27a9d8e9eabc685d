/** The read side of a socket: which buffer a read goes into, and that the part of a packet is carried from each kind of
 *  buffer into each other. Over a real socket; the test's own framing (four bytes of length, then the body) stands for SSH. */
import { once } from 'node:events';
import { connect, createServer, type Socket } from 'node:net';
import { setImmediate as nextTurn } from 'node:timers/promises';
import t, { type Test } from 'tap';
import { takeHandle } from '../../../src/shared/handles.js';
import { Buffers, type ReadLease, SMALL_READ_BYTES } from '../../../src/worker/transport/buffers.js';
import { type ByteConsumer, SocketReader } from '../../../src/worker/transport/reader.js';
import { deferred, within } from '../../support/deadline.js';
import { seededRandom } from '../../support/random.js';
import { pieceSizes } from '../../support/segmenter.js';

/** What one call of the consumer was given. */
interface Read {
  /** A copy. */
  readonly bytes: Buffer;
  /** As it came. */
  readonly view: Buffer;
  readonly lease: ReadLease | null;
}

interface ReaderUnderTest {
  readonly reader: SocketReader;
  readonly reads: Read[];
  /** Called for each read, within the consumer's call. */
  onRead: (read: Read) => void;
  /** Resolves when the peer's kernel has the bytes. */
  readonly send: (bytes: Buffer | string) => Promise<void>;
  /** Sends, and resolves with the read that brings it. */
  readonly sendAndRead: (bytes: Buffer | string) => Promise<Read>;
  /** As many bytes as the kernel takes, 64 KiB at least, are there before the first of them is read. */
  readonly sendAtOnce: (bytes: Buffer) => Promise<void>;
  /** Resolves when `reached` is true after some read. */
  readonly until: (reached: () => boolean) => Promise<void>;
}

async function startReader(t: Test, buffers: Buffers): Promise<ReaderUnderTest> {
  const reads: Read[] = [];
  let arrived = deferred<void>();
  const consumer: ByteConsumer = (bytes, lease) => {
    const read = { bytes: Buffer.from(bytes), view: bytes, lease };
    reads.push(read);
    it.onRead(read);
    arrived.resolve();
    arrived = deferred<void>();
    return true;
  };
  const reading = deferred<SocketReader>();
  const server = createServer({ pauseOnConnect: true, allowHalfOpen: true }, (accepted) => {
    const handle = takeHandle(accepted);
    if (handle === undefined) return;
    const reader = new SocketReader(handle, buffers, consumer);
    reader.socket.on('error', () => {});
    reading.resolve(reader);
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const address = server.address();
  const client: Socket = connect({
    host: '127.0.0.1',
    port: address !== null && typeof address === 'object' ? address.port : 0,
    noDelay: true,
  });
  client.on('error', () => {});
  const reader = await within(reading.promise, 'connection');
  t.teardown(() => {
    client.destroy();
    reader.socket.destroy();
    server.close();
  });
  const send = (bytes: Buffer | string): Promise<void> => {
    const written = deferred<void>();
    client.write(bytes, () => written.resolve());
    return within(written.promise, 'write');
  };
  const until = async (reached: () => boolean): Promise<void> => {
    while (!reached()) await within(arrived.promise, 'read', undefined, () => `${reads.length} reads so far`);
  };
  const it: ReaderUnderTest = {
    reader,
    reads,
    onRead() {},
    send,
    async sendAndRead(bytes) {
      const before = reads.length;
      await send(bytes);
      await until(() => reads.length > before);
      return reads.at(-1) ?? { bytes: Buffer.alloc(0), view: Buffer.alloc(0), lease: null };
    },
    async sendAtOnce(bytes) {
      reader.socket.pause();
      await send(bytes.subarray(0, 65_536));
      const rest = bytes.length > 65_536 ? send(bytes.subarray(65_536)) : null;
      reader.socket.resume();
      await rest;
    },
    until,
  };
  return it;
}

/** Bytes of which no two places are the same for long. */
function noise(seed: number, length: number): Buffer {
  const random = seededRandom(seed);
  return Buffer.from(Array.from({ length }, () => Math.floor(random() * 256)));
}

function framed(body: Buffer): Buffer {
  const length = Buffer.alloc(4);
  length.writeUInt32BE(body.length);
  return Buffer.concat([length, body]);
}

/** Reads frames as the transport reads packets: whole ones are taken, the part of one is carried. */
class Framing {
  readonly bodies: Buffer[] = [];
  /** How the part of a frame went on: from which buffer into which. */
  readonly moves = new Map<string, number>();
  #carried = 0;
  #from: ReadLease | 'small' | 'own' = 'small';

  take({ view, lease }: Read, reader: SocketReader, buffers: Buffers): void {
    const kind = lease ?? (view.buffer === buffers.smallRead.buffer ? 'small' : 'own');
    if (this.#carried > 0) {
      const name = (buffer: ReadLease | 'small' | 'own'): string => (typeof buffer === 'string' ? buffer : 'large');
      const move = `${name(this.#from)}, ${this.#from === kind && lease !== null ? 'same' : name(kind)}`;
      this.moves.set(move, (this.moves.get(move) ?? 0) + 1);
    }
    let at = 0;
    let wanted = 0;
    while (view.length - at >= 4) {
      const end = at + 4 + view.readUInt32BE(at);
      if (end > view.length) {
        wanted = end - at;
        break;
      }
      this.bodies.push(Buffer.from(view.subarray(at + 4, end)));
      at = end;
    }
    this.#carried = view.length - at;
    this.#from = kind;
    reader.carry(this.#carried, wanted);
  }
}

/** Borrows until there is nothing left. */
function borrowAll(buffers: Buffers): ReadLease[] {
  const leases: ReadLease[] = [];
  for (let lease = buffers.borrowLarge(); lease !== null; lease = buffers.borrowLarge()) leases.push(lease);
  return leases;
}

/** How many loans a worker can have out at one time. */
const ALL_LEASES = borrowAll(new Buffers()).length;

/** All that was lent came back. */
function allReturned(buffers: Buffers): boolean {
  const leases = borrowAll(buffers);
  for (const lease of leases) lease.release();
  return leases.length === ALL_LEASES;
}

t.test('without a part carried each read stands alone, in the buffer that all share', async (t) => {
  const buffers = new Buffers();
  const { sendAndRead } = await startReader(t, buffers);
  for (const text of ['one', 'two', 'three']) {
    const { bytes, view, lease } = await sendAndRead(text);
    t.equal(bytes.toString(), text);
    t.equal(lease, null);
    t.equal(view.buffer, buffers.smallRead.buffer);
  }
});

t.test('what is carried comes again before the next read', async (t) => {
  const buffers = new Buffers();
  const one = await startReader(t, buffers);
  const other = await startReader(t, buffers);
  one.onRead = ({ bytes }) => {
    if (one.reads.length === 1) one.reader.carry(4, 12);
    else if (one.reads.length === 2) one.reader.carry(bytes.length, 12);
  };
  t.equal((await one.sendAndRead('whole.part')).bytes.toString(), 'whole.part');
  // The other connection writes over the shared buffer.
  t.equal((await other.sendAndRead('x'.repeat(200))).bytes.length, 200);
  const second = await one.sendAndRead(' of');
  t.equal(second.bytes.toString(), 'part of');
  t.not(second.view.buffer, buffers.smallRead.buffer, 'in a buffer of its own');
  t.equal((await other.sendAndRead('y'.repeat(200))).bytes.length, 200);
  t.equal((await one.sendAndRead(' that')).bytes.toString(), 'part of that', 'and is carried on from there');
  const after = await one.sendAndRead('next');
  t.equal(after.bytes.toString(), 'next', 'once only');
  t.equal(after.view.buffer, buffers.smallRead.buffer, 'and the shared buffer is used again');
});

t.test('one to three bytes are carried while the length is not known', async (t) => {
  const buffers = new Buffers();
  for (const bytes of [1, 2, 3]) {
    const it = await startReader(t, buffers);
    it.onRead = () => {
      if (it.reads.length <= 2) it.reader.carry(bytes, 0);
    };
    t.equal((await it.sendAndRead('abcdef')).bytes.toString(), 'abcdef');
    const carried = 'abcdef'.slice(-bytes);
    t.equal((await it.sendAndRead('g')).bytes.toString(), `${carried}g`);
    const body = noise(bytes, 5_000);
    await it.sendAtOnce(body);
    await it.until(() => it.reads.reduce((sum, read) => sum + read.bytes.length, 0) >= 6 + bytes + 1 + bytes + 5_000);
    const [first, ...rest] = it.reads.slice(2).map((read) => read.bytes);
    t.equal(first?.subarray(0, bytes).toString(), `${carried}g`.slice(-bytes));
    t.same(
      Buffer.concat([first?.subarray(bytes) ?? Buffer.alloc(0), ...rest]),
      body,
      'none lost at the edge of the room',
    );
    t.ok((first?.length ?? 0) <= 1024, 'a few bytes of a packet ask for little room');
  }
});

t.test('a packet of known length gets a buffer of this length', async (t) => {
  const buffers = new Buffers();
  const it = await startReader(t, buffers);
  const framing = new Framing();
  it.onRead = (read) => framing.take(read, it.reader, buffers);
  const bodies = [noise(1, 20_000), noise(2, 3_000), noise(3, 10)];
  const stream = Buffer.concat(bodies.map(framed));
  await it.sendAndRead(stream.subarray(0, 100));
  await it.sendAndRead(stream.subarray(100, 1_000));
  await it.sendAtOnce(stream.subarray(1_000));
  await it.until(() => framing.bodies.length === bodies.length);
  t.same(framing.bodies, bodies);
  t.equal(it.reads[2]?.bytes.length, 20_004, 'and not a byte of the next one');
  t.equal(it.reads[2]?.view.buffer, it.reads[1]?.view.buffer, 'which stays until it is whole');
  t.ok(
    it.reads.every(({ lease }) => lease === null),
    'nothing is lent before login, however much comes',
  );
});

t.test('byte by byte: from a length in part, to a packet in part, to several in one read', async (t) => {
  const buffers = new Buffers();
  const it = await startReader(t, buffers);
  const framing = new Framing();
  it.onRead = (read) => framing.take(read, it.reader, buffers);
  const bodies = [noise(1, 30), noise(2, 600), noise(3, 0), noise(4, 2)];
  for (const byte of Buffer.concat(bodies.map(framed))) await it.sendAndRead(Buffer.of(byte));
  t.same(framing.bodies, bodies);
  const { size } = new Set(it.reads.map(({ view }) => view.buffer));
  t.ok(size <= 1 + 2 * bodies.length, `${size} buffers for ${it.reads.length} reads`);
  const more = [noise(5, 100), noise(6, 200), noise(7, 5_000)];
  const stream = Buffer.concat(more.map(framed));
  for (const [from, to] of [
    [0, 2],
    [2, 250],
    [250, 400],
    [400, 5_311],
    [5_311, 5_312],
  ] as const)
    await it.sendAndRead(stream.subarray(from, to));
  t.same(framing.bodies.slice(bodies.length), more);
});

t.test('a length that becomes known asks for another buffer', async (t) => {
  const buffers = new Buffers();
  const it = await startReader(t, buffers);
  const framing = new Framing();
  it.onRead = (read) => framing.take(read, it.reader, buffers);
  const body = noise(1, 30_000);
  const stream = framed(body);
  await it.sendAndRead(stream.subarray(0, 2));
  await it.sendAndRead(stream.subarray(2, 10));
  await it.sendAtOnce(stream.subarray(10));
  await it.until(() => framing.bodies.length === 1);
  t.same(framing.bodies, [body]);
  t.not(it.reads[2]?.view.buffer, it.reads[1]?.view.buffer);
  t.equal(it.reads[2]?.bytes.length, stream.length, 'with room for all of it');
});

t.test('carried into a large buffer, within it, and out of it again', async (t) => {
  const buffers = new Buffers();
  const it = await startReader(t, buffers);
  const framing = new Framing();
  it.reader.allowLarge();
  it.onRead = (read) => framing.take(read, it.reader, buffers);
  const bodies = Array.from({ length: 60 }, (_, index) => noise(index, 9_000 + index));
  const stream = Buffer.concat(bodies.map(framed));
  // A first read that comes full, with a frame in part at its end; then one below a quarter of the large buffer.
  await it.sendAtOnce(stream.subarray(0, SMALL_READ_BYTES + 30_000));
  await it.until(() => it.reads.length >= 2);
  t.equal(it.reads[0]?.bytes.length, SMALL_READ_BYTES);
  const [, second] = it.reads;
  t.not(second?.lease, null);
  t.equal(framing.moves.get('small, large'), 1);
  await it.until(() => framing.bodies.length >= 5);
  const part = await it.sendAndRead(stream.subarray(SMALL_READ_BYTES + 30_000, SMALL_READ_BYTES + 30_100));
  t.equal(part.lease, null, 'the flow has become small');
  t.equal(framing.moves.get('large, own'), 1);
  t.ok(allReturned(buffers), 'and what was lent is back');
  await it.sendAtOnce(stream.subarray(SMALL_READ_BYTES + 30_100));
  await it.until(() => framing.bodies.length === bodies.length);
  t.same(framing.bodies, bodies);
});

t.test('while reads stay large the same buffer goes on, with what is carried at its head', async (t) => {
  const buffers = new Buffers();
  const it = await startReader(t, buffers);
  it.reader.allowLarge();
  const expected: Buffer[] = [];
  const wrong: number[] = [];
  let large = 0;
  let same = 0;
  let before: Read | undefined;
  it.onRead = (read) => {
    const { view, lease } = read;
    if (lease !== null) large++;
    if (lease !== null && lease === before?.lease) same++;
    const carried = expected.pop();
    if (carried !== undefined && !view.subarray(0, carried.length).equals(carried)) wrong.push(it.reads.length);
    // More than half of it, so that it overlaps the place to which it goes.
    const bytes = Math.min(view.length, 150_000);
    expected.push(Buffer.from(view.subarray(view.length - bytes)));
    it.reader.carry(bytes, bytes + 1);
    before = read;
  };
  const stream = noise(5, 700_000);
  const sending = it.sendAtOnce(stream.subarray(0, 100_000)).then(() => it.send(stream.subarray(100_000)));
  await it.until(() => large > 0 && same > 2);
  t.same(wrong, []);
  await sending;
});

t.test('a buffer that a write refers to stays as it is; the part goes on in another', async (t) => {
  const buffers = new Buffers();
  const it = await startReader(t, buffers);
  it.reader.allowLarge();
  const framing = new Framing();
  const pinned: { readonly lease: ReadLease; readonly view: Buffer; readonly bytes: Buffer }[] = [];
  it.onRead = (read) => {
    framing.take(read, it.reader, buffers);
    const { lease, view, bytes } = read;
    if (lease === null || pinned.length === 8) return;
    lease.retain();
    pinned.push({ lease, view, bytes });
  };
  const bodies = Array.from({ length: 60 }, (_, index) => noise(index, 30_000 + index));
  // Each time so much that the next read is large too.
  for (let at = 0; at < bodies.length; at += 10)
    await it.sendAtOnce(Buffer.concat(bodies.slice(at, at + 10).map(framed)));
  await it.until(() => framing.bodies.length === bodies.length);
  t.same(framing.bodies, bodies);
  t.ok(pinned.length >= 2, `${pinned.length} reads are referred to`);
  t.ok((framing.moves.get('large, large') ?? 0) > 0, [...framing.moves].join(' '));
  t.equal(new Set(pinned.map(({ lease }) => lease.buffer)).size, pinned.length, 'each has its buffer');
  t.ok(
    pinned.every(({ view, bytes }) => view.equals(bytes)),
    'and still holds what it held',
  );
  t.notOk(allReturned(buffers));
  it.reader.socket.destroy();
  await once(it.reader.socket, 'close');
  for (const { lease } of pinned) lease.release();
  t.ok(allReturned(buffers), 'the last reference gives it back');
});

t.test('when no other is to be had, the part of a referred one goes on in a buffer of its own', async (t) => {
  const buffers = new Buffers();
  const it = await startReader(t, buffers);
  it.reader.allowLarge();
  const framing = new Framing();
  const bodies = Array.from({ length: 12 }, (_, index) => noise(index, 30_000 + index));
  let pinned: Read | undefined;
  let others: ReadLease[] = [];
  it.onRead = (read) => {
    framing.take(read, it.reader, buffers);
    if (read.lease === null || pinned !== undefined) return;
    pinned = read;
    read.lease.retain();
    others = borrowAll(buffers);
  };
  await it.sendAtOnce(Buffer.concat(bodies.map(framed)));
  await it.until(() => framing.bodies.length === bodies.length);
  t.same(framing.bodies, bodies);
  t.equal(others.length, ALL_LEASES - 1);
  t.equal(framing.moves.get('large, own'), 1);
  t.same(pinned?.view, pinned?.bytes);
  for (const lease of others) lease.release();
  pinned?.lease?.release();
  t.ok(allReturned(buffers));
});

t.test('a pause in between loses nothing of what is carried', async (t) => {
  const buffers = new Buffers();
  const it = await startReader(t, buffers);
  const got: string[] = [];
  let called = deferred<void>();
  it.reader.consumer = (bytes) => {
    got.push(bytes.toString());
    it.reader.carry(bytes.length, 0);
    called.resolve();
    return false; // others have their turn
  };
  for (const letter of 'paused!') {
    called = deferred<void>();
    await it.send(letter);
    await within(called.promise, 'read');
  }
  t.same(got, ['p', 'pa', 'pau', 'paus', 'pause', 'paused', 'paused!']);
});

t.test('a part goes over to the next consumer', async (t) => {
  const it = await startReader(t, new Buffers());
  it.onRead = () => it.reader.carry(4, 0);
  await it.sendAndRead('ident\r\npart');
  const taken = deferred<string>();
  it.reader.consumer = (bytes) => {
    taken.resolve(bytes.toString());
    return true;
  };
  await it.send(' of a packet');
  t.equal(await within(taken.promise, 'read'), 'part of a packet');
});

t.test('a socket that closes amid a packet gives its buffer back', async (t) => {
  const buffers = new Buffers();
  const it = await startReader(t, buffers);
  it.reader.allowLarge();
  it.onRead = ({ bytes }) => it.reader.carry(Math.min(bytes.length, 1_000), 0);
  await it.sendAtOnce(noise(1, 150_000));
  await it.until(() => it.reads.at(-1)?.lease !== null);
  it.reader.socket.destroy();
  await once(it.reader.socket, 'close');
  t.ok(allReturned(buffers));
});

for (const seed of [1, 2, 3])
  t.test(`frames of any size in pieces of any size, some reads referred to for a while, seed ${seed}`, async (t) => {
    const buffers = new Buffers();
    const it = await startReader(t, buffers);
    it.reader.allowLarge();
    const random = seededRandom(seed);
    const framing = new Framing();
    const pinned: Read[] = [];
    let spoiled = 0;
    const unpin = (): void => {
      const read = pinned.shift();
      if (read !== undefined && !read.view.equals(read.bytes)) spoiled++;
      read?.lease?.release();
    };
    it.onRead = (read) => {
      framing.take(read, it.reader, buffers);
      if (random() < 0.3) unpin();
      if (read.lease === null || random() < 0.5) return;
      read.lease.retain();
      pinned.push(read);
    };
    const bodies = Array.from({ length: 120 }, (_, index) => {
      const most = [4, 300, 5_000, 35_000][index % 4] ?? 0;
      return noise(seed * 1_000 + index, Math.floor(random() * most));
    });
    const stream = Buffer.concat(bodies.map(framed));
    const size = pieceSizes(seed);
    for (let at = 0; at < stream.length; ) {
      const piece = stream.subarray(at, at + (random() < 0.05 ? 200_000 : size()));
      at += piece.length;
      if (piece.length > 100_000) await it.sendAtOnce(piece);
      else await it.send(piece);
      await nextTurn();
    }
    await it.until(() => framing.bodies.length === bodies.length);
    t.same(framing.bodies, bodies, [...framing.moves].join(' '));
    while (pinned.length > 0) unpin();
    t.equal(spoiled, 0);
    it.reader.socket.destroy();
    await once(it.reader.socket, 'close');
    t.ok(allReturned(buffers));
  });
