/** RFC 4251 §5: the data types that are more than a copy. What readers and writers do is shown by all that speaks SSH. */
import fc from 'fast-check';
import t from 'tap';
import { mpint } from '../../src/shared/protocol.js';
import { mpintOf } from '../support/mpint.js';

t.test('RFC 4251 §5: mpints of any bytes', async (t) => {
  for (const [bytes, expected] of [
    ['', ''],
    ['00', ''],
    ['000000', ''],
    ['7f', '7f'],
    ['80', '0080'],
    ['0080', '0080'],
    ['000080', '0080'],
    ['00007f00', '7f00'],
    ['ff00', '00ff00'],
  ] as const)
    t.equal(mpint(Buffer.from(bytes, 'hex')).toString('hex'), expected, bytes);
  fc.assert(
    fc.property(fc.nat(3), fc.uint8Array({ maxLength: 40 }), (zeros, tail) => {
      const bytes = Buffer.concat([Buffer.alloc(zeros), tail]);
      return mpint(bytes).equals(mpintOf(bytes));
    }),
  );
});
