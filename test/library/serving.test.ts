import t from 'tap';
import { HEARING } from '../../src/library/served.js';
import { tellBoth } from '../../src/library/serving.js';
import type { AuditEvent } from '../../src/shared/events.js';
import type { LogLevel } from '../../src/shared/log.js';

const opened: AuditEvent = {
  event: 'channel.opened',
  conn: 1,
  peer: '192.0.2.1:1',
  user: 'alice',
  kind: 'direct-tcpip',
  channel: 1,
  destination: 'db:5432',
};

t.test('an event below the level of the log stays in the worker, where its listeners hear it', async (t) => {
  for (const [level, told] of [
    ['info', 0],
    ['debug', 1],
    ['trace', 1],
  ] as const satisfies ReadonlyArray<readonly [LogLevel, number]>) {
    const heard: AuditEvent[] = [];
    const sent: AuditEvent[] = [];
    const server = { [HEARING]: { event: (event: AuditEvent) => heard.push(event), lost() {}, ended() {} } };
    const primary = tellBoth(server, level, {
      login: async () => ({ ok: true, port: 0 }),
      lease: async () => ({ ok: true, port: 0 }),
      release() {},
      bandwidth: async () => null,
      closed() {},
      event: (event) => sent.push(event),
    });
    primary.event(opened);
    t.same([heard.length, sent.length], [1, told], level);
  }
});
