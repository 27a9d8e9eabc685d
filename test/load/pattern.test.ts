/** PATTERN: whatever happens to a stream on its way changes its digest. */
import t from 'tap';
import { BLOCK_BYTES, type Digest, equalDigests, PatternSink, PatternSource } from '../../src/load/pattern.js';

const BYTES = 3 * BLOCK_BYTES + 17;

/** Blocks as they were handed out, each in memory of its own. */
function blocksOf(bytes: number): { readonly blocks: Buffer[]; readonly sent: Digest } {
  const source = new PatternSource(bytes);
  const blocks: Buffer[] = [];
  for (let block = source.next(); block !== null; block = source.next()) blocks.push(Buffer.from(block));
  return { blocks, sent: source.digest };
}

function received(blocks: readonly Buffer[]): Digest {
  const sink = new PatternSink();
  for (const block of blocks) sink.take(block);
  return sink.digest;
}

t.test('a whole stream has the digest that was sent, in whatever pieces it comes', async (t) => {
  const { blocks, sent } = blocksOf(BYTES);
  t.equal(sent.bytes, BYTES);
  t.ok(equalDigests(sent, received(blocks)));
  const whole = Buffer.concat(blocks);
  const pieces = [whole.subarray(0, 1), whole.subarray(1, 70_000), whole.subarray(70_000)];
  t.ok(equalDigests(sent, received(pieces)));
  t.same(blocksOf(0).sent, received([]));
});

t.test('a stream that was harmed has not', async (t) => {
  const { blocks, sent } = blocksOf(BYTES);
  const [a, b, c, d] = blocks;
  if (a === undefined || b === undefined || c === undefined || d === undefined) throw new Error('four blocks');
  const whole = Buffer.concat(blocks);
  const flipped = Buffer.from(whole);
  flipped.writeUInt8(flipped.readUInt8(BLOCK_BYTES + 5) ^ 1, BLOCK_BYTES + 5);
  const harmed: Readonly<Record<string, readonly Buffer[]>> = {
    'a block lost': [a, c, d],
    'a block doubled': [a, b, b, c, d],
    'a block in place of another': [a, b, b, d],
    'two blocks swapped': [b, a, c, d],
    'the end cut off': [whole.subarray(0, -1)],
    'a byte lost': [whole.subarray(0, 100), whole.subarray(101)],
    'a packet swapped with the next': [
      whole.subarray(0, 32_768),
      whole.subarray(65_536, 98_304),
      whole.subarray(32_768, 65_536),
      whole.subarray(98_304),
    ],
    'a bit flipped': [flipped],
    nothing: [],
  };
  for (const [what, pieces] of Object.entries(harmed)) t.notOk(equalDigests(sent, received(pieces)), what);
});

t.test('a block may be in flight while the next is filled', async (t) => {
  const source = new PatternSource(3 * BLOCK_BYTES);
  const first = source.next();
  const copy = Buffer.from(first ?? '');
  source.next();
  t.ok(first?.equals(copy));
});
