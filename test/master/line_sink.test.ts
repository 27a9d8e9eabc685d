import { closeSync, openSync, readFileSync, readSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import { LineSink, type Patience, writerTo } from '../../src/master/line_sink.js';
import { FakeClock } from '../support/fake_clock.js';
import { mustRun } from '../support/process.js';
import { tempDir } from '../support/temp.js';

/** A descriptor that answers when the test says so. */
function slow(patience?: Patience) {
  const clock = new FakeClock();
  const calls: { readonly data: Buffer; readonly done: (error: unknown, written: number) => void }[] = [];
  const sink = new LineSink({
    clock,
    maxBytes: 20,
    write: (data, done) => calls.push({ data, done }),
    ...(patience === undefined ? {} : { patience, confession: (dropped, lost) => `lost ${lost} of ${dropped}\n` }),
  });
  const next = () => {
    const call = calls.shift();
    if (call === undefined) throw new Error('nothing is being written');
    return call;
  };
  return { clock, sink, calls, next };
}

t.test('one write at a time; what comes meanwhile goes together', async (t) => {
  const { sink, calls, next } = slow();
  for (const line of ['a\n', 'b\n', 'c\n']) sink.write(line);
  t.equal(calls.length, 1);
  const first = next();
  t.equal(String(first.data), 'a\n');
  first.done(null, 2);
  t.equal(String(next().data), 'b\nc\n');
});

t.test('a part that was written is not written again', async (t) => {
  const { sink, next } = slow();
  sink.write('abcdef\n');
  next().done(null, 3);
  t.equal(String(next().data), 'def\n');
});

t.test('a full queue drops whole lines, counts them, and recovers', async (t) => {
  const { sink, next } = slow();
  for (let count = 0; count < 6; count++) sink.write('12345\n');
  t.equal(sink.dropped, 3, 'three lines of six bytes fit');
  next().done(null, 6);
  sink.write('12345\n');
  t.equal(sink.dropped, 3);
  const second = next();
  t.equal(second.data.length, 12);
  second.done(null, 12);
  t.equal(String(next().data), '12345\n');
});

t.test('a reader that is gone or a disk that is full costs those lines only', async (t) => {
  for (const code of ['EPIPE', 'ENOSPC']) {
    const { sink, next } = slow();
    sink.write('a\n');
    sink.write('b\n');
    next().done(Object.assign(new Error(code), { code }), 0);
    t.equal(sink.dropped, 1);
    t.equal(String(next().data), 'b\n');
  }
});

t.test('EAGAIN: later again', async (t) => {
  const { clock, sink, calls, next } = slow();
  sink.write('a\n');
  next().done(Object.assign(new Error('EAGAIN'), { code: 'EAGAIN' }), 0);
  t.equal(calls.length, 0);
  clock.advance(50);
  t.equal(String(next().data), 'a\n');
  t.equal(sink.dropped, 0);
});

t.test('flush waits for the end, but not for ever', async (t) => {
  const { clock, sink, next } = slow();
  await sink.flush(1000);
  sink.write('a\n');
  const done = sink.flush(1000);
  next().done(null, 2);
  await done;
  sink.write('b\n');
  const late = sink.flush(1000);
  clock.advance(1000);
  await late;
  t.pass();
});

t.test('a pipe that nobody reads: the descriptor does not block, every line read later is whole', async (t) => {
  const fifo = join(tempDir(t), 'fifo');
  await mustRun(t, 'mkfifo', [fifo]);
  const fd = openSync(fifo, 'r+'); // both ends: opening one would wait for the other
  t.teardown(() => closeSync(fd));
  const clock = new FakeClock();
  const written = { bytes: 0, full: false };
  const writer = writerTo(fd);
  t.teardown(() => writer.close());
  const sink = new LineSink({
    clock,
    maxBytes: 1024 * 1024,
    write: (data, done) =>
      writer.write(data, (error, count) => {
        written.bytes += count ?? 0;
        written.full ||= error !== null;
        done(error, count);
      }),
  });
  const line = `${'x'.repeat(999)}\n`;
  for (let count = 0; count < 200; count++) sink.write(line); // a pipe holds 64 KiB
  while (!written.full) await new Promise((resolve) => setImmediate(resolve));
  const into = Buffer.alloc(200_000);
  let got = 0;
  while (got < into.length) {
    if (written.bytes > got) got += readSync(fd, into, got, written.bytes - got, null);
    clock.advance(50);
    await new Promise((resolve) => setImmediate(resolve));
  }
  t.equal(into.toString(), line.repeat(200));
  t.equal(sink.dropped, 0);
});

t.test('a file is written as it is', async (t) => {
  const file = join(tempDir(t), 'log');
  const fd = openSync(file, 'a');
  t.teardown(() => closeSync(fd));
  const sink = new LineSink({ clock: new FakeClock(), write: writerTo(fd).write });
  sink.write('one\n');
  sink.write('two\n');
  await sink.flush(1000);
  t.equal(readFileSync(file, 'utf8'), 'one\ntwo\n');
});

t.test(
  'a disk that fills up in the middle of a write: what is on it whole is not lost, and no two lines grow into one',
  async (t) => {
    const { sink, calls, next } = slow();
    sink.write('a\n');
    sink.write('bbb\n');
    sink.write('cccc\n');
    next().done(null, 2);
    next().done(null, 6); // `bbb` whole, `cc` of the next
    next().done(Object.assign(new Error('ENOSPC'), { code: 'ENOSPC' }), 0);
    t.equal(sink.dropped, 1);
    t.ok(sink.idle);
    sink.write('d\n');
    const again = next();
    t.equal(String(again.data), '\nd\n');
    again.done(Object.assign(new Error('ENOSPC'), { code: 'ENOSPC' }), 0);
    t.equal(sink.dropped, 2);
    sink.write('e\n');
    const last = next();
    t.equal(String(last.data), '\ne\n', 'the torn line still has no end');
    last.done(null, 3);
    for (const line of ['12345678901234567\n', '1\n', '1\n']) sink.write(line);
    t.equal(sink.dropped, 3, 'twenty bytes fit, before and after');
    t.equal(calls.length, 1);
  },
);

const ENOSPC = Object.assign(new Error('ENOSPC'), { code: 'ENOSPC' });

function patient() {
  const told: string[] = [];
  const patience: Patience = {
    retryMs: 1_000,
    began: (error) => told.push(error === null ? 'slow' : String(error)),
    ended: (lost) => told.push(`ended, ${lost} lost`),
  };
  return { ...slow(patience), told };
}

t.test(
  'patience: what a full disk does not take waits, and only what has no room is lost, and confessed',
  async (t) => {
    const { sink, clock, calls, next, told } = patient();
    for (const line of ['12345\n', 'abcde\n', 'ABCDE\n']) sink.write(line);
    next().done(ENOSPC, 0);
    t.equal(calls.length, 0);
    sink.write('is too much\n');
    sink.write('and this\n');
    t.equal(sink.dropped, 2);
    clock.advance(1_000);
    const again = next();
    t.equal(String(again.data), '12345\n');
    again.done(ENOSPC, 0);
    clock.advance(1_000);
    next().done(null, 6);
    const rest = next();
    t.equal(String(rest.data), 'lost 2 of 2\nabcde\nABCDE\n');
    rest.done(null, rest.data.length);
    t.ok(sink.idle);
    t.equal(sink.dropped, 2);
    t.same(told, ['Error: ENOSPC', 'ended, 2 lost'], 'said once, not at each try');
  },
);

t.test('patience: a disk that is only too slow is told as well', async (t) => {
  const { sink, next, told } = patient();
  for (let count = 0; count < 4; count++) sink.write('12345\n');
  t.same([sink.dropped, told], [1, ['slow']]);
  next().done(null, 6);
  t.same(told, ['slow'], 'much waits still');
  const rest = next();
  rest.done(null, rest.data.length);
  t.same(told, ['slow', 'ended, 1 lost']);
});

t.test('patience: a line that was begun in one file is written whole to the next', async (t) => {
  for (const failed of [true, false]) {
    const { sink, clock, next } = patient();
    for (const line of ['a\n', 'bb\n', 'ccc\n']) sink.write(line);
    next().done(null, 2);
    if (failed) {
      next().done(null, 5); // `bb` and half of `ccc`
      next().done(ENOSPC, 0);
      sink.restart();
      clock.advance(1_000);
    } else {
      sink.restart();
      next().done(null, 5);
    }
    t.equal(String(next().data), 'ccc\n');
  }
  const { sink, next } = patient();
  sink.write('a\n');
  sink.restart();
  next().done(null, 2);
  sink.write('b\n');
  t.equal(String(next().data), 'b\n', 'all of it was in the file before');
});

t.test('abandoned: what waits is lost and counted, and nothing is tried again', async (t) => {
  const { sink, clock, calls, next } = patient();
  for (const line of ['a\n', 'b\n', 'c\n']) sink.write(line);
  next().done(ENOSPC, 0);
  t.equal(sink.abandon(), 3);
  t.equal(sink.dropped, 3);
  clock.advance(1_000);
  sink.write('d\n');
  t.same([calls.length, sink.dropped, sink.idle], [0, 4, true]);
});
