/** SERVE as a process: its end is its own, whatever signals come meanwhile. */
import t from 'tap';
import { startSallyport } from '../support/server.js';

t.test('a signal that comes when it has nearly ended does not make a clean end another', async (t) => {
  const server = await startSallyport(t, { workers: 1 });
  server.signal('SIGTERM');
  await server.events.wait('server.draining');
  // One of them meets the moment in which Node has taken the handlers away; SIGTERM would be a second one, which ends at once.
  const signals = setInterval(() => server.signal('SIGHUP'), 1);
  t.teardown(() => clearInterval(signals));
  t.same(await server.ended, { code: 0, signal: null });
});
