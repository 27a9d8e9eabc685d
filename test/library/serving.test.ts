import t from 'tap';
import { HEARING } from '../../src/library/served.js';
import { tellBoth } from '../../src/library/serving.js';
import type { AuditEvent } from '../../src/shared/events.js';
import type { ConnId } from '../../src/shared/ipc.js';
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
    const primary = tellBoth(server, () => level, {
      login: async () => ({ ok: true, port: 0 }),
      lease: async () => ({ ok: true, port: 0 }),
      release() {},
      bandwidth: async () => null,
      code: async () => null,
      proxied: async () => null,
      closed() {},
      event: (event) => sent.push(event),
    });
    primary.event(opened);
    t.same([heard.length, sent.length], [1, told], level);
  }
});

t.test('what else a connection says reaches the primary as it was said', async (t) => {
  const said: unknown[] = [];
  const server = { [HEARING]: { event() {}, lost() {}, ended() {} } };
  const tell =
    (name: string) =>
    async (...what: readonly unknown[]): Promise<{ ok: true; port: number }> => {
      said.push([name, ...what]);
      return { ok: true, port: 0 };
    };
  const parts = { login: tell('login'), lease: tell('lease'), release: tell('release'), closed: tell('closed') };
  const primary = tellBoth(server, () => 'info', {
    ...parts,
    bandwidth: async () => null,
    code: async () => null,
    proxied: async () => null,
    event() {},
  });
  const id = 7 as ConnId;
  await primary.login(id, 'alice', 1);
  primary.release(id, { kind: 'tcp', port: 80 });
  primary.closed(id, 'AUTH_FAIL');
  t.same(said, [
    ['login', 7, 'alice', 1],
    ['release', 7, { kind: 'tcp', port: 80 }],
    ['closed', 7, 'AUTH_FAIL'],
  ]);
});
