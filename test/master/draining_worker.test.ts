/** A worker that drains ends with the last of its connections. One that ends before is told for what it is, a crash, with the
 *  connections that it had: an operator looks for CRASHED. */
import t from 'tap';
import { startPrimaryUnderTest } from '../support/primary_under_test.js';

t.test('a replaced worker that dies while it still has a connection has crashed', async (t) => {
  const { primary, heard, connect, pidOf } = await startPrimaryUnderTest(t, { config: { workers: 1 } });
  const peer = await connect();
  t.equal(await peer.worker(), 1);
  await heard.wait('connection.accepted');
  const pid = pidOf(1);
  await primary.replaceWorkers();
  t.match(primary.status().workers, [
    { id: 1, state: 'draining' },
    { id: 2, state: 'ready' },
  ]);
  t.equal(await peer.ask('still'), 'still');
  process.kill(pid, 'SIGKILL');
  t.match(await heard.wait('worker.exited'), { worker: 1, reason: 'CRASHED', detail: 'signal SIGKILL' });
  t.match(await heard.wait('connection.closed'), { conn: 1, reason: 'WORKER_LOST' });
  t.equal(await peer.line(), undefined);
  t.equal(await (await connect()).worker(), 2, 'and nobody is started in its place, which is filled');
  t.match(primary.status().workers, [{ id: 2, state: 'ready' }]);
});

t.test('twin: with the last of its connections it has drained', async (t) => {
  const { primary, heard, connect } = await startPrimaryUnderTest(t, { config: { workers: 1 } });
  const peer = await connect();
  t.equal(await peer.worker(), 1);
  await primary.replaceWorkers();
  t.equal(await peer.ask('still'), 'still');
  peer.socket.end();
  t.match(await heard.wait('worker.exited'), { worker: 1, reason: 'DRAINED', detail: 'exit code 0' });
  t.match(await heard.wait('connection.closed'), { conn: 1, reason: 'PEER_CLOSED' });
});

t.test('so it is where the whole server drains', async (t) => {
  const { primary, heard, connect, pidOf } = await startPrimaryUnderTest(t, {
    config: { workers: 2, timeouts: { drain: '60s' } },
  });
  const [first, second] = [await connect(), await connect()];
  const [crashing, draining] = [await first.worker(), await second.worker()];
  t.not(crashing, draining);
  for (const conn of [1, 2]) await heard.wait('connection.accepted', (event) => event.conn === conn);
  const pid = pidOf(crashing);
  const drained = primary.drain();
  await heard.wait('server.draining');
  process.kill(pid, 'SIGKILL');
  t.match(await heard.wait('worker.exited'), { worker: crashing, reason: 'CRASHED' });
  second.socket.end();
  t.match(await heard.wait('worker.exited', ({ worker }) => worker === draining), { reason: 'DRAINED' });
  await drained;
});
