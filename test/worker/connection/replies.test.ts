/** RFC 4254 §4: answers in the order of the requests, under any order of completion. */
import fc from 'fast-check';
import t from 'tap';
import { OrderedReplies } from '../../../src/worker/connection/replies.js';

t.test('an answer waits for those before it', async (t) => {
  const sent: string[] = [];
  const replies = new OrderedReplies((payload) => sent.push(payload.toString()));
  const [a, b, c] = [replies.reserve(), replies.reserve(), replies.reserve()];
  b(Buffer.from('b'));
  t.same([sent, replies.open], [[], 3]);
  a(Buffer.from('a'));
  t.same([sent, replies.open], [['a', 'b'], 1]);
  c(Buffer.from('c'));
  t.same([sent, replies.open], [['a', 'b', 'c'], 0]);
});

t.test('whatever the order of completion', async () => {
  fc.assert(
    fc.property(fc.nat(30), fc.infiniteStream(fc.nat()), (count, random) => {
      const sent: number[] = [];
      const replies = new OrderedReplies((payload) => sent.push(payload.readUInt8(0)));
      const answers = Array.from({ length: count }, (_, index) => ({ index, answer: replies.reserve() }));
      while (answers.length > 0) {
        const at = (random.next().value ?? 0) % answers.length;
        for (const { index, answer } of answers.splice(at, 1)) answer(Buffer.of(index));
        if (replies.open !== count - sent.length) return false;
      }
      return sent.length === count && sent.every((value, index) => value === index);
    }),
  );
});

t.test('an answer that brings the next request', async (t) => {
  const sent: string[] = [];
  const replies: OrderedReplies = new OrderedReplies((payload) => {
    sent.push(payload.toString());
    if (sent.length < 3) replies.reserve()(Buffer.from(`after ${sent.length}`));
  });
  replies.reserve()(Buffer.from('first'));
  t.same([sent, replies.open], [['first', 'after 1', 'after 2'], 0]);
});
