/** Bytes that nobody has read: in order, in one piece, and no more memory than bytes. */
import fc from 'fast-check';
import t from 'tap';
import { Received } from '../../../src/worker/channel/received.js';

t.test('what was appended comes out in order, 64 KiB at most at a time, and stays as it was', async (t) => {
  const step = fc.oneof(fc.uint8Array({ maxLength: 40_000 }), fc.constant(null));
  fc.assert(
    fc.property(fc.array(step, { maxLength: 60 }), (steps) => {
      const received = new Received(() => 2 ** 21);
      const given: Buffer[] = [];
      const copies: Buffer[] = [];
      const take = (): void => {
        const bytes = received.take();
        if (bytes.length > 64 * 1024) throw new Error('too much at a time');
        given.push(bytes);
        copies.push(Buffer.from(bytes));
      };
      const all: Buffer[] = [];
      for (const bytes of steps) {
        if (bytes === null) {
          if (received.bytes > 0) take();
        } else {
          all.push(Buffer.from(bytes));
          received.append(Buffer.from(bytes));
        }
      }
      while (received.bytes > 0) take();
      const equal =
        Buffer.concat(given).equals(Buffer.concat(all)) && given.every((one, at) => one.equals(copies[at] ?? one));
      if (!equal) throw new Error('other bytes');
    }),
  );
  t.pass('whatever is appended and taken');
});

t.test('a window that comes byte by byte is one piece of its size', async (t) => {
  const received = new Received(() => 100_000);
  const byte = Buffer.from('x');
  for (let count = 0; count < 100_000; count++) received.append(byte);
  const taken = received.take();
  t.equal(taken.buffer.byteLength, 100_000, 'grown by doubling, up to the window');
  t.equal(received.bytes, 100_000 - 64 * 1024);
  received.clear();
  t.equal(received.bytes, 0);
});
