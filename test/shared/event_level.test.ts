import t from 'tap';
import { isEnabled, levelOf } from '../../src/shared/event_level.js';
import type { AuditEvent } from '../../src/shared/events.js';

const opened: AuditEvent = {
  ...{ event: 'channel.opened', conn: 1, peer: '192.0.2.1:1', user: 'alice' },
  ...{ kind: 'direct-tcpip', channel: 1, destination: 'db:5432' },
};
const failed: AuditEvent = {
  ...{ event: 'auth.failed', conn: 1, peer: '192.0.2.1:1', user: 'alice', method: 'password' },
  reason: 'WRONG_PASSWORD',
};

t.test('an event is told at its own level and at all that are more talkative', async (t) => {
  t.equal(levelOf(opened), 'debug');
  t.equal(levelOf(failed), 'warn');
  const told = (event: AuditEvent) =>
    (['trace', 'debug', 'info', 'warn', 'error', 'silent'] as const).map((level) => isEnabled(event, level));
  t.same(told(opened), [true, true, false, false, false, false]);
  t.same(told(failed), [true, true, true, true, false, false]);
});

t.test('a fault of a hook is a warning wherever it shows', async (t) => {
  t.equal(
    isEnabled({ event: 'connection.closed', conn: 1, peer: 'p', durationMs: 0, reason: 'HOOK_FAILED' }, 'warn'),
    true,
  );
  t.equal(
    isEnabled({ event: 'connection.closed', conn: 1, peer: 'p', durationMs: 0, reason: 'PEER_CLOSED' }, 'warn'),
    false,
  );
});

t.test('a proxy that does not speak as this server expects is a warning: nobody gets in by it', async (t) => {
  for (const reason of ['PROXY_MISSING', 'PROXY_INVALID', 'PROXY_TIMEOUT', 'PROXY_UNEXPECTED'] as const)
    t.equal(levelOf({ event: 'connection.closed', conn: 1, peer: 'p', durationMs: 0, reason }), 'warn', reason);
});
