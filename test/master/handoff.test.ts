/** HAND-OFF with a clock of ours; the ways through real processes are in primary.test. */
import { once } from 'node:events';
import net from 'node:net';
import t, { type Test } from 'tap';
import type { Pick } from '../../src/master/dispatch.js';
import { Handoff } from '../../src/master/handoff.js';
import { closeHandle, type TcpHandle, takeHandle } from '../../src/shared/handles.js';
import type { ConnId, ToWorker } from '../../src/shared/ipc.js';
import { within } from '../support/deadline.js';
import { FakeClock } from '../support/fake_clock.js';

const id = (value: number): ConnId => value as ConnId;
const peer = { address: '127.0.0.1', port: 4000 };
const TIMING = { deadlineMs: 2000, marginMs: 1000, waitMs: 8000 };

async function realHandle(t: Test): Promise<{ handle: TcpHandle; far: net.Socket }> {
  const server = net.createServer({ pauseOnConnect: true, allowHalfOpen: true });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const address = server.address();
  if (address === null || typeof address === 'string') throw new Error('no port');
  const far = net.connect({ host: '127.0.0.1', port: address.port });
  far.on('error', () => {});
  const [socket]: net.Socket[] = await within(once(server, 'connection'), 'connection');
  const handle = socket === undefined ? undefined : takeHandle(socket);
  if (handle === undefined) throw new Error('no handle');
  t.teardown(() => {
    far.destroy();
    server.close();
  });
  return { handle, far };
}

function room(workers: readonly number[]) {
  const clock = new FakeClock();
  const said: string[] = [];
  const messages: ToWorker[] = [];
  const alive = new Set(workers);
  const unsendable = new Set<number>();
  const takenBy: number[] = [];
  const made: Handoff = new Handoff(
    {
      pick(tried): Pick {
        const free = [...alive].find((worker) => !tried.has(worker) && made.inFlight(worker) === 0);
        if (free !== undefined) return { kind: 'worker', id: free };
        return { kind: [...alive].every((worker) => tried.has(worker)) && alive.size > 0 ? 'none' : 'wait' };
      },
      give(worker, message, _handle, failed) {
        messages.push(message);
        said.push(`give ${worker}`);
        if (unsendable.has(worker)) failed();
      },
      tell: (worker, message) => said.push(`${message.type} ${worker}`),
      taken(worker, handle) {
        takenBy.push(worker);
        closeHandle(handle);
      },
    },
    {
      accepted: (conn, worker) => said.push(`accepted ${conn} by ${worker}`),
      refused: (conn, reason) => said.push(`refused ${conn}: ${reason}`),
    },
    clock,
    TIMING,
  );
  const offer = (conn: number, handle: TcpHandle): void => made.offer({ id: id(conn), handle, peer, proxied: false });
  return { handoff: made, clock, said, messages, alive, unsendable, takenBy, offer };
}

t.test('accepted: our copy is given up, no timer is left, the deadline is on the message', async (t) => {
  const { handoff, clock, said, messages, takenBy, offer } = room([1]);
  const { handle } = await realHandle(t);
  offer(1, handle);
  t.match(messages[0], { type: 'connection', id: 1, deadlineNs: String(clock.nowNs() + 2_000_000_000n) });
  t.ok(handle.fd > 0, 'kept until the answer');
  t.same(takenBy, []);
  handoff.accepted(1, id(1));
  t.same(takenBy, [1], 'and no other way closes it: in one process it is the very handle that is served');
  t.same(said, ['give 1', 'accepted 1 by 1']);
  t.match([handoff.size, handoff.inFlight(1), clock.pending], [0, 0, 0]);
});

t.test(
  'no answer: somebody else only after deadline, margin and one more poll; a late accepted is revoked',
  async (t) => {
    const { handoff, clock, said, takenBy, offer } = room([1, 2]);
    const { handle } = await realHandle(t);
    offer(1, handle);
    clock.advance(2999);
    t.same(said, ['give 1']);
    clock.advance(1);
    t.same(said, ['give 1'], 'the answer may lie unread if we ourselves were held up');
    clock.poll();
    t.same(said, ['give 1', 'give 2']);
    handoff.accepted(1, id(1));
    t.same(said.slice(2), ['revoke 1']);
    t.ok(handle.fd > 0, 'which changes nothing for worker 2');
    t.same(takenBy, []);
    handoff.accepted(2, id(1));
    handoff.accepted(1, id(1));
    t.same(said.slice(3), ['accepted 1 by 2', 'revoke 1']);
    t.same(takenBy, [2]);
    t.match(handoff.counters, { sent: 2, timedOut: 1, revoked: 2, accepted: 1, ended: 0 });
  },
);

t.test('an answer that comes between the deadline and the last poll still counts', async (t) => {
  const { handoff, clock, said, offer } = room([1, 2]);
  const { handle } = await realHandle(t);
  offer(1, handle);
  clock.advance(3000);
  handoff.accepted(1, id(1));
  clock.poll();
  t.same(said, ['give 1', 'accepted 1 by 1']);
});

t.test('the next socket waits for the answer, in order; a late refusal changes nothing', async (t) => {
  const { handoff, said, offer } = room([1]);
  const [first, second] = [await realHandle(t), await realHandle(t)];
  offer(1, first.handle);
  offer(2, second.handle);
  t.same(said, ['give 1']);
  handoff.accepted(1, id(1));
  t.same(said, ['give 1', 'accepted 1 by 1', 'give 1']);
  handoff.refused(2, id(2), 'AT_CAPACITY');
  t.equal(handoff.size, 1, 'not from the worker that was asked');
  handoff.accepted(1, id(2));
  t.equal(handoff.size, 0);
});

t.test('nobody there: waits, is served by who comes, and is told in the end', async (t) => {
  const { handoff, clock, said, alive, offer } = room([]);
  const [first, second] = [await realHandle(t), await realHandle(t)];
  offer(1, first.handle);
  t.same(said, []);
  alive.add(7);
  handoff.pump();
  t.same(said, ['give 7']);
  handoff.accepted(7, id(1));
  alive.clear();
  offer(2, second.handle);
  clock.advance(8000);
  t.same(said.slice(2), ['refused 2: NO_WORKER']);
  second.far.resume();
  await within(once(second.far, 'close'), 'end at the peer');
});

t.test('a channel that does not take it, and a worker that dies: the next one', async (t) => {
  const { handoff, said, alive, unsendable, offer } = room([1, 2, 3]);
  unsendable.add(1);
  const { handle } = await realHandle(t);
  offer(1, handle);
  t.same(said, ['give 1', 'give 2']);
  alive.delete(2);
  handoff.workerLost(2);
  t.same(said.slice(2), ['give 3']);
  handoff.refused(3, id(1), 'AT_CAPACITY');
  t.same(said.slice(3), ['refused 1: AT_CAPACITY'], 'all that are left have had it');
  t.match(handoff.counters, { sendFailed: 1, workerLost: 1, refused: 1, ended: 1 });
  t.equal(handoff.inFlight(3), 0);
});

t.test('drain: who waits is shown out, who is on the way gets the answer', async (t) => {
  const { handoff, clock, said, offer } = room([1]);
  const [first, second, third] = [await realHandle(t), await realHandle(t), await realHandle(t)];
  offer(1, first.handle);
  offer(2, second.handle);
  handoff.drain();
  t.same(said.slice(1), ['refused 2: DRAINING']);
  handoff.accepted(1, id(1));
  offer(3, third.handle);
  t.same(said.slice(2), ['accepted 1 by 1', 'refused 3: DRAINING']);
  t.equal(clock.pending, 0);
});
